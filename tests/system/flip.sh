# SPDX-License-Identifier: MIT
# flip.sh - two mini guests, and a third as their backend, exchange frames: contents, counts, M2P, and
# what must be refused.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory guests || exit 1
cp build/guests/flip "$tmp/flip"
for r in a b back; do
    printf 'name = "%s"\nkernel = "flip"\nmemory = 16\nextra = "role=%s"\n' $r $r > "$tmp/$r.cfg"
done
echo 'autostart = [ "a.cfg", "b.cfg", "back.cfg" ]' > "$tmp/host.cfg"
for cpus in 1 2; do
    rm -f "$tmp"/h.*
    host_start h -machine q35 -m 256 -smp $cpus -kernel build/sluice -append debugexit \
        -initrd "$(modules "console=com2" "$tmp"/{host.cfg,a.cfg,b.cfg,back.cfg,flip})"
    check "flips between domains, $cpus CPUs" wait_for 40 'flip back: ok|flip .*FAILED' "$tmp/h.com2"
    check "  all as it should" has 'flip back: ok' "$tmp/h.com2"
    grep -a FAILED "$tmp/h.com2"
    check "  no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
    [ $bad -eq 0 ] || tail -n 30 "$tmp/h.log"
    host_stop "$host_pid"
done
finish
