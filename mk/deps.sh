#!/bin/bash
# SPDX-License-Identifier: MIT
#
# deps.sh - what a bare Debian 12 lacks: Debian packages, and the third-party sources that are
# compiled into dom0, unpacked from Debian source packages into build/deps/NAME.
#
#   mk/deps.sh            packages, then sources
#   mk/deps.sh packages   only packages (as root, or through sudo; else names what to ask for)
#   mk/deps.sh sources    only sources (needs no rights: apt gets lists and a cache of its own)
#
# Quick and silent when nothing is missing.
set -eu
cd "$(dirname "$0")/.."
deps=$(realpath -m "${DEPS_DIR:-build/deps}")

# Packages: one purpose a line.
packages='
gcc binutils make libc6-dev tcc
clang libclang-rt-14-dev libcmocka-dev
libxen-dev libpcap-dev
linux-headers-amd64
qemu-system-x86 qemu-utils nbdkit ovmf ipxe ipxe-qemu
grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools
gdisk fdisk
dnsmasq-base busybox-static cpio iproute2 curl jq python3
libcurl4-openssl-dev libjansson-dev libssl-dev openssl mandoc bash-completion bsdutils
python3-jsonschema chromium
mmdebstrap e2fsprogs apache2-utils
dpkg-dev ca-certificates xz-utils zstd lz4 gzip bzip2
'

# Sources: Debian's source package, the upstream version expected of it (a shell pattern), and
# "upstream" to unpack the upstream files alone or "debian" to apply Debian's patches as well.
# The release decides on the exact version and apt verifies its signature.
sources='
lwip  2.1.*  upstream
zlib  1.2.13.*  upstream
libzstd  1.5.4*  upstream
xz-utils  5.4.1-*  upstream
mbedtls  2.28.*  debian
'

# Packages of npm that run nothing when installed: folder, package, exact version, its integrity.
npm_packages='
xterm       @xterm/xterm     5.5.0   sha512-hqJHYaQb5OptNunnyAnkHyM8aCjZ1MEIDTQu1iIbbTD/xops91NB5yq1ZK/dC2JDbVWtF23zUtl9JE2NqwT87A==
playwright  playwright-core  1.48.2  sha512-sjjw+qrLFlriJo64du+EK0kJgZzoQPsabGF4lBvsid+3CNIZIYLgnMj9V6JY5VhM2Peh20DJWIVpVljLLnlawA==
'

say() { printf '  %-8s %s\n' "$1" "$2"; }
fail() { echo "deps: $*" >&2; exit 1; }

# An apt-get that reads only the deb-src lines made below and keeps all it writes under $deps.
apt_src() {
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$deps/apt/sources" \
        -o Dir::State::lists="$deps/apt/lists" -o Dir::Cache="$deps/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@"
}

missing_packages() {
    local p
    for p in $packages; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
    done
    # Node may have come from elsewhere, npm with it.
    command -v node > /dev/null || echo nodejs
    command -v npm > /dev/null || echo npm
}

install_packages() {
    local missing as_root=
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        if ! sudo -n true 2>/dev/null; then
            echo "deps: these packages are missing, and installing them needs root:" >&2
            echo "    apt-get install --no-install-recommends $missing" >&2
            exit 1
        fi
    fi
    say APT "$missing"
    $as_root apt-get -q update >/dev/null || fail "apt-get update failed"
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        $missing >/dev/null || fail "apt-get install failed; the packages are: $missing"
}

# deb-src lines with the mirror, suites and keys that this machine already uses for Debian.
write_source_lists() {
    local f n=0
    mkdir -p "$deps/apt/sources" "$deps/apt/lists/partial" "$deps/apt/cache/archives/partial"
    rm -f "$deps"/apt/sources/*
    for f in /etc/apt/sources.list.d/*.sources; do
        grep -qs debian-archive "$f" || continue
        n=$((n + 1))
        sed 's/^Types:.*/Types: deb-src/' "$f" > "$deps/apt/sources/$n.sources"
    done
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        grep -qsE '^deb .*bookworm.* main' "$f" || continue
        n=$((n + 1))
        sed -nE 's/^deb (.*bookworm.* main.*)/deb-src \1/p' "$f" > "$deps/apt/sources/$n.list"
    done
    [ $n -gt 0 ] || fail "no Debian entry in /etc/apt/sources.list or sources.list.d"
}

fetch_source() {    # package, version pattern, upstream|debian
    local tmp="$deps/.$1.new" dsc version skip=--skip-debianization
    [ "$3" = upstream ] || skip=
    say FETCH "$1"
    rm -rf "$tmp" && mkdir -p "$tmp"
    (cd "$tmp" && apt_src source --download-only "$1") > "$deps/$1.log" 2>&1 ||
        { tail -5 "$deps/$1.log" >&2; fail "cannot fetch the source package $1"; }
    dsc=$(ls "$tmp"/*.dsc)
    version=$(sed -n 's/^Version: //p' "$dsc" | head -n 1)
    version=${version#*:}
    # shellcheck disable=SC2254 # a pattern
    case $version in
    $2) ;;
    *) fail "$1 is version $version here, expected $2" ;;
    esac
    # shellcheck disable=SC2086 # one option or none
    dpkg-source --no-check $skip -x "$dsc" "$tmp/src" >> "$deps/$1.log" 2>&1 ||
        { tail -5 "$deps/$1.log" >&2; fail "cannot unpack $dsc"; }
    rm -rf "${deps:?}/$1" && mv "$tmp/src" "$deps/$1" && rm -rf "$tmp"
    echo "$version $3" > "$deps/$1/.version"
}

fetch_npm() {    # folder, package, version, integrity
    local tmp="$deps/.$1.new" file
    say FETCH "$1"
    rm -rf "$tmp" && mkdir -p "$tmp"
    (cd "$tmp" && npm pack --ignore-scripts --loglevel error "$2@$3") > "$deps/$1.log" 2>&1 ||
        { tail -5 "$deps/$1.log" >&2; fail "cannot fetch the npm package $2"; }
    file=$(ls "$tmp"/*.tgz)
    [ "sha512-$(openssl dgst -sha512 -binary "$file" | base64 -w 0)" = "$4" ] || fail "$2 $3 is not the file that is expected"
    tar -x -z -C "$tmp" -f "$file"
    rm -rf "${deps:?}/$1" && mv "$tmp/package" "$deps/$1" && rm -rf "$tmp"
    echo "$3" > "$deps/$1/.version"
}

fetch_sources() {
    local name pattern mode version integrity listed=
    while read -r name pattern mode; do
        [ -n "$name" ] && [ ! -e "$deps/$name/.version" ] || continue
        if [ -z "$listed" ]; then
            say APT "source lists"
            write_source_lists
            apt_src update > "$deps/apt.log" 2>&1 ||
                { tail -5 "$deps/apt.log" >&2; fail "apt-get update failed (see $deps/apt.log)"; }
            listed=1
        fi
        fetch_source "$name" "$pattern" "$mode"
    done <<< "$sources"
    while read -r name pattern version integrity; do
        [ -n "$name" ] && [ ! -e "$deps/$name/.version" ] || continue
        fetch_npm "$name" "$pattern" "$version" "$integrity"
    done <<< "$npm_packages"
    mkdir -p "$deps" && touch "$deps/.ready"
}

case ${1:-all} in
packages) install_packages ;;
sources) fetch_sources ;;
all) install_packages; fetch_sources ;;
*) fail "usage: mk/deps.sh [packages|sources]" ;;
esac
