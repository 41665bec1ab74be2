# SPDX-License-Identifier: MIT
# nbdfail.sh - NBD when things go wrong: exports that will not do are refused when the domain is created; a
# server that misbehaves, one that is killed and comes back, one that comes back larger.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/{hello,blkverify} || exit 1
cp build/guests/{hello,blkverify} "$tmp"
cp "$kernel" "$tmp/vmlinuz"
cp "$initramfs" "$tmp/initramfs"
python3 - "$tmp/image" <<'EOP'
import sys
with open(sys.argv[1], "wb") as f:
    for n in range(4096):
        f.write(n.to_bytes(8, "little") + bytes([n & 255]) * 504)
EOP
cp "$tmp/image" "$tmp/kit.img"
bad_port=$(python3 - <<'EOP'
import socket
while True:
    socks = [socket.socket() for _ in range(3)]
    socks[0].bind(("127.0.0.1", 0))
    first = socks[0].getsockname()[1]
    try:
        for i in (1, 2):
            socks[i].bind(("127.0.0.1", first + i))
    except OSError:
        continue
    print(first)
    break
EOP
)
python3 tests/system/badnbd.py "$bad_port" "$tmp/image" > "$tmp/badnbd.log" 2>&1 & pids+=($!)
kit_port=$(free_port)
kit() { nbdkit -f -i 127.0.0.1 -p "$kit_port" "$@" file "$tmp/kit.img" >> "$tmp/kit.log" 2>&1 & kit_pid=$!; pids+=($kit_pid); }
kit
port=$(free_port)
api=http://127.0.0.1:$port
host_start h -machine q35 -m 1024 -smp 2 -kernel build/sluice \
    -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 api=insecure" "$tmp"/{hello,blkverify,vmlinuz,initramfs})" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:80" -device virtio-net-pci,netdev=n0,romfile=
log=$tmp/h.log
api_until 30 '.software == "sluice"' /v1/host || { flunk "the host starts"; cat "$log"; finish; }

config() { printf '%s\n' "name=\"$1\"" 'kernel="hello"' 'memory=16' 'extra="forever"' "disk=[ $2 ]"; }
create() { config "$@" | api POST /v1/domains -m 60 --data-binary @-; }
gone() { api_until 60 "map(select(.name == \"$1\")) | length == 0" /v1/domains; }
console_says() { local i; for i in $(seq "$2"); do api GET "/v1/domains/$1/console" | grep -aqE "$3" && return 0; sleep 1; done; return 1; }
refused() {     # what, target and the rest, pattern of the error
    create "no$RANDOM" "\"$2\"" > "$tmp/refused.$3"
    check "$1: refused" grep -qE "$4" "$tmp/refused.$3"
    has "$4" "$tmp/refused.$3" || cat "$tmp/refused.$3"
}
nbd=nbd:10.0.2.2:$bad_port
heap=$(api GET /v1/host | jq .dom0.heap_bytes)
# Those that take their time, all at once.
refused "a server that hangs up" "$nbd/close,raw,xvda,w" 1 'closed the connection' > "$tmp/slow.1" & slow1=$!
refused "a server that speaks slowly" "nbd:10.0.2.2:$((bad_port + 1))/x,raw,xvda,w" 2 'no answer' > "$tmp/slow.2" & slow2=$!
refused "no machine there" "nbd:10.0.2.99/x,raw,xvda,w" 3 'no answer|no route' > "$tmp/slow.3" & slow3=$!
refused "no server there" "nbd:10.0.2.2:1/x,raw,xvda,w" 4 'connection refused'
refused "no such export" "$nbd/unknown,raw,xvda,w" 5 'no such export: never heard of it'
refused "TLS wanted" "$nbd/tls,raw,xvda,w" 6 'wants TLS'
refused "no NBD server" "nbd:10.0.2.2:$((bad_port + 2))/x,raw,xvda,w" 7 'no NBD server'
refused "an answer without end" "$nbd/endless,raw,xvda,w" 8 'has no end'
refused "no size" "$nbd/nosize,raw,xvda,w" 9 'how large'
refused "too small" "$nbd/tiny,raw,xvda,w" 10 'smaller than'
refused "a read-only export to be written" "$nbd/ro,raw,xvda,w" 11 'read-only; it can be had with access=ro'
refused "a target that is none" "nbd:/x,raw,xvda,w" 12 'nbd:HOST'
check "a read-only export to be read: runs" test "$(create reader "\"$nbd/ro,raw,xvda,r\"" | jq -r .state)" = running
# The same when the domain runs already.
attach() { api POST /v1/domains/reader/disks -m 60 -w '%{http_code}' -d "{\"disk\": \"$1\"}"; }
attach "nbd:10.0.2.99/y,raw,xvdc,w" > "$tmp/attach.slow" & slow4=$!
check "attached to a domain that runs, no server there: an error" test "$(attach nbd:10.0.2.2:1/x,raw,xvdb,w | tail -c 3)" = 500
check "  that says why" grep -q 'connection refused' <(attach nbd:10.0.2.2:1/x,raw,xvdb,w)
check "  a read-only export to be written: the same" grep -q 'read-only' <(attach "$nbd/ro?connections=1,raw,xvdb,w")
check "  one that is there: attached" test "$(attach "$nbd/late,raw,xvdb,w" | tail -c 3)" = 201
check "  and known" test "$(api GET /v1/domains/reader/disks | jq -r 'map(.vdev) | join(" ")')" = "xvda xvdb"
wait $slow4
check "  no machine there: an error, too" grep -qE '(no answer|no route).*500$' <(tr -d '\n' < "$tmp/attach.slow")
check "a disk to be written: runs" test "$(create writer "\"$nbd/honest,raw,xvda,w\"" | jq -r .state)" = running
refused "a second writer" "$nbd/honest,raw,xvdb,w" 13 'already in use by somebody who writes'
refused "a reader beside a writer" "$nbd/honest,raw,xvdb,r" 14 'already in use by somebody who writes'
check "but not with w!" test "$(create sharer "\"$nbd/honest,raw,xvda,w!\"" | jq -r .state)" = running
refused "the same disk twice in one domain" "$nbd/other,raw,xvda,w\", \"$nbd/other,raw,xvdb,w" 15 'already in use'
for d in reader writer sharer; do api DELETE /v1/domains/$d > /dev/null; gone $d; done
check "free again when its domain is gone" test "$(create writer "\"$nbd/honest,raw,xvda,w\"" | jq -r .state)" = running
api DELETE /v1/domains/writer > /dev/null; gone writer

