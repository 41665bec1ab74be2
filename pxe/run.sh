#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh - what `make run` does after the build: boots a host in QEMU by iPXE, from a TFTP server
# on QEMU's user network, starts a stock Debian guest with a web server, waits for its page and
# says where everything is. Ctrl-C ends it.
#
# PORT (8080) is the guest's web server on this machine, PORT + 1 the host's API.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
port=${PORT:-8080}
api=$((port + 1))
limit=${LIMIT:-120}
cpus=${CPUS:-2}
run=$top/build/run
kernel=$top/build/kernels/amd64/vmlinuz
console=$run/console.log
guest_console=$run/guest.log

step() { printf '  %-8s %s\n' "$1" "$2"; }
busy_port() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

for p in "$port" "$api"; do
    ! busy_port "$p" || { echo "run: port $p is in use here: make run PORT=NUMBER" >&2; exit 1; }
done
rm -rf "$run"; mkdir -p "$run/root"
cp "$kernel" "$run/vmlinuz"
cp "$top/build/initramfs.gz" "$run/initramfs.gz"
cat > "$run/web.cfg" <<'EOF'
name = "web"
kernel = "vmlinuz"
ramdisk = "initramfs.gz"
extra = "console=hvc0 quiet web"
memory = 256
vcpus = 1
vif = [ "mac=00:16:3e:00:00:01" ]
on_crash = "preserve"
EOF
echo 'autostart = [ "web.cfg" ]' > "$run/host.cfg"
DOM0_ARGS="api=insecure console=com2:web" "$top/pxe/mkroot.sh" "$run/root" "$run/host.cfg" "$run/web.cfg" \
    "$run/vmlinuz" "$run/initramfs.gz" || exit 1

step BOOT "a host by iPXE (its log: $console)"
start=$(date +%s)
qemu-system-x86_64 -accel tcg -machine q35 -cpu Haswell-noTSX,-x2apic,-tsc-deadline,-pcid,-invpcid -m 1024 -smp "$cpus" \
    -nodefaults -no-user-config -display none -monitor none \
    -chardev "file,id=log,path=$console" -serial chardev:log \
    -chardev "file,id=guest,path=$guest_console" -serial chardev:guest \
    -netdev "user,id=n0,tftp=$run/root,bootfile=boot.ipxe,hostfwd=tcp:127.0.0.1:$port-10.0.2.16:80,hostfwd=tcp:127.0.0.1:$api-10.0.2.15:80" \
    -device virtio-net-pci,netdev=n0,disable-legacy=on,bootindex=0 < /dev/null &
qemu=$!
trap 'kill $qemu 2>/dev/null; wait $qemu 2>/dev/null; echo; step END "the host was switched off"; exit 0' INT TERM

seen=0
while :; do
    if ! kill -0 $qemu 2>/dev/null; then
        echo "run: QEMU ended; the end of the host's log:" >&2
        tail -n 15 "$console" >&2
        exit 1
    fi
    # Progress: what the host's log says of boot and domains.
    n=$(grep -c . "$console" 2>/dev/null || true)
    if [ "${n:-0}" -gt $seen ]; then
        tail -n +$((seen + 1)) "$console" | tr -d '\r' | grep -aE '^(\(hv\)|\[ *[0-9.]+\])' |
            grep -av ' pci: ' | cut -c 1-68 |
            sed 's/^/  |        /'
        seen=$n
    fi
    if curl -s -m 2 "http://127.0.0.1:$port/" 2>/dev/null | grep -q 'It works'; then break; fi
    if [ $(($(date +%s) - start)) -gt "$limit" ]; then
        echo "run: no page after $limit s; see $console and $guest_console" >&2
        kill $qemu; exit 1
    fi
    sleep 0.5
done
step READY "after $(($(date +%s) - start)) s"
cat <<EOF

  The guest's page    http://127.0.0.1:$port/
  The host's API      curl http://127.0.0.1:$api/v1/host
                      curl http://127.0.0.1:$api/v1/domains
  The guest's console curl http://127.0.0.1:$api/v1/domains/web/console
                      tail -f $guest_console

  Ctrl-C switches the host off.
EOF
if [ -n "${ONCE:-}" ]; then kill $qemu; wait $qemu 2>/dev/null; exit 0; fi
wait $qemu
