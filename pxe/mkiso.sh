#!/bin/bash
# SPDX-License-Identifier: MIT
#
# mkiso.sh OUT [FILE...] - an ISO image with GRUB for BIOS and UEFI that boots the hypervisor with
# dom0 and the FILEs as modules. HV_ARGS and DOM0_ARGS in the environment go on the command lines.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
out=$1; shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/boot/grub"
cp "$top/build/sluice" "$top/build/dom0" "$dir/boot/"
{
    echo 'set timeout=0'
    echo 'insmod multiboot2'
    echo 'menuentry "Sluice" {'
    echo "    multiboot2 /boot/sluice ${HV_ARGS:-}"
    echo "    module2 --nounzip /boot/dom0 dom0 ${DOM0_ARGS:-}"
    for f in "$@"; do
        cp -L "$f" "$dir/boot/"
        echo "    module2 --nounzip /boot/$(basename "$f") $(basename "$f")"
    done
    echo '}'
} > "$dir/boot/grub/grub.cfg"
grub-mkrescue -o "$out.new" "$dir" > "$out.log" 2>&1 || { cat "$out.log" >&2; exit 1; }
rm -f "$out.log"
mv "$out.new" "$out"
