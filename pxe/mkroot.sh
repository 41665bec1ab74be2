#!/bin/bash
# SPDX-License-Identifier: MIT
#
# mkroot.sh DIR [FILE...] - lays out what a boot server serves: hypervisor, dom0, an iPXE script
# for every host, a GRUB netboot tree for UEFI hosts, an example dnsmasq.conf, and the FILEs
# (host.cfg, kernels, ramdisks...) as boot modules under their own names. DOM0_ARGS in the
# environment goes on dom0's command line.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:?usage: pxe/mkroot.sh DIR [FILE...]}; shift
mkdir -p "$dir/grub"
cp "$top/build/sluice" "$top/build/dom0" "$top/pxe/dnsmasq.conf" "$dir/"
ipxe= grub=
for f in "$@"; do
    name=$(basename "$f")
    cp -L "$f" "$dir/$name"
    ipxe+="module $name $name"$'\n'
    grub+="    module2 --nounzip /$name $name"$'\n'
done
fill() {    # template -> file; awk, since module lists hold newlines
    ARGS=${DOM0_ARGS:-} IPXE=$ipxe GRUB=$grub awk '
        { gsub(/@DOM0_ARGS@/, ENVIRON["ARGS"]) }
        /^@MODULES@/ { printf "%s", ENVIRON["IPXE"]; next }
        /^@GRUB_MODULES@/ { printf "%s", ENVIRON["GRUB"]; next }
        { print }' "$1" > "$2"
}
fill "$top/pxe/boot.ipxe" "$dir/boot.ipxe"
fill "$top/pxe/grub.cfg" "$dir/grub/grub.cfg"
if [ -d /usr/lib/grub/x86_64-efi ]; then
    early=$(mktemp)
    # shellcheck disable=SC2016 # GRUB's variables, not the shell's
    echo 'configfile (tftp,$net_default_server)/grub/grub.cfg' > "$early"
    grub-mkimage -O x86_64-efi -o "$dir/grubx64.efi" -p '(tftp)/grub' -c "$early" normal configfile \
        net efinet tftp http multiboot multiboot2 serial terminal echo gzio test sleep boot halt \
        reboot minicmd regexp efi_gop all_video
    rm -f "$early"
fi
for rom in /usr/lib/ipxe/undionly.kpxe /usr/lib/ipxe/ipxe.lkrn; do
    if [ -e "$rom" ]; then cp "$rom" "$dir/"; fi
done
