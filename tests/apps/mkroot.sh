#!/bin/bash
# SPDX-License-Identifier: MIT
#
# mkroot.sh OUT - a Debian 12 root file system with systemd, PostgreSQL, MariaDB and Apache, as an ext4
# image: what a server's disk is. Nothing of ours is in it. Needs root; two minutes and 2 GB.
set -eu
out=${1:?usage: mkroot.sh OUT}
fail() { echo "mkroot: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "making a root file system needs root"

# The mirror, suites and keys that this machine uses for Debian.
sources=/etc/apt/sources.list.d/debian.sources
[ -e $sources ] || sources=/etc/apt/sources.list
tmp=$(mktemp -d "$(dirname "$out")/.root.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
printf '  %-8s %s\n' DEBIAN "$(basename "$out"): systemd, PostgreSQL, MariaDB, Apache, gcc"
mmdebstrap --variant=minbase --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include=systemd-sysv,udev,kmod,iproute2,procps,curl,apache2,postgresql,mariadb-server,gcc,libc6-dev \
    bookworm "$tmp/root" "$sources" > "$out.log" 2>&1 || { tail -n 5 "$out.log" >&2; fail "mmdebstrap failed (see $out.log)"; }
rm -rf "$tmp"/root/var/cache/apt/* "$tmp"/root/var/lib/apt/lists/*
truncate -s 3G "$tmp/image"
mke2fs -q -t ext4 -d "$tmp/root" "$tmp/image" || fail "mke2fs failed"
mv "$tmp/image" "$out"
