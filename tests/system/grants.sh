# SPDX-License-Identifier: MIT
# grants.sh - two mini guests try every grant operation on each other, on our hypervisor and on the
# reference (Debian's package of Xen under our dom0): both must allow and refuse the same.
. "$(dirname "$0")/lib.sh"

cp build/guests/grants "$tmp/grants"
for r in owner user; do
    printf 'name = "%s"\nkernel = "grants"\nmemory = 16\nextra = "%s"\n' $r $r > "$tmp/$r.cfg"
done
echo 'autostart = [ "owner.cfg", "user.cfg" ]' > "$tmp/host.cfg"
both() {
    check "$1: who uses grants" wait_for 40 'grants user: ok' "$tmp/h.com2"
    check "$1: who gives them" wait_for 20 'grants owner: ok' "$tmp/h.com2"
    grep -a FAILED "$tmp/h.com2"
    host_stop "$host_pid"
}
host_start h -machine q35 -m 256 -smp 2 -kernel build/sluice -append debugexit \
    -initrd "$(modules "console=com2" "$tmp"/{host.cfg,owner.cfg,user.cfg,grants})"
both "on Sluice"
check "  nothing leaked, no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"

if mk/kernel.sh xen; then
    (cd "$tmp" && printf '%s\n' host.cfg owner.cfg user.cfg grants | cpio --quiet -o -H newc) > "$tmp/files.cpio"
    rm -f "$tmp"/h.*
    host_start h -machine q35 -m 1024 -kernel build/kernels/xen/vmlinuz \
        -append "com1=115200,8n1 console=com1 dom0_mem=256M noreboot" -initrd "$top/build/dom0 console=com2,$tmp/files.cpio"
    both "on Xen"
else
    flunk "fetch the reference hypervisor"
fi
finish
