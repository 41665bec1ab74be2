# SPDX-License-Identifier: MIT
# boot.sh - every way in: multiboot 1 and 2, BIOS and UEFI, disk image and network.
. "$(dirname "$0")/lib.sh"

ready='dom0: ready'
boots() {   # what, seconds, QEMU arguments...
    local what=$1 seconds=$2; shift 2
    host_start b "$@"
    local pid=$host_pid
    if wait_for "$seconds" "$ready" "$tmp/b.log"; then pass "$what"; else flunk "$what"; tail -n 5 "$tmp/b.log"; cat "$tmp/b.qemu"; fi
    host_stop "$pid"
    cp "$tmp/b.log" "$tmp/last.log"
    rm -f "$tmp"/b.*
}

for m in pc q35; do
    boots "qemu -kernel on $m" 20 -machine $m -m 256 -kernel build/sluice -initrd "$(modules "")"
done
boots "2 CPUs, 5 GiB: RAM above 4 GiB" 20 -machine q35 -m 5G -smp 2 -kernel build/sluice -initrd "$(modules "")"
boots "4 CPUs" 20 -machine q35 -m 256 -smp 4 -kernel build/sluice -initrd "$(modules "")"

pxe/mkiso.sh "$tmp/s.iso"
boots "GRUB ISO on BIOS (multiboot 2)" 20 -machine pc -m 256 -cdrom "$tmp/s.iso"
cp /usr/share/OVMF/OVMF_VARS.fd "$tmp/vars.fd"
uefi=(-drive "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd" -drive "if=pflash,format=raw,file=$tmp/vars.fd")
boots "GRUB ISO on UEFI (multiboot 2)" 40 -machine q35 -m 512 "${uefi[@]}" -cdrom "$tmp/s.iso"

DOM0_ARGS='' pxe/mkroot.sh "$tmp/root"
boots "iPXE by TFTP" 40 -machine q35 -m 256 -netdev "user,id=n0,tftp=$tmp/root,bootfile=boot.ipxe" \
    -device virtio-net-pci,netdev=n0,bootindex=0
check "iPXE's script put MAC and UUID on dom0's command line" has 'mac=52:54:00:12:34:56 uuid=[0-9a-f-]{36}' "$tmp/last.log"
port=$(free_port)
python3 -m http.server -d "$tmp/root" -b 127.0.0.1 "$port" > "$tmp/http.log" 2>&1 & pids+=($!)
boots "iPXE by HTTP" 40 -machine q35 -m 256 -netdev "user,id=n0,bootfile=http://10.0.2.2:$port/boot.ipxe,tftp=$tmp" \
    -device virtio-net-pci,netdev=n0,bootindex=0
cp /usr/share/OVMF/OVMF_VARS.fd "$tmp/vars.fd"
boots "GRUB netboot on UEFI" 60 -machine q35 -m 512 "${uefi[@]}" -netdev "user,id=n0,tftp=$tmp/root,bootfile=grubx64.efi" \
    -device virtio-net-pci,netdev=n0,bootindex=0

# Without a dom0 the host says so and stops.
host_start none -machine q35 -m 256 -kernel build/sluice -append "debugexit"
check "no dom0 module: one clear line" wait_for 15 'no dom0|no boot module|without.*dom0' "$tmp/none.log"
finish
