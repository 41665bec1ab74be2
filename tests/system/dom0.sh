# SPDX-License-Identifier: MIT
# dom0.sh - the runtime on the hypervisor, mini guests, and dom0's own network under bad conditions.
. "$(dirname "$0")/lib.sh"

selftest() {    # what, QEMU arguments...
    local what=$1; shift
    host_start self "$@" -kernel build/sluice -initrd "build/guests/selftest"
    local pid=$host_pid
    if wait_for 60 'selftest: (ok|FAILED)|PANIC' "$tmp/self.log" && has 'selftest: ok' "$tmp/self.log"; then
        pass "$what"
    else
        flunk "$what"; tail -n 20 "$tmp/self.log"
    fi
    host_stop "$pid"
    rm -f "$tmp"/self.*
}

selftest "runtime: selftest in place of dom0, pc" -machine pc -m 256
selftest "  4 CPUs, q35, RAM above 4 GiB" -machine q35 -m 5G -smp 4
selftest "  16 MiB for dom0" -machine q35 -m 256 -append "dom0_mem=16M"

tests/run-guest --timeout 60 --memory 16 --log "$tmp/log" build/guests/hello > "$tmp/out" 2> "$tmp/err"
check "mini guest: powers off, exit status 0" test $? -eq 0
check "  its three ticks are on its console" has 'hello: tick 3' "$tmp/out"
tests/run-guest --timeout 60 --memory 16 --log "$tmp/log" build/guests/store > "$tmp/out" 2> "$tmp/err"
check "mini guest that uses the store: values, transactions, watches" has 'store: ok' "$tmp/out"
tests/run-guest --timeout 60 --memory 16 --extra crash --log "$tmp/log" build/guests/hello > "$tmp/out" 2> "$tmp/err"
check "mini guest that faults: exit status 2" test $? -eq 2
check "  with its own report" has 'exception 14 \(page fault\)' "$tmp/out"
tests/run-guest --timeout 60 --memory 16 --hv dom0_mem=16M --log "$tmp/log" build/guests/hello > "$tmp/out" 2> "$tmp/err"
check "mini guest on a dom0 of 16 MiB" test $? -eq 0

# A network card on a wire where nobody answers: dom0 keeps asking, guests run.
tests/run-guest --timeout 60 --memory 16 --log "$tmp/log" \
    --qemu "-netdev hubport,hubid=0,id=n0 -device virtio-net-pci,netdev=n0,romfile=" \
    build/guests/hello > "$tmp/out" 2> "$tmp/err"
check "no DHCP server: guests run all the same" test $? -eq 0
check "  and dom0 has no address" test "$(grep -ac 'net: address' "$tmp/log")" -eq 0

# The API through dom0's own TCP, on a static address.
port=$(free_port)
api=http://127.0.0.1:$port
host_start api -machine q35 -m 256 -kernel build/sluice \
    -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 api=insecure")" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:80" -device virtio-net-pci,netdev=n0,romfile=
check "static address" wait_for 20 'net: address 10.0.2.77/24, gateway 10.0.2.2' "$tmp/api.log"
check "  API answers there" api_until 20 '.software == "sluice"' /v1/host
cat > "$tmp/many.py" <<'PY'
import os, socket, sys, threading, time
port, bad = int(sys.argv[1]), 0
rows = []
# Idle connections, half requests, noise, and clients that go away in the middle.
for i in range(120):
    s = socket.create_connection(("127.0.0.1", port), 10)
    rows.append(s)
    try:
        if i % 4 == 1: s.sendall(b"GET /v1/host HT")
        if i % 4 == 2: s.sendall(os.urandom(3000))
        if i % 4 == 3: s.sendall(b"GET /v1/host HTTP/1.1\r\nHost: x\r\n\r\n"); s.close()
    except OSError: pass