debian() {  # name, test, disks
    printf '%s\n' "name=\"$1\"" 'kernel="vmlinuz"' 'ramdisk="initramfs"' 'memory=160' "disk=[ $3 ]" \
        "extra=\"console=hvc0 quiet ip=none test=$2 then=stay\"" | api POST /v1/domains -m 120 --data-binary @- > "$tmp/$1.json"
}
debian trick disk "\"$nbd/every=40?connections=3,raw,xvda,w\", \"$nbd/b,raw,xvdb,r\""
debian kit disk "\"nbd:10.0.2.2:$kit_port/,raw,xvda,w\", \"$nbd/b,raw,xvdb,r\""
# Killed in the middle of it.
wait_for 60 "nbd:10.0.2.2:$kit_port/: [0-9]+ KiB" "$log"
console_says kit 60 'init on'
wait_for 30 'vbd[0-9]+.51712: connected, 2048 KiB' "$log"
until [ "$(stat -c %Y "$tmp/kit.img")" -gt "$(stat -c %Y "$tmp/image")" ] || ! kill -0 $kit_pid; do sleep 0.1; [ $SECONDS -lt 400 ] || break; done
kill -9 $kit_pid
sleep 3
check "the server is killed while a guest writes: it waits" has "nbd:10.0.2.2:$kit_port/: .*requests wait" "$log"
kit
check "  and goes on when the server is back, with all its data right" console_says kit 90 'test disk: ok'
check "  after a pause" has "the server is back after [0-9]{4,} ms" "$log"
check "a server that misbehaves every 40 requests: all data right" console_says trick 120 'test disk: ok'
for d in trick kit; do api DELETE /v1/domains/$d > /dev/null; gone $d; done
# A stock guest merges requests as it likes; this one goes on until each kind of misbehaviour was met, and looks at every byte.
ways() { grep -aoE "every=40.*: the (server|connection) [^;]*; requests wait" "$log" | sed 's/.*: //' | sort | uniq -c; }
all_ways() { local i; for ((i = 0; i < 240; i++)); do [ "$(ways | wc -l)" -ge 4 ] && return 0; kill -0 "$host_pid" || return 1; sleep 0.5; done; return 1; }
more_rounds() {
    local n i
    n=$(api GET "/v1/domains/$1/console" | grep -ac 'blkverify: round')
    for ((i = 0; i < 240; i++)); do [ "$(api GET "/v1/domains/$1/console" | grep -ac 'blkverify: round')" -gt "$n" ] && return 0; sleep 0.5; done
    return 1
}
printf '%s\n' 'name="long"' 'kernel="blkverify"' 'memory=32' "disk=[ \"$nbd/every=40?connections=3,raw,xvda,w\" ]" 'extra="qd=8 rounds=0"' |
    api POST /v1/domains -m 60 --data-binary @- > "$tmp/long.json"
check "  in every way" all_ways
check "    still all data right" more_rounds long
ways | sed 's/^/# /'
api DELETE /v1/domains/long > /dev/null; gone long

# Back with another size.
debian big grow "\"nbd:10.0.2.2:$kit_port/,raw,xvda,r\""
console_says big 60 'grow: 2048 KiB'
kill -9 $kit_pid; wait $kit_pid 2>/dev/null
truncate -s 3M "$tmp/kit.img"
kit
check "the export has grown: the running guest sees it" console_says big 60 'grow: 3072 KiB now'
check "  and reads its new end" console_says big 20 'test grow: ok'
# Gone for longer than the timeout.
debian late disk "\"nbd:10.0.2.2:$kit_port/?timeout=2,raw,xvda,r\""
kill -9 $kit_pid
check "gone for longer than its timeout: requests fail" wait_for 60 'gone for 2 s: requests fail now' "$log"
for d in big late; do api DELETE /v1/domains/$d > /dev/null; gone $d; done
wait $slow1 $slow2 $slow3
cat "$tmp"/slow.?; bad=$((bad + $(cat "$tmp"/slow.? | grep -c '^not ok')))
sleep 12                        # parked disks
now=$(api GET /v1/host | jq .dom0.heap_bytes)
check "nothing of it is left in dom0's memory ($heap, $now)" test $((now - heap)) -lt $((10 * 70000))
[ $bad -eq 0 ] || { tail -n 60 "$log"; for d in trick kit long big late; do tail -n 3 "$tmp/$d.json"; done; }
finish
