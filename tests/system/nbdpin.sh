# SPDX-License-Identifier: MIT
# nbdpin.sh - what guests write to NBD goes out of their own pages when the card does checksums (82574L): servers that
# say nothing for a while, that are killed; guests that change what is under way, and that go while a server has not answered.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/{blkverify,hello,vbd} || exit 1
kit_port=$(free_port)
truncate -s 8M "$tmp/a.img"
kit() { nbdkit -f -i 127.0.0.1 -p "$kit_port" file "$tmp/a.img" >> "$tmp/kit.log" 2>&1 & kit_pid=$!; pids+=($kit_pid); }
kit
scribble_port=$(free_port)
nbdkit -f -i 127.0.0.1 -p "$scribble_port" memory 8M > "$tmp/scribble.log" 2>&1 & pids+=($!)
attack_port=$(free_port)
cp build/guests/hello "$tmp/b.img"
nbdkit -f -i 127.0.0.1 -p "$attack_port" file "$tmp/b.img" > "$tmp/attack.log" 2>&1 & pids+=($!)
port=$(free_port)
api=http://127.0.0.1:$port
host_start h -machine q35 -m 256 -kernel build/sluice \
    -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 api=insecure" build/guests/{blkverify,vbd})" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:80" -device e1000e,netdev=n0,romfile=
log=$tmp/h.log
api_until 30 '.software == "sluice"' /v1/host || { flunk "the host starts"; cat "$log"; finish; }

create() {  # name, port, words, kernel
    printf '%s\n' "name=\"$1\"" "kernel=\"${4:-blkverify}\"" 'on_poweroff="preserve"' 'memory=32' "disk=[ \"nbd:10.0.2.2:$2/,raw,xvda,w\" ]" "extra=\"$3\"" |
        api POST /v1/domains -m 60 --data-binary @- > "$tmp/$1.json"
}
rounds() { api GET "/v1/domains/$1/console" | grep -ac 'blkverify: round'; }
more_rounds() { # name, how many more
    local want=$(($(rounds "$1") + $2)) i
    for ((i = 0; i < 150; i++)); do [ "$(rounds "$1")" -ge "$want" ] && return; kill -0 "$host_pid" || return 1; sleep 0.4; done
    return 1
}
answered() { api GET /metrics | grep -aE 'vbd_(read|write)_ops_total.*"'"$1"'"'; }
# Until requests are under way that the server does not answer.
stalled() {
    local before now i
    before=$(answered "$1")
    for ((i = 0; i < 60; i++)); do
        sleep 1
        now=$(answered "$1")
        [ -n "$now" ] && [ "$now" = "$before" ] && return
        before=$now
    done
    return 1
}
free_pages() { api GET /v1/host | jq .memory_free_pages; }
gone() { api_until 60 "map(select(.name == \"$1\")) | length == 0" /v1/domains; }

# Once, so that dom0 has what it keeps.
create warm "$kit_port" "qd=32 rounds=0"
more_rounds warm 1 || flunk "a guest writes and reads back"
api DELETE /v1/domains/warm > /dev/null; gone warm
wait_for 30 'closed; of' "$log"
before=$(free_pages)

create g "$kit_port" "qd=32 rounds=0"
check "a guest writes to an NBD disk and reads back" more_rounds g 1
kill -STOP "$kit_pid"
check "the server says nothing any more: the guest waits" stalled g
sleep 5                         # long enough for TCP to send again, and to ask whether the window is open
kill -CONT "$kit_pid"
check "  then goes on, and all is as it was written" more_rounds g 2
kill -9 "$kit_pid"; wait "$kit_pid" 2> /dev/null
wait_for 30 'requests wait for it' "$log"
kit
check "the server is killed and comes back: the same" more_rounds g 2

create s "$scribble_port" "mode=scribble qd=32"
check "a guest that changes what it writes while that is under way" more_rounds s 5
check "  another sees nothing of it" more_rounds g 1
api DELETE /v1/domains/s > /dev/null
check "  and it goes in the middle of it" gone s
wait_for 30 "nbd:10.0.2.2:$scribble_port/: closed; of" "$log"

create v "$attack_port" "" vbd
check "a hostile frontend, its disk on NBD: ends by itself" api_until 120 '.state == "shutdown" and .reason == "poweroff"' /v1/domains/v
api GET /v1/domains/v/console > "$tmp/v.out"
check "  and all its tricks were refused" has 'attack vbd: ok' "$tmp/v.out"
has 'attack vbd: ok' "$tmp/v.out" || tail -n 5 "$tmp/v.out"
api DELETE /v1/domains/v > /dev/null; gone v
check "  the other goes on" more_rounds g 1

kill -STOP "$kit_pid"
check "silent again" stalled g
api DELETE /v1/domains/g > /dev/null
check "a guest is destroyed whose pages TCP and the server still want" gone g
check "  dom0 waits for the server's answers, and then no more" wait_for 30 "vbd2\.51712: removed" "$log"
api_until 30 "$before - .memory_free_pages < 64" /v1/host
now=$(free_pages)
check "  no page is lost ($before free, $now)" test $((before - now)) -lt 64
# A new server: nbdkit 1.32 ends with a failed assertion in raw_send_socket() if its peer is gone when several threads answer,
# and what the old one has still in its socket would be written over the next guest's data.
kill -9 "$kit_pid"; wait "$kit_pid" 2> /dev/null
kit
until [ -n "$(ss -Hltn "sport = :$kit_port")" ]; do kill -0 "$kit_pid" || break; sleep 0.05; done
create g "$kit_port" "qd=32 rounds=2"
check "  and the next one finds nothing amiss" api_until 60 '.state == "shutdown" and .reason == "poweroff"' /v1/domains/g
api DELETE /v1/domains/g > /dev/null
wait_for 30 "vbd5\.51712: removed" "$log"
grep -a 'closed; of' "$log" | sed 's/^/# /'
check "most of it went straight out of their pages" awk '/closed; of/ { for (i = 1; i < NF; i++) if ($i == "of" && $(i + 2) == "KiB") { all += $(i + 1); own += $(i + 6) } } END { exit !(own > all * 0.7) }' "$log"
check "no panic in the host's log" test "$(grep -acE 'PANIC|BUG' "$log")" -eq 0
[ $bad -eq 0 ] || { tail -n 3 "$tmp"/*.log "$tmp"/*.json; api GET /v1/domains/g/console | tail -n 5; tail -n 20 "$log"; }
finish
