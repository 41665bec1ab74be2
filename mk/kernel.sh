#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kernel.sh - fetches a stock Debian kernel: build/kernels/NAME/{vmlinuz,config,modules/,modules.root/}.
#
#   mk/kernel.sh amd64          linux-image-amd64: the generic kernel (xz payload)
#   mk/kernel.sh cloud-amd64    linux-image-cloud-amd64 (lz4 payload)
#   mk/kernel.sh grub           grub-xen-host: PV GRUB as build/kernels/grub/vmlinuz
#   mk/kernel.sh xen            xen-hypervisor-4.17-amd64: the reference, to compare behaviour with
#
# Takes the version that the release serves; apt verifies its signature. Nothing is installed.
set -eu
cd "$(dirname "$0")/.."
fail() { echo "kernel: $*" >&2; exit 1; }

name=${1:?usage: mk/kernel.sh amd64|cloud-amd64|grub|xen}
out=$PWD/build/kernels/$name
[ ! -e "$out/.complete" ] || exit 0

# The package that a metapackage depends on; lists are fetched when apt has none.
real_package() {
    apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

lists() {
    if [ "$(id -u)" = 0 ]; then apt-get -q update >/dev/null; else sudo -n apt-get -q update >/dev/null; fi ||
        fail "apt has no package lists, and 'apt-get update' failed: run it as root"
}

case $name in
grub) package=grub-xen-host; apt-cache show $package >/dev/null 2>&1 || lists ;;
xen) package=xen-hypervisor-4.17-amd64; apt-cache show $package >/dev/null 2>&1 || lists ;;
*)
    package=$(real_package "linux-image-$name")
    [ -n "$package" ] || { lists; package=$(real_package "linux-image-$name"); }
    [ -n "$package" ] || fail "no package linux-image-$name"
    ;;
esac

tmp=$PWD/build/kernels/.$name.new
rm -rf "$tmp" && mkdir -p "$tmp/x"
printf '  %-8s %s\n' FETCH "$package"
(cd "$tmp" && apt-get -q -o APT::Sandbox::User="$(id -un)" download "$package") > "$tmp/log" 2>&1 ||
    { cat "$tmp/log" >&2; fail "cannot download $package"; }
dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -x -C "$tmp/x"
rm -f "$tmp"/*.deb
case $name in
grub)
    mv "$tmp"/x/usr/lib/grub-xen/grub-x86_64-xen.bin "$tmp/vmlinuz"
    ;;
xen)
    gzip -dc "$tmp"/x/boot/xen-*.gz > "$tmp/vmlinuz"
    ;;
*)
    mv "$tmp"/x/boot/vmlinuz-* "$tmp/vmlinuz"
    mv "$tmp"/x/boot/config-* "$tmp/config"
    # modules.root: what mounting a root file system takes, on paravirtual and on virtio disks.
    mkdir "$tmp/modules" "$tmp/modules.root"
    for m in ext4 jbd2 mbcache crc16 crc32c_generic virtio virtio_ring virtio_pci virtio_pci_modern_dev \
             virtio_pci_legacy_dev virtio_blk virtio_net net_failover failover; do
        find "$tmp/x/lib/modules" -name "$m.ko*" -exec mv {} "$tmp/modules.root/" \;
    done
    find "$tmp/x/lib/modules" \( -name 'xen-netfront.ko*' -o -name 'xen-blkfront.ko*' \) \
        -exec mv {} "$tmp/modules/" \;
    ;;
esac
touch "$tmp/.complete"
rm -rf "$tmp/x" "$out" && mv "$tmp" "$out"
