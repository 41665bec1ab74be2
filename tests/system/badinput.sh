# SPDX-License-Identifier: MIT
# badinput.sh - configurations and requests that are wrong: one clear line each that names file, place
# or domain, the right status, and nothing else is harmed.
. "$(dirname "$0")/lib.sh"

d=$tmp/files; mkdir "$d"
cp build/guests/hello "$d/hello"
cfg() { printf 'name = "%s"\nkernel = "hello"\nmemory = 8\n%s\n' "$1" "$2" > "$d/$1.cfg"; }
cfg good 'extra = "forever"'
cfg syntax 'vcpus 2'
cfg quote 'extra = "never closed'
cfg unknown 'colour = "red"'
cfg value 'memory = "lots"'
cfg mac 'vif = [ "mac=00:16:3e:zz:00:01" ]'
cfg action 'on_crash = "shrug"'
cfg hvm 'type = "hvm"'
cat > "$d/host.cfg" <<'EOF'
autostart = [ "syntax.cfg", "quote.cfg", "unknown.cfg", "value.cfg", "mac.cfg", "action.cfg",
              "hvm.cfg", "absent.cfg", 7, "good.cfg" ]
colour = "blue"
EOF
port=$(free_port) api=
host_start h -machine q35 -m 512 -kernel build/sluice -initrd "$(modules "api=insecure" "$d"/*)" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.15:80" -device e1000e,netdev=n0,romfile=
api=http://127.0.0.1:$port
log=$tmp/h.log
check "the good one of the list starts" wait_for 30 'good: domain [0-9]+ started' "$log"
says() { check "$1" has "^\[[ 0-9.]*\] error: $2" "$log"; }
says "a key without '=': line and column" "syntax.cfg:4:7: expected '='"
says "a quote that is not closed" 'quote.cfg:4:22: string without its closing quote'
says "an unknown key" "unknown.cfg:4:1: unknown key 'colour'"
says "a bad value" 'value.cfg:4:10: memory must be a number'
says "a bad MAC" 'mac.cfg:4:9: vif: .* is no MAC address'
says "a bad action" 'action.cfg:4:12: on_crash must be'
says "a kind of guest that we do not run" 'hvm.cfg:4:8: type = .hvm. is not supported'
says "a file that is not there" 'host.cfg: autostart: no boot module "absent.cfg"'
says "a number where a name belongs" 'host.cfg:2:40: autostart: a file name in quotes'
says "an unknown key of host.cfg" "host.cfg:3:1: unknown key 'colour'"

check "the API is up" api_until 20 '.software == "sluice"' /v1/host
status() { # what, wanted, METHOD, PATH, curl arguments
    local what=$1 want=$2 got; shift 2
    got=$(api_status "$@")
    check "$what: $want" test "$got" = "$want"
}
json=(-H 'Content-Type: application/json')
status "no such path" 404 GET /v2/host
status "no such domain" 404 GET /v1/domains/nobody
status "a method that this path does not know" 405 DELETE /v1/host
status "create from an xl.cfg that is wrong" 422 POST /v1/domains --data-binary 'name = '
check "  with the place" test "$(api POST /v1/domains --data-binary 'name = ' | jq -r .error)" = \
    'config:1:8: expected a value: "text", a number or [ a list ]'
status "JSON that is none" 400 POST /v1/domains "${json[@]}" --data-binary '{"config": '
check "  with the byte" sh -c "curl -s -X POST $api/v1/domains -H 'Content-Type: application/json' --data-binary '{\"a\" 1}' | grep -q 'JSON, byte 5: expected'"
status "JSON without a config" 422 POST /v1/domains "${json[@]}" --data-binary '{"paused": true}'
status "paused that is no bool" 422 POST /v1/domains "${json[@]}" --data-binary '{"config": "x", "paused": 1}'
status "a name that is taken" 409 POST /v1/domains --data-binary @"$d/good.cfg"
status "a console position that is no number" 400 GET '/v1/domains/good/console?from=x'
status "a body that is too large" 413 POST /v1/domains -H 'Expect:' -H 'Content-Length: 100000' --data-binary 'x'
status "shutdown of a domain that is not there" 404 POST /v1/domains/nobody/shutdown

