# SPDX-License-Identifier: MIT
# guest.sh - a stock Debian kernel to its init and through the stress program, on 1, 2 and 4 CPUs.
. "$(dirname "$0")/lib.sh"

runs() {    # what, expected lines (patterns, separated by |||), run-guest arguments...
    local what=$1 expect=$2 rc; shift 2
    tests/run-guest --log "$tmp/log" --timeout 300 "$@" > "$tmp/out" 2> "$tmp/err"
    rc=$?
    local good=1 pattern
    while [ -n "$expect" ]; do
        pattern=${expect%%|||*}
        has "$pattern" "$tmp/out" || { echo "# missing: $pattern"; good=; }
        [ "$expect" != "$pattern" ] || break
        expect=${expect#*|||}
    done
    [ $rc -eq 0 ] || { echo "# exit status $rc"; good=; }
    if [ -n "$good" ]; then pass "$what"; else flunk "$what"; tail -n 25 "$tmp/out"; tail -n 15 "$tmp/log"; cat "$tmp/err"; fi
}

for pair in 1:1 2:1 2:2 4:2 4:4; do
    vcpus=${pair%:*} host=${pair#*:}
    runs "Debian 6.1, $vcpus vCPUs on $host CPUs: init, stress, power off" \
        "guest: init on 6.1.*, $vcpus CPUs|||test stress: ok|||test cpu: ok|||guest: power off" \
        --vcpus "$vcpus" --host-cpus "$host" --memory 256 \
        --extra "console=hvc0 quiet test=stress,cpu" "$kernel" "$initramfs"
done
runs "Ways between a kernel and its users that Linux does not use" "usermode: ok" --memory 64 build/guests/usermode
runs "What NetBSD's kernel does and Linux' does not" "netbsd: ok" --vcpus 2 --host-cpus 2 --memory 64 build/guests/netbsd
runs "Segments in LDTs, on 2 CPUs" "test ldt: ok|||guest: power off" \
    --vcpus 2 --host-cpus 2 --memory 256 --extra "console=hvc0 quiet test=ldt" "$kernel" "$initramfs"
runs "The store as a stock guest sees it" "test xenstore: ok|||guest: power off" \
    --memory 128 --extra "console=hvc0 quiet test=xenstore" "$kernel" "$initramfs"
mk/kernel.sh cloud-amd64
runs "Debian 6.1 cloud kernel (lz4): init" "guest: init on 6.1.*cloud|||guest: power off" \
    --memory 256 --extra "console=hvc0 quiet" build/kernels/cloud-amd64/vmlinuz "$initramfs"
mk/kernel.sh grub
tests/run-guest --log "$tmp/log" --timeout 20 --memory 128 build/kernels/grub/vmlinuz > "$tmp/out" 2>&1
check "PV GRUB: its prompt" has 'grub>|GNU GRUB|minimal BASH-like' "$tmp/out"

tests/run-guest --log "$tmp/log" --timeout 200 --extra "console=hvc0 quiet then=crash" "$kernel" "$initramfs" > "$tmp/out" 2>&1
check "a guest that panics: exit status 2" test $? -eq 2
check "  and its last words are on its console" has 'sysrq: Trigger a crash' "$tmp/out"
finish
