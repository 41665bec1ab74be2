# SPDX-License-Identifier: MIT
# apifair.sh - clients of the API with addresses of their own, on a network in a namespace: one that has hundreds
# of connections does not lock the other out. Needs root.
. "$(dirname "$0")/lib.sh"

tap_begin "clients with addresses of their own" "" 10.9.0.{1,7,66}/24
tests/pki "$tmp/pki" || exit 1
tap_host host 256 "$(modules "ip=10.9.0.254/24" "$tmp"/pki/api.{crt,key,ca,tokens})"
check "a host" wait_for 60 'API: HTTPS' "$tmp/host.log"
API_HOST=10.9.0.254 in_ns timeout 120 python3 tests/system/apifair.py "$tmp/pki" 443 10.9.0.7 10.9.0.66 > "$tmp/fair" 2>&1
check "clients with addresses of their own" test $? -eq 0
cat "$tmp/fair"
check "no panic in the host's log" test "$(grep -acE 'PANIC|BUG' "$tmp/host.log")" -eq 0
[ $bad -eq 0 ] || for i in 1 2; do echo "# QEMU's processor time, ticks: $(cut -d ' ' -f 14,15 "/proc/$host_pid/stat")"; in_ns ping -c 1 -W 2 10.9.0.254 | sed -n 2p; done
[ $bad -eq 0 ] || tail -n 15 "$tmp/host.log" "$tmp/host.qemu"
finish
