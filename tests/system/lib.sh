# SPDX-License-Identifier: MIT
#
# lib.sh - what the system tests share: hosts in QEMU, guests on them, the API, results.
# A test sources this file, calls check and the like, and ends with `finish`.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top" || exit 1
tmp=$(mktemp -d)
pids=()
bad=0
cpu=Haswell-noTSX,-x2apic,-tsc-deadline,-erms,-pcid,-invpcid
kernel=$top/build/kernels/amd64/vmlinuz
initramfs=$top/build/initramfs.gz

cleanup() {
    local p
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT

pass() { echo "ok - $1"; }
flunk() { echo "not ok - $1"; bad=$((bad + 1)); }
# check "what" command...: the command's status decides.
check() { local what=$1; shift; if "$@"; then pass "$what"; else flunk "$what"; fi; }
has() { grep -aqE -- "$1" "$2"; }
# wait_for SECONDS PATTERN FILE; gives up when the host has ended
wait_for() {
    local i
    for ((i = 0; i < $1 * 5; i++)); do
        grep -aqE -- "$2" "$3" 2>/dev/null && return 0
        [ -z "${host_pid:-}" ] || kill -0 "$host_pid" 2>/dev/null || [ $i -lt 3 ] || { sleep 0.2; grep -aqE -- "$2" "$3"; return; }
        sleep 0.2
    done
    return 1
}
finish() { exit $((bad > 0)); }
# A TCP port of this machine that nobody uses now.
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

# host_start NAME [QEMU ARGS...]: a host in the background; its log is $tmp/NAME.log, COM2
# $tmp/NAME.com2, its pid $host_pid.
host_start() {
    local name=$1; shift
    rm -f "$tmp/$name.log" "$tmp/$name.com2"        # of an earlier host of that name
    qemu-system-x86_64 -accel tcg -cpu $cpu -nodefaults -no-user-config -display none -monitor none -no-reboot \
        -rtc base=2026-01-01,clock=vm -device isa-debug-exit,iobase=0xf4,iosize=1 \
        -chardev "file,id=log,path=$tmp/$name.log" -serial chardev:log \
        -chardev "file,id=com2,path=$tmp/$name.com2" -serial chardev:com2 "$@" < /dev/null 2> "$tmp/$name.qemu" &
    host_pid=$!
    pids+=("$host_pid")
}
host_stop() { kill "$1" 2>/dev/null; wait "$1" 2>/dev/null; }

# modules DOM0-ARGS FILE...: QEMU's -initrd argument: dom0, then each FILE under its own name.
modules() {
    local list="$top/build/dom0 $1" f; shift
    for f in "$@"; do list+=",$f $(basename "$f")"; done
    printf '%s' "$list"
}

# api METHOD PATH [curl arguments]; $api is http://127.0.0.1:PORT
api() { local m=$1 p=$2; shift 2; curl -s -m 20 -X "$m" "$api$p" "$@"; }
api_status() { local m=$1 p=$2; shift 2; curl -s -m 20 -o /dev/null -w '%{http_code}' -X "$m" "$api$p" "$@"; }
# api_until SECONDS JQ-EXPRESSION PATH: until the answer makes the expression true
api_until() {
    local i
    for ((i = 0; i < $1 * 4; i++)); do
        [ "$(api GET "$3" 2>/dev/null | jq -r "$2" 2>/dev/null)" = true ] && return 0
        kill -0 "$host_pid" 2>/dev/null || return 1
        sleep 0.25
    done
    return 1
}

# api_host MIB FILE...: a host with so much memory, the files as modules and an open API at $api, its log $log; the test
# ends if there is none. Two CPUs, or $api_cpus; $api_append: more words for the hypervisor.
api_host() {
    local mib=$1 port; shift
    port=$(free_port)
    api=http://127.0.0.1:$port
    log=$tmp/h.log
    host_start h -machine q35 -m "$mib" -smp "${api_cpus:-2}" -kernel build/sluice -append "debugexit ${api_append:-}" \
        -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 api=insecure" "$@")" \
        -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:80" -device virtio-net-pci,netdev=n0,romfile=
    api_until 60 '.software == "sluice"' /v1/host || { flunk "the host starts"; cat "$log"; finish; }
}
# console_has DOMAIN PATTERN SECONDS: until its console has said that
console_has() {
    local i
    for ((i = 0; i < $3 * 2; i++)); do
        api GET "/v1/domains/$1/console" 2>/dev/null | grep -qE "$2" && return 0
        kill -0 "$host_pid" 2>/dev/null || return 1
        sleep 0.5
    done
    return 1
}
# Domains by name: until it is gone; destroyed and gone; the last number in front of WORD on its console.
gone() { api_until 60 "map(select(.name == \"$1\")) | length == 0" /v1/domains; }
remove() { api DELETE "/v1/domains/$1" > /dev/null; gone "$1"; }
number() { api GET "/v1/domains/$1/console" | grep -aoE "[0-9]+ $2" | tail -n 1 | grep -oE '^[0-9]+'; }
# more NAME WORD [BY]: until that number has risen by so much
more() {
    local a b i
    a=$(number "$1" "$2")
    for ((i = 0; i < 480; i++)); do
        b=$(number "$1" "$2")
        [ "${b:-0}" -ge $((${a:-0} + ${3:-1})) ] && return 0
        sleep 0.25
    done
    return 1
}

# tap_begin WHAT MODE [ADDRESS/BITS...]: a network in a namespace of its own with the device tap0, or the end of this test, WHAT, as
# that needs root. in_ns COMMAND...: there. Gone at the end, with all that runs there.
in_ns() { ip netns exec "$ns" "$@"; }
tap_begin() {
    [ "$(id -u)" = 0 ] || { pass "$1 # SKIP needs root"; finish; }
    ns=sluice-tap-$$
    trap 'ip netns pids $ns 2>/dev/null | xargs -r kill 2>/dev/null; ip netns del $ns 2>/dev/null; cleanup' EXIT
    ip netns add "$ns"
    in_ns ip link set lo up
    # shellcheck disable=SC2086
    in_ns ip tuntap add tap0 mode tap $2
    for _ in "${@:3}"; do in_ns ip addr add "$_" dev tap0; done
    in_ns ip link set tap0 up
}
# tap_host NAME MEMORY INITRD [ARGUMENTS...]: a host on tap0: $host_pid; what it says in $tmp/NAME.log and NAME.com2, QEMU in NAME.qemu.
tap_host() {
    in_ns qemu-system-x86_64 -accel tcg -cpu $cpu -nodefaults -no-user-config -display none -monitor none -no-reboot \
        -rtc base=2026-01-01,clock=vm -machine q35 -m "$2" -serial "file:$tmp/$1.log" -serial "file:$tmp/$1.com2" \
        -kernel build/sluice -initrd "$3" "${@:4}" \
        -netdev tap,id=n0,ifname=tap0,script=no,downscript=no -device virtio-net-pci,netdev=n0,romfile= \
        < /dev/null 2> "$tmp/$1.qemu" &
    host_pid=$!
    pids+=("$host_pid")
}

free_pages() { api GET /v1/host | jq .memory_free_pages; }
