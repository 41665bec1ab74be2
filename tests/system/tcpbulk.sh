# SPDX-License-Identifier: MIT
# tcpbulk.sh - TCP streams between mini guests that have nothing but netfront, every byte checked: pages flipped, copied,
# on standard rings, and with segments lost on both sides, which must be sent again.
. "$(dirname "$0")/lib.sh"

cp build/guests/tcpbulk "$tmp/"
names=""
domain() {  # NAME, last byte of its addresses, command line
    printf 'name="%s"\nmemory=16\nkernel="tcpbulk"\nextra="check=full ip=10.0.0.%s %s"\nvif=["mac=00:16:3e:00:00:%s"]\n' \
        "$1" "$((16#$2))" "$3" "$2" > "$tmp/$1.cfg"
    names+="\"$1.cfg\", "
}
pair() {    # NAME, last byte, the receiver's words, the sender's words
    domain "$1-to" "1$2" "role=receive $3"
    domain "$1-from" "2$2" "role=send to=10.0.0.$((16#1$2)) $4"
}
pair flip 1 "" "bytes=8000000"
pair copy 2 "mode=standard" "mode=copy bytes=3000000"
pair mixed 3 "" "mode=standard bytes=3000001"
pair lossy 4 "drop=11" "drop=13 bytes=1000000"
echo "autostart = [ $names ]" > "$tmp/host.cfg"
host_start h -machine q35 -m 256 -smp 2 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=none console=com2" "$tmp"/{host.cfg,*-to.cfg,*-from.cfg,tcpbulk})"
ends() { grep -ac 'tcpbulk: end' "$tmp/h.com2"; }
for _ in $(seq 450); do [ "$(ends)" = 4 ] && break; kill -0 "$host_pid" || break; sleep 0.2; done
for bytes in 8000000 3000000 3000001 1000000; do
    check "$bytes bytes were sent and acknowledged" has "sent $bytes bytes, $bytes acknowledged, .*: ok" "$tmp/h.com2"
    check "  and are what came" wait_for 10 "received $bytes bytes, 0 wrong: ok" "$tmp/h.com2"
done
check "what was lost was sent again" has 'sent 1000000 .* [1-9][0-9]* sent again' "$tmp/h.com2"
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
[ $bad -eq 0 ] || { tail -n 20 "$tmp/h.log"; tail -n 20 "$tmp/h.com2"; }
finish