cat > "$tmp/raw.py" <<'EOF'
import socket, sys
port = int(sys.argv[1])
def ask(data):
    s = socket.create_connection(("127.0.0.1", port), 10); s.settimeout(10)
    s.sendall(data); got = b""
    try:
        while b"\r\n" not in got:
            d = s.recv(4096)
            if not d: break
            got += d
    except OSError: pass
    s.close()
    return got.split(b"\r\n")[0].decode()
bad = 0
for data, want in [
    (b"\r\n\r\n", "400"), (b"GET\r\n\r\n", "400"), (b"GET / HTTP/9.9\r\n\r\n", "400"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
    (b"GET /v1/host HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"),
    (b"POST /v1/domains HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "501"),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", "4"),
    (b"GET /v1/host HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n", "431"),
    (b"GET /v1/host%00 HTTP/1.1\r\n\r\n", "400"),
]:
    got = ask(data)
    if not got.startswith("HTTP/1.1 " + want):
        print("#", data[:40], "->", got); bad = 1
# Two requests at once on one connection: both are answered, in order.
s = socket.create_connection(("127.0.0.1", port), 10); s.settimeout(10)
s.sendall(b"GET /v1/host HTTP/1.1\r\n\r\nGET /v1/nowhere HTTP/1.1\r\nConnection: close\r\n\r\n")
got = b""
while True:
    d = s.recv(65536)
    if not d: break
    got += d
if got.count(b"HTTP/1.1 200") != 1 or got.count(b"HTTP/1.1 404") != 1:
    print("# pipelined:", got[:80]); bad = 1
sys.exit(bad)
EOF
check "malformed HTTP gets a 4xx, a pipelined request its answer" python3 "$tmp/raw.py" "$port"
check "the good one still runs" api_until 5 '.state == "running"' /v1/domains/good
host_stop "$host_pid"
[ $bad -eq 0 ] || grep -a 'error' "$log"

# Guests that end at once, by each way there is.
tests/run-guest --memory 128 --timeout 60 --extra "console=hvc0 quiet ip=none" --log "$tmp/log" "$kernel" "$initramfs" > /dev/null 2>&1
check "a guest that powers off at once: 0" test $? -eq 0
tests/run-guest --memory 128 --timeout 60 --extra "console=hvc0 root=/dev/nowhere panic=0" --log "$tmp/log" "$kernel" > "$tmp/out" 2>&1
check "a guest without a root file system panics: 2" test $? -eq 2
check "  and says so" has 'Kernel panic - not syncing: VFS' "$tmp/out"
head -c 100000 "$kernel" > "$tmp/short"
tests/run-guest --timeout 60 "$tmp/short" > "$tmp/out" 2> "$tmp/err"
check "a kernel that is cut off: 1, and the reason" sh -c "[ $? -eq 1 ] && grep -q truncated '$tmp/err'"
# Options of tests/run-guest that cannot be: one line, before anything is started.
refused() { tests/run-guest "${@:2}" > "$tmp/out" 2> "$tmp/err"; [ $? -eq 1 ] && tail -n 1 "$tmp/err" | grep -qF -- "$1"; }
check "run-guest: --memory of letters" refused "--memory is a number, not 'x'" --memory x "$kernel"
check "  an option without its value" refused "--vcpus needs a value" "$kernel" --vcpus
check "  an option that is none" refused "unknown option --bogus" --bogus 1 "$kernel"
check "  a card that is none" refused "--nic is virtio-net, e1000e or none, not 'foo'" --nic foo "$kernel"
check "  a kernel that is not there" refused "cannot read $tmp/none" "$tmp/none"
finish
