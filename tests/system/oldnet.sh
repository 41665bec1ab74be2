# SPDX-License-Identifier: MIT
# oldnet.sh - the flip of 2005: a netfront that takes pages (GNTTABOP_transfer) because it knows nothing else, and neighbours
# that send it frames and check what comes back. Neither it nor dom0 gains or loses a page.
. "$(dirname "$0")/lib.sh"

cp build/guests/{frames,oldnet} "$tmp/"
printf 'name="old"\nmemory=12\nkernel="oldnet"\nvif=["mac=00:16:3e:00:00:01"]\n' > "$tmp/old.cfg"
source_cfg() {  # NAME, last byte of its address, words
    printf 'name="%s"\nmemory=16\nkernel="frames"\nextra="role=source peer=00:16:3e:00:00:01 back stay count=400 window=24 sizes=64,113,1000,1514 %s"\nvif=["mac=00:16:3e:00:00:%s"]\n' "$1" "$3" "$2" > "$tmp/$1.cfg"
}
source_cfg flip 02 mode=flip
source_cfg standard 03 mode=standard
printf 'autostart = [ "old.cfg", "flip.cfg", "standard.cfg" ]\n' > "$tmp/host.cfg"
host_start h -machine q35 -m 256 -smp 1 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=none console=com2" "$tmp"/{host.cfg,old.cfg,flip.cfg,standard.cfg,frames,oldnet})"
ends() { grep -ac 'frames: end' "$tmp/h.com2"; }
for _ in $(seq 300); do [ "$(ends)" = 2 ] && break; kill -0 "$host_pid" || break; sleep 0.2; done
check "it connects" has 'oldnet: connected' "$tmp/h.com2"
check "every frame came back right" test "$(grep -acE 'frames: size .* ok' "$tmp/h.com2")" = 8
check "nothing but its frame was in any page" sh -c "grep -aq 'frames came in pages, 0 wrong' '$tmp/h.com2' && ! grep -aqE 'pages, [1-9][0-9]* wrong|FAILED' '$tmp/h.com2'"
# A place on offer has no page until a frame has come: so its pages vary by the 64 places, and no more.
check "it has as many pages as before" sh -c "grep -ao 'wrong, [0-9]* pages' '$tmp/h.com2' | awk '{ if (!n++ || \$2 < lo) lo = \$2; if (\$2 > hi) hi = \$2 } END { exit !(n >= 30 && hi - lo <= 64) }'"
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC|is lost' '$tmp/h.log'"
[ $bad -eq 0 ] || { tail -n 20 "$tmp/h.log"; tail -n 30 "$tmp/h.com2"; }
finish
