#!/bin/bash
# SPDX-License-Identifier: MIT
#
# add-module.sh INITRAMFS MODULE OUT - the initramfs with one kernel module more, in a second archive behind
# the first.
set -eu
initramfs=$1 module=$2 out=$3
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/lib/modules"
strip -g -o "$root/lib/modules/$(basename "$module")" "$module"
{ cat "$initramfs"; (cd "$root" && find lib | LC_ALL=C sort | cpio --quiet -R 0:0 --reproducible -o -H newc | gzip -n9); } > "$out.new"
mv "$out.new" "$out"
