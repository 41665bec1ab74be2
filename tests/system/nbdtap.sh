# SPDX-License-Identifier: MIT
# nbdtap.sh - NBD servers and a stock guest's TCP over a card that cuts and puts together segments (a tap device in a
# namespace of its own), and exports that are slow, full, or fail now and then. Needs root.
. "$(dirname "$0")/lib.sh"

tap_begin "NBD over a tap device" vnet_hdr 10.9.0.1/24

python3 - "$tmp/a.img" <<'EOP'
import sys
with open(sys.argv[1], "wb") as f:
    for n in range(4096):
        f.write(n.to_bytes(8, "little") + bytes([n & 255]) * 504)
EOP
cp "$tmp/a.img" "$tmp/b.img"
truncate -s 512K "$tmp/slow.img"
truncate -s 2M "$tmp/flaky.img"
mkdir "$tmp/small"
kit() { in_ns nbdkit -f -p "$@" > "$tmp/nbdkit.$1" 2>&1 & pids+=($!); }
kit 1001 file "$tmp/a.img"
kit 1002 -r file "$tmp/b.img"
# A file that may become larger than the file system that it is in.
in_ns unshare -m sh -c "mount -t tmpfs -o size=1m none '$tmp/small' && truncate -s 4M '$tmp/small/image' &&
    exec nbdkit -f -p 1003 file '$tmp/small/image'" > "$tmp/nbdkit.1003" 2>&1 & pids+=($!)
kit 1004 --filter=delay file "$tmp/slow.img" rdelay=500ms wdelay=500ms
kit 1005 --filter=error file "$tmp/flaky.img" error=EIO error-pread-rate=20% error-pwrite-rate=20%

# The outside: sends what test-tcp's server would, and checks what it gets.
in_ns python3 tests/system/tcpoutside.py 10.9.0.1 1006 > "$tmp/outside" 2>&1 & pids+=($!)
cp "$kernel" "$initramfs" "$tmp/"
nbd=nbd:10.9.0.1
cat > "$tmp/guest.cfg" <<EOP
name = "guest"
kernel = "vmlinuz"
ramdisk = "initramfs.gz"
memory = 192
vif = [ "mac=00:16:3e:00:00:01" ]
disk = [ "$nbd:1001/,raw,xvda,w", "$nbd:1002/,raw,xvdb,r", "$nbd:1003/,raw,xvdc,w", "$nbd:1004/,raw,xvdd,w",
         "$nbd:1005/,raw,xvde,w" ]
extra = "console=hvc0 quiet ip=10.9.0.21/24 peer=10.9.0.1:1006 test=disk,tcp,ioerr then=poweroff"
on_poweroff = "destroy"
on_crash = "destroy"
EOP
echo 'autostart = [ "guest.cfg" ]' > "$tmp/host.cfg"
tap_host h 512 "$(modules "ip=10.9.0.254/24 api=insecure console=com2" "$tmp"/{host.cfg,guest.cfg,vmlinuz,initramfs.gz})"
check "the card cuts segments and puts them together" wait_for 60 'nic0: virtio.*, checksums, tso, big frames' "$tmp/h.log"
check "a guest on NBD servers beyond it ends" wait_for 300 'guest: domain [0-9]+ is gone' "$tmp/h.log"
out=$tmp/h.com2
check "  its disk: every byte read and written" has 'test disk: ok' "$out"
check "  its network: every byte of TCP both ways" has 'test tcp: ok' "$out"
check "  and outside, too" has 'outside: all right' "$tmp/outside"
check "a server whose file system is full: writes fail, what was acknowledged is there" \
    has 'xvdc: [1-9][0-9]* written, [1-9][0-9]* refused, 0 reads' "$out"
check "a slow server: requests wait and do not fail" has 'xvdd: 8 written, 0 refused, 0 reads' "$out"
check "a server that fails now and then: errors come through, and only those" \
    has 'xvde: [1-9][0-9]* written, [1-9][0-9]* refused, [1-9][0-9]* reads' "$out"
check "  the test in the guest agrees" has 'test ioerr: ok' "$out"
grep -a 'ioerr:' "$out" | sed 's/^/# /'
# Were there segments larger than a packet at all?
big() { in_ns cat /sys/class/net/tap0/statistics/"$1"_{bytes,packets} | xargs | awk '{ print int($1 / $2) }'; }
check "large segments came out of the host ($(big rx) bytes each, tcp included)" test "$(big rx)" -gt 1514
check "  and into it ($(big tx))" test "$(big tx)" -gt 1514
check "no panic in the host's log" test "$(grep -acE 'PANIC|BUG' "$tmp/h.log")" -eq 0
[ $bad -eq 0 ] || { tail -n 30 "$tmp/h.log"; tail -n 30 "$out"; cat "$tmp/h.qemu" "$tmp"/nbdkit.*; }
finish
