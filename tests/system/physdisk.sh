# SPDX-License-Identifier: MIT
# physdisk.sh - disks and GPT partitions of the host (virtio-blk, NVMe; 512 and 4096-byte sectors) as disks
# of a stock guest; what the guest read is compared with the image files; refusals.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/hello || exit 1
cp build/guests/hello "$tmp/hello"
cp "$kernel" "$tmp/vmlinuz"
cp "$initramfs" "$tmp/initramfs"
port=$(free_port)
api=http://127.0.0.1:$port

# image NAME MIB: random contents
image() { head -c $(($2 << 20)) /dev/urandom > "$tmp/$1"; }
image v512 4; image v4k 4; image vro 4; image vgpt 16; image n512 8; image n4k 8; image ngpt 16; image backup 8
uuid=6ba7b810-9dad-11d1-80b4-00c04fd430c8
PATH=$PATH:/sbin:/usr/sbin
sgdisk -o -n 1:2048:+2M -c 1:root -n 3:0:+4M -c "3:data disk" "$tmp/vgpt" > "$tmp/sgdisk.out" 2>&1 || cat "$tmp/sgdisk.out"
printf 'g\nn\n2\n512\n+2M\nn\n7\n2048\n+4M\nx\nu\n7\n%s\nn\n7\nroot\nr\nw\n' $uuid |
    fdisk -w always -W always -b 4096 "$tmp/ngpt" > "$tmp/fdisk.out" 2>&1
# A primary table that is damaged: the one at the end counts.
sgdisk -o -n 1:2048:+1M -c 1:saved "$tmp/backup" > /dev/null 2>&1
printf 'X' | dd of="$tmp/backup" bs=1 seek=530 conv=notrunc 2> /dev/null

drive() { echo "-drive if=none,format=raw,id=$1,file=$tmp/$1${2:+,$2}"; }
vblk() { echo "$(drive "$1" "${3:-}") -device virtio-blk-pci,disable-legacy=on,drive=$1${2:-}"; }
nvme() { echo "$(drive "$1") -device nvme,serial=$1,drive=$1${2:-}"; }
b4k=,logical_block_size=4096,physical_block_size=4096
# shellcheck disable=SC2046 # split on purpose
host_start h -machine q35 -m 768 -smp 2 -kernel build/sluice -append debugexit \
    -initrd "$(modules "console=com2:db ip=10.0.2.77/24,,10.0.2.2 api=insecure" "$tmp"/{hello,vmlinuz,initramfs})" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:80" -device virtio-net-pci,netdev=n0,romfile= \
    $(vblk v512) $(vblk v4k $b4k) $(vblk vro "" readonly=on) $(vblk vgpt) $(vblk backup) \
    $(nvme n512) $(nvme n4k $b4k) $(nvme ngpt $b4k)
log=$tmp/h.log
api_until 30 '.software == "sluice"' /v1/host || { flunk "the host starts"; cat "$log"; finish; }

# The API answers before the last partition table was read.
for n in vdd3 vde1 nvme0n1 nvme1n1 nvme2n1p7; do wait_for 60 " $n: .* MiB" "$log"; done
check "virtio disks are found" has 'vda: virtio, 4 MiB, sectors of 512 bytes, write cache, discard' "$log"
check "  of 4096-byte sectors" has 'vdb: virtio, 4 MiB, sectors of 4096 bytes' "$log"
check "  read-only" has 'vdc: virtio, 4 MiB, sectors of 512 bytes, read-only' "$log"
check "NVMe disks are found" has 'nvme0n1: .*, 8 MiB, sectors of 512 bytes, write cache' "$log"
check "  of 4096-byte sectors" has 'nvme1n1: .*, 8 MiB, sectors of 4096 bytes' "$log"
check "partitions that sgdisk made" has 'vdd3: 4 MiB, PARTUUID [0-9a-f-]{36}, "data disk"' "$log"
check "partitions that fdisk made on 4096-byte sectors" has "nvme2n1p7: 4 MiB, PARTUUID $uuid, \"root\"" "$log"
check "a damaged table: its backup" has 'vde: partition table: the header.s check sum is wrong; its backup at the end is used' "$log"
check "  which has its partition" has 'vde1: 1 MiB, PARTUUID .*, "saved"' "$log"

check "the API lists them" test "$(api GET /v1/disks | jq -r '.[] | [.name, .kind, .sectors, .sector_bytes, .mode, .label] | join(",")' |
    grep -cxE 'vda,disk,8192,512,w,|vdb,disk,8192,4096,w,|vdc,disk,8192,512,r,|vdd3,partition,8192,512,w,data disk|nvme2n1p7,partition,8192,4096,w,root')" = 5

