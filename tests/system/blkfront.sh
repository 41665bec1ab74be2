# SPDX-License-Identifier: MIT
# blkfront.sh - our own frontend in a mini guest: everything written is read back and compared, on a RAM disk, virtio
# and NVMe disks, while it lets go of its backend again and again; a read-only disk takes no write.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/blkverify || exit 1
head -c 4M /dev/zero > "$tmp/ram"
truncate -s 8M "$tmp/virtio"
truncate -s 16M "$tmp/nvme"
drives=(-drive "if=none,format=raw,id=v,file=$tmp/virtio" -device virtio-blk-pci,drive=v
        -drive "if=none,format=raw,id=n,file=$tmp/nvme"
        -device nvme,serial=n,drive=n,logical_block_size=4096,physical_block_size=4096)

# verify WHAT DISK WORDS PATTERN
verify() {
    printf '%s\n' 'name="g"' 'kernel="blkverify"' 'memory=32' "disk=[ '$2' ]" "extra=\"$3\"" > "$tmp/g.cfg"
    host_start h -machine q35 -m 256 -kernel build/sluice -append debugexit \
        -initrd "$(modules "solo=g.cfg ip=none" "$tmp"/{g.cfg,ram} build/guests/blkverify)" "${drives[@]}"
    wait "$host_pid" 2>/dev/null
    check "$1" has "$4" "$tmp/h.com2"
    grep -a 'blkverify:' "$tmp/h.com2" | sed 's/^/# /'
    [ $bad -eq 0 ] || tail -n 30 "$tmp/h.log"
}

verify "a RAM disk" 'ram,raw,xvda,w' "qd=32" 'blkverify: ok'
verify "a virtio disk" 'phy:/dev/vda,xvda,w' "qd=32 rounds=5" 'blkverify: ok'
verify "an NVMe disk with 4096-byte sectors" 'phy:/dev/nvme0n1,xvda,w' "qd=64" 'blkverify: ok'
verify "the backend is let go of every 15 ms: requests are resubmitted" 'phy:/dev/vda,xvda,w' \
    "reconnect=15 qd=32 rounds=20" 'blkverify: [0-9]+ requests, 0 failed, [0-9]+ reconnects, [1-9][0-9]* resubmitted'
check "  and everything is as it was written" has 'blkverify: ok' "$tmp/h.com2"
verify "a read-only disk takes no write" 'phy:/dev/vda,xvda,r' "mode=errors rounds=1" 'blkverify: [0-9]+ requests, [1-9][0-9]* failed'
finish
