#!/bin/bash
# SPDX-License-Identifier: MIT
#
# mkinitrd.sh KERNELDIR OUT - the initial RAM disk that mounts a server's root file system: busybox,
# the modules for ext4 and for paravirtual and virtio devices, and the work that the server does.
set -eu
cd "$(dirname "$0")/../.."
kernel=$1 out=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,dev,proc,sys,run,root,modules,apps}
cp /bin/busybox "$root/bin/busybox"
for a in $("$root/bin/busybox" --list); do
    [ "$a" = busybox ] || ln -s busybox "$root/bin/$a"
done
cp "$kernel"/modules/*.ko "$kernel"/modules.root/*.ko "$root/modules/"
cp tests/apps/init "$root/init"
cp tests/apps/work.sh tests/apps/apps.service "$root/apps/"
chmod 755 "$root/init" "$root/apps/work.sh"
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -R 0:0 --reproducible -o -H newc) | gzip -n9 > "$out.new"
mv "$out.new" "$out"
