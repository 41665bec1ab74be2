#!/bin/bash
# SPDX-License-Identifier: MIT
#
# xenutils.sh - fetches Debian's xen-utils and xen-doc packages and unpacks them, uninstalled, into
# build/deps/xen-utils: their examples and manual pages are what `sluice config check` is held against.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/build/deps/xen-utils
[ ! -e "$out/.ready" ] || exit 0
packages='xen-utils-common xen-utils-4.17 xen-doc'
# shellcheck disable=SC2086 # words
apt-cache show $packages > /dev/null 2>&1 || {
    if [ "$(id -u)" = 0 ]; then apt-get -q update; else sudo -n apt-get -q update; fi > /dev/null
}
printf '  %-8s %s\n' FETCH "$packages"
rm -rf "$out" && mkdir -p "$out/deb"
# shellcheck disable=SC2086
(cd "$out/deb" && apt-get -q -o APT::Sandbox::User="$(id -un)" download $packages) > "$out/log" 2>&1 ||
    { cat "$out/log" >&2; echo "xenutils: cannot download $packages" >&2; exit 1; }
for d in "$out"/deb/*.deb; do dpkg-deb -x "$d" "$out"; done
rm -rf "$out/deb" && touch "$out/.ready"