create() { printf '%s\n' "name=\"$1\"" "${@:2}" | api POST /v1/domains --data-binary @-; }
small() { create "$1" 'kernel="hello"' 'memory=16' 'extra="forever"' "disk=[ $2 ]"; }
gone() { api_until 60 "map(select(.name == \"$1\")) | length == 0" /v1/domains; }
guest_ok() { wait_for 120 'test phys: (ok|FAILED)|Kernel panic' "$tmp/h.com2" && has 'test phys: ok' "$tmp/h.com2"; }
refused() { has "$2" <(small x "$1"); }

disks="'phy:/dev/vda,xvda,w', 'phy:/dev/vdb,xvdb,w', '/dev/vdc,raw,xvdc,r', 'phy:/dev/disk/by-partlabel/data\\\\x20disk,xvdd,w',"
disks+=" 'phy:/dev/nvme0n1,xvde,w', '/dev/nvme1n1,raw,xvdf,w', 'phy:PARTUUID=$uuid,xvdg,w', '/dev/vdd1,raw,xvdh,r'"
create db 'kernel="vmlinuz"' 'ramdisk="initramfs"' 'memory=128' "disk=[ $disks ]" \
    'extra="console=hvc0 quiet ip=none test=phys"' 'on_poweroff="destroy"' > "$tmp/created"
check "eight disks of a stock guest: written, read back, flushed, zeroed, discarded" \
    guest_ok
gone db
check "  all let go of" test "$(grep -ac 'vbd[0-9.]*: removed' "$log")" -eq 8

cat > "$tmp/crc.py" <<'EOF2'
import sys, zlib
path, start, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
f = open(path, "rb"); f.seek(start)
print("%08x" % zlib.crc32(f.read(size)))
EOF2
# same DISK SECTOR-SIZE MODE IMAGE START MIB
same() {
    local crc; crc=$(python3 "$tmp/crc.py" "$tmp/$4" "$5" $(($6 << 20)))
    check "$1 is what the image $4 holds" has "phys: $1 $(($6 << 20)) $2 $3 $crc" "$tmp/h.com2"
}
same xvda 512 rw v512 0 4
same xvdb 4096 rw v4k 0 4
same xvdc 512 ro vro 0 4
same xvdd 512 rw vgpt $((512 * (2048 + 4096))) 4
same xvde 512 rw n512 0 8
same xvdf 4096 rw n4k 0 8
same xvdg 4096 rw ngpt $((4096 * 2048)) 4
same xvdh 512 ro vgpt $((512 * 2048)) 2
for d in a b d e f g; do
    check "  discard and zeroing of xvd$d" test "$(grep -acE "phys: /dev/xvd$d: (zero|discard) ok" "$tmp/h.com2")" -eq 2
done

check "a disk that is not there is refused" refused "'phy:/dev/vdz,xvda,w'" 'this host has no such disk or partition'
check "  a label that two partitions have" refused "'phy:/dev/disk/by-partlabel/root,xvda,w'" '2 partitions of this host are called so'
check "  writing to a read-only disk" refused "'phy:/dev/vdc,xvda,w'" 'vdc is read-only'
small writer "'phy:/dev/vdd1,xvda,w', 'phy:/dev/nvme0n1,xvdb,w'" > "$tmp/created"
check "two writers are refused" refused "'phy:/dev/nvme0n1,xvda,w'" 'already in use by somebody who writes'
check "  a reader beside a writer, too" refused "'phy:/dev/vdd1,xvda,r'" 'already in use'
check "  and the whole disk beside one partition" refused "'phy:/dev/vdd,xvda,w'" 'already in use'
small other "'phy:/dev/vdd3,xvda,w', '/dev/vdc,raw,xvdb,r'" > "$tmp/created"
check "  but not another partition" test "$(jq -r .state < "$tmp/created")" = running
small third "'/dev/vdc,raw,xvda,r'" > "$tmp/created"
check "  nor two readers" test "$(jq -r .state < "$tmp/created")" = running
api DELETE /v1/domains/writer > /dev/null
gone writer
small x "'phy:/dev/vdd1,xvda,w'" > "$tmp/created"
check "when the writer is gone another may write" test "$(jq -r .state < "$tmp/created")" = running
host_stop "$host_pid"
[ $bad -eq 0 ] || { tail -n 60 "$log"; tail -n 30 "$tmp/h.com2"; cat "$tmp/fdisk.out" "$tmp/sgdisk.out"; }
finish
