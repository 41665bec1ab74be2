#!/bin/bash
# SPDX-License-Identifier: MIT
#
# initramfs.sh KERNELDIR OUT [FILE...] - a small initramfs: busybox (with its httpd), the
# netfront and blkfront modules of that kernel, tests/guest/init, and the files given (to /bin).
set -eu
cd "$(dirname "$0")/.."
kernel=$1 out=$2; shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,dev,proc,sys,etc,tmp,run,www,lib/modules}
cp /bin/busybox "$root/bin/busybox"
# Debian's static busybox; a dynamic one would not run here.
! ldd "$root/bin/busybox" >/dev/null 2>&1 || { echo "initramfs: /bin/busybox is not static: install busybox-static" >&2; exit 1; }
for a in $("$root/bin/busybox" --list); do
    [ "$a" = busybox ] || ln -s busybox "$root/bin/$a"
done
for m in "$kernel"/modules/*.ko*; do
    case $m in
    *.xz) xz -dc "$m" > "$root/lib/modules/$(basename "$m" .xz)" ;;
    *.ko) cp "$m" "$root/lib/modules/" ;;
    esac
done
cp tests/guest/init "$root/init"
cp tests/guest/udhcpc.sh "$root/etc/udhcpc.sh"
chmod 755 "$root/init" "$root/etc/udhcpc.sh"
# What the kernel runs when it is asked through control/shutdown; init is a script and heeds no signal.
mkdir -p "$root/sbin"
for a in poweroff reboot; do
    printf '#!/bin/sh\necho "guest: asked to %s"\nexec /bin/%s -f\n' $a $a > "$root/sbin/$a"
    chmod 755 "$root/sbin/$a"
done
for f in "$@"; do cp "$f" "$root/bin/"; done
mkdir -p "$(dirname "$out")"
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -R 0:0 --reproducible -o -H newc) | gzip -n9 > "$out.new"
mv "$out.new" "$out"
