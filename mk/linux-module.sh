#!/bin/bash
# SPDX-License-Identifier: MIT
#
# linux-module.sh KERNELDIR OUT - builds netfront/linux for that kernel against its headers package.
set -eu
cd "$(dirname "$0")/.."
kernel=$1 out=$2
fail() { echo "linux-module: $*" >&2; exit 1; }
version=$(sed -n 's/^# Linux\/x86 \([0-9.]*\) Kernel Configuration/\1/p' "$kernel/config")
headers=
for h in /usr/src/linux-headers-*-amd64; do
    [ "$(make -s -C "$h" kernelversion 2>/dev/null)" = "$version" ] && headers=$h
done
[ -n "$headers" ] || fail "no headers of Linux $version: apt-get install linux-headers-amd64"
mkdir -p "$out"
rm -rf "$out/netfront" "$out/include"
mkdir -p "$out/netfront" "$out/include"
cp -r netfront/linux "$out/netfront/"
cp -r include/sluice "$out/include/"
make -s -C "$headers" M="$PWD/$out/netfront/linux" modules > "$out/log" 2>&1 || { cat "$out/log" >&2; fail "the build failed"; }