time.sleep(1)
for s in rows: s.close()
def ask(n):
    global bad
    for _ in range(n):
        try:
            s = socket.create_connection(("127.0.0.1", port), 20); s.settimeout(20)
            s.sendall(b"GET /v1/host HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            d = b""
            while True:
                c = s.recv(65536)
                if not c: break
                d += c
            if b"200 OK" not in d or b"sluice" not in d: bad += 1
            s.close()
        except OSError: bad += 1
ts = [threading.Thread(target=ask, args=(50,)) for _ in range(4)]
for t in ts: t.start()
for t in ts: t.join()
print("bad:", bad)
sys.exit(bad != 0)
PY
check "200 requests after 120 connections that misbehave" python3 "$tmp/many.py" "$port"
# Once all connections but the one that asks are over and forgotten; QEMU's user network brings the ends of some late.
heap() {
    api_until 120 '.dom0 | [.http_connections, .tcp_open, .tcp_closing, .tcp_time_wait] == [1, 1, 0, 0]' /v1/host
    api GET /v1/host | jq .dom0.heap_bytes
}
free1=$(heap)
python3 "$tmp/many.py" "$port" > "$tmp/many.out"
free2=$(heap)
check "  and again: dom0's heap has not grown ($free1, $free2)" test "$free2" -le $((free1 + 4096))
check "  no error in dom0's log" test "$(grep -acE 'error|PANIC' "$tmp/api.log")" -eq 0
host_stop "$host_pid"

# dom0's TCP, byte for byte: netecho takes data in odd pieces and with pauses.
cat > "$tmp/echo.py" <<'PY'
import os, socket, sys, threading
echo, pattern = int(sys.argv[1]), int(sys.argv[2])
bad = []
def run(size):
    data = os.urandom(size); got = bytearray()
    s = socket.create_connection(("127.0.0.1", echo), 20); s.settimeout(60)
    t = threading.Thread(target=lambda: (s.sendall(data)))
    t.start()
    while len(got) < size:
        c = s.recv(65536)
        if not c: break
        got += c
    t.join(); s.shutdown(socket.SHUT_WR); rest = s.recv(10); s.close()
    if bytes(got) != data or rest: bad.append(("echo", size, len(got)))
def fetch():
    want = bytes((i * 7 + (i >> 12)) & 255 for i in range(4 << 20)); got = bytearray()
    s = socket.create_connection(("127.0.0.1", pattern), 20); s.settimeout(60)
    while True:
        c = s.recv(65536)
        if not c: break
        got += c
    if bytes(got) != want: bad.append(("pattern", len(got)))
ts = [threading.Thread(target=run, args=(n,)) for n in (1, 70000, 2 << 20, 2 << 20)] + [threading.Thread(target=fetch)]
for t in ts: t.start()
for t in ts: t.join()
print(bad)
sys.exit(len(bad))
PY
for nic in virtio-net-pci e1000e; do
    p7=$(free_port) p9=$(free_port)
    host_start echo -machine q35 -m 256 -kernel build/sluice -initrd build/guests/netecho \
        -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$p7-10.0.2.15:7,hostfwd=tcp:127.0.0.1:$p9-10.0.2.15:9" \
        -device $nic,netdev=n0,romfile=
    check "netecho on $nic" wait_for 20 'net: address' "$tmp/echo.log"
    check "  4 echoes and 4 MiB of a pattern at once, byte for byte" timeout 150 python3 "$tmp/echo.py" "$p7" "$p9"
    check "  no connection broke" test "$(grep -acE 'ended: -|PANIC' "$tmp/echo.log")" -eq 0
    host_stop "$host_pid"
done

# And more boot modules than are taken: dom0 and 127.
mkdir "$tmp/mods"
for i in $(seq 140); do echo "$i" > "$tmp/mods/m$i"; done
host_start bad -machine q35 -m 256 -kernel build/sluice -initrd "$(modules "ip=10.0.2.300/24 api=maybe" "$tmp"/mods/*)" \
    -netdev user,id=n0 -device virtio-net-pci,netdev=n0,romfile=
check "a bad ip= is one clear line" wait_for 20 'error: .*ip=10.0.2.300/24' "$tmp/bad.log"
check "  and dom0 is up without it" wait_for 20 'dom0: ready' "$tmp/bad.log"
check "  and so are boot modules that are too many" has '13 boot modules are left out' "$tmp/bad.log"
host_stop "$host_pid"
finish
