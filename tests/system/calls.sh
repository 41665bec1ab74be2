# SPDX-License-Identifier: MIT
# calls.sh - a mini guest makes every hypercall that a guest can make, mostly wrongly, on our
# hypervisor and on the reference (Debian's package of Xen under our dom0): the results must be the
# same but where tests/system/data/calls.differ says why not, and everything there must be true.
. "$(dirname "$0")/lib.sh"

cp build/guests/{calls,netbsd} "$tmp/"
for g in calls netbsd; do
    printf 'name = "%s"\nkernel = "%s"\nmemory = 16\nvcpus = 2\n' $g $g > "$tmp/$g.cfg"
done
echo 'autostart = [ "calls.cfg" ]' > "$tmp/host.cfg"
answers() {
    check "$1: all calls are made" wait_for 240 'calls: end' "$tmp/h.com2"
    sed -n 's/^calls: //p' "$tmp/h.com2" | tr -d '\r' > "$tmp/$1"
    host_stop "$host_pid"
}
host_start h -machine q35 -m 256 -smp 2 -kernel build/sluice -append debugexit \
    -initrd "$(modules "console=com2" "$tmp"/{host.cfg,calls.cfg,calls})"
answers sluice
check "  no rule of ours broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
mk/kernel.sh xen || { flunk "fetch the reference hypervisor"; finish; }
# Debian's package of it under our dom0: one guest.
reference() {
    echo "autostart = [ \"$1.cfg\" ]" > "$tmp/host.cfg"
    (cd "$tmp" && printf '%s\n' host.cfg "$1.cfg" "$1" | cpio --quiet -o -H newc) > "$tmp/files.cpio"
    host_start h -machine q35 -m 1024 -smp 2 -kernel build/kernels/xen/vmlinuz \
        -append "com1=115200,8n1 console=com1 dom0_mem=256M noreboot pv-l1tf=false" -initrd "$top/build/dom0 console=com2,$tmp/files.cpio"
}
reference calls
answers xen
reference netbsd
wait_for 240 'netbsd: (ok|FAILED)' "$tmp/h.com2"
check "what NetBSD's kernel does works there, too (here: guest.sh)" has 'netbsd: ok' "$tmp/h.com2"
grep -a 'netbsd: line' "$tmp/h.com2"
host_stop "$host_pid"

# Calls that differ, as "CALL: the reference's result, ours".
check "both make the same calls" test "$(wc -l < "$tmp/xen")" -eq "$(wc -l < "$tmp/sluice")"
paste -d '\t' "$tmp/xen" "$tmp/sluice" | awk -F '\t' '$1 != $2 { sub(/.* = /, "", $2); print $1 ", " $2 }' > "$tmp/differ"
sed 's/ *##.*//; /^#/d; /^$/d' tests/system/data/calls.differ > "$tmp/allowed"
grep -vEf "$tmp/allowed" "$tmp/differ" > "$tmp/unexplained"
check "what is refused is refused alike ($(grep -c . "$tmp/xen") calls)" test ! -s "$tmp/unexplained"
cat "$tmp/unexplained"
while read -r what; do
    check "  the exception is one: $what" grep -qE "$what" "$tmp/differ"
done < "$tmp/allowed"
finish
