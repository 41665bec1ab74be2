# SPDX-License-Identifier: MIT
# nbd.sh - disks of a stock guest on NBD servers.
. "$(dirname "$0")/lib.sh"

python3 - "$tmp/a.img" <<'EOP'
import sys
with open(sys.argv[1], "wb") as f:
    for n in range(4096):
        f.write(n.to_bytes(8, "little") + bytes([n & 255]) * 504)
EOP
cp "$tmp/a.img" "$tmp/b.img"
cp "$kernel" "$initramfs" "$tmp/"
pa=$(free_port)
pb=$(free_port)
nbdkit -f -i 127.0.0.1 -p "$pa" -e a file "$tmp/a.img" > "$tmp/a.nbd" 2>&1 & pids+=($!)
qemu-nbd -t -r -b 127.0.0.1 -p "$pb" -x b -e 4 -f raw "$tmp/b.img" > "$tmp/b.nbd" 2>&1 & pids+=($!)
cat > "$tmp/guest.cfg" <<EOP
name = "guest"
kernel = "vmlinuz"
ramdisk = "initramfs.gz"
memory = 192
vcpus = 2
disk = [ "nbd:10.0.2.2:$pa/a,raw,xvda,w", "nbd:10.0.2.2:$pb/b,raw,xvdb,r" ]
extra = "console=hvc0 quiet ip=none test=disk blkfront=max_ring_page_order=4,max_indirect_segments=256"
on_crash = "destroy"
EOP
host_start h -machine q35 -m 512 -netdev user,id=n -device virtio-net-pci,netdev=n,disable-legacy=on,romfile= \
    -kernel build/sluice -append debugexit -initrd "$(modules "solo=guest.cfg" "$tmp"/{guest.cfg,vmlinuz,initramfs.gz})"
check "nbdkit and qemu-nbd: 2 MiB read, 300 writes read back, flushes, discard" \
    wait_for 120 'test disk: ok' "$tmp/h.com2"
wait_for 20 'is gone' "$tmp/h.log"
grep -a 'nbd' "$tmp/h.log" | sed 's/^/# /'
[ $bad -eq 0 ] || { tail -n 25 "$tmp/h.log"; tail -n 20 "$tmp/h.com2"; }
finish
