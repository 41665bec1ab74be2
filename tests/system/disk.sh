# SPDX-License-Identifier: MIT
# disk.sh - disks of a stock guest, made from a boot module: read, write, flush, read-only.
. "$(dirname "$0")/lib.sh"

python3 - "$tmp/image" <<'EOF'
import sys
with open(sys.argv[1], "wb") as f:
    for n in range(4096):
        f.write(n.to_bytes(8, "little") + bytes([n & 255]) * 504)
EOF
cp "$kernel" "$initramfs" "$tmp/"
cat > "$tmp/guest.cfg" <<'EOF'
name = "guest"
kernel = "vmlinuz"
ramdisk = "initramfs.gz"
memory = 192
vcpus = 2
disk = [ "image,raw,xvda,w", "image,raw,xvdb,r" ]
extra = "console=hvc0 quiet ip=none test=disk blkfront=max_ring_page_order=4,max_indirect_segments=256"
on_crash = "destroy"
EOF
host_start h -machine q35 -m 512 -kernel build/sluice -append debugexit \
    -initrd "$(modules "solo=guest.cfg" "$tmp"/{guest.cfg,vmlinuz,initramfs.gz,image})"
check "2 MiB read, 300 writes read back, flushes, discard, a read-only twin; two queues of 16 pages" wait_for 120 'test disk: ok' "$tmp/h.com2"
check "  as asked" has 'vbd[0-9]*.51712: connected, 2048 KiB, 2 x 512 requests' "$tmp/h.log"
wait_for 20 'is gone' "$tmp/h.log"
check "both are let go of at the end" test "$(grep -c 'vbd[0-9.]*: removed' "$tmp/h.log")" -ge 2
grep -a 'disk:' "$tmp/h.com2" | sed 's/^/# /'
host_stop "$host_pid"
tests/run-guest --config "$tmp/guest.cfg" --timeout 60 "$kernel" "$initramfs" > "$tmp/out" 2> "$tmp/err"
check "a disk that is not there: the domain is refused" test $? -eq 1
check "  with one clear line" has 'error: guest: disk "image": no such file' "$tmp/err"
[ $bad -eq 0 ] || { tail -n 25 "$tmp/h.log"; tail -n 20 "$tmp/h.com2"; }
finish
