# SPDX-License-Identifier: MIT
# apifair.sh - clients of the API with addresses of their own, on a network in a namespace: one that has hundreds
# of connections does not lock the other out. Needs root.
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" != 0 ]; then
    pass "clients with addresses of their own # SKIP needs root"
    finish
fi
ns=sluice-api-$$
trap 'ip netns pids $ns 2>/dev/null | xargs -r kill 2>/dev/null; ip netns del $ns 2>/dev/null; cleanup' EXIT
in_ns() { ip netns exec $ns "$@"; }

ip netns add $ns
in_ns ip link set lo up
in_ns ip tuntap add tap0 mode tap
for n in 1 7 66; do in_ns ip addr add 10.9.0.$n/24 dev tap0; done
in_ns ip link set tap0 up
tests/pki "$tmp/pki" || exit 1
in_ns qemu-system-x86_64 -accel tcg -cpu $cpu -nodefaults -no-user-config -display none -monitor none -no-reboot \
    -rtc base=2026-01-01,clock=vm -machine q35 -m 256 -serial "file:$tmp/host.log" -kernel build/sluice \
    -initrd "$(modules "ip=10.9.0.254/24" "$tmp"/pki/api.{crt,key,ca,tokens})" \
    -netdev tap,id=n0,ifname=tap0,script=no,downscript=no -device virtio-net-pci,netdev=n0,romfile= \
    < /dev/null 2> "$tmp/host.qemu" &
host_pid=$!
pids+=("$host_pid")
check "a host" wait_for 60 'API: HTTPS' "$tmp/host.log"
API_HOST=10.9.0.254 in_ns timeout 120 python3 tests/system/apifair.py "$tmp/pki" 443 10.9.0.7 10.9.0.66 > "$tmp/fair" 2>&1
check "clients with addresses of their own" test $? -eq 0
cat "$tmp/fair"
check "no panic in the host's log" test "$(grep -acE 'PANIC|BUG' "$tmp/host.log")" -eq 0
[ $bad -eq 0 ] || for i in 1 2; do echo "# QEMU's processor time, ticks: $(cut -d ' ' -f 14,15 "/proc/$host_pid/stat")"; in_ns ping -c 1 -W 2 10.9.0.254 | sed -n 2p; done
[ $bad -eq 0 ] || tail -n 15 "$tmp/host.log" "$tmp/host.qemu"
finish
