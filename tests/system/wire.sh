# SPDX-License-Identifier: MIT
# wire.sh - frames of mini guests through both drivers of network cards, out and back, each byte checked; domains that are
# destroyed while a card reads their pages; a card that does not send any more.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/frames || exit 1
peer() {    # NAME, byte of its addresses
    python3 "$top/tests/system/wirepeer.py" "$tmp/$1" "$2" "$tmp/$1.hold" > "$tmp/$1.out" 2>&1 &
    pids+=($!)
    wait_for 20 ready "$tmp/$1.out" || flunk "the other end of $1"
}
cards() {   # the arguments that connect them
    printf -- '-netdev stream,id=%s,server=off,addr.type=unix,addr.path=%s ' "v" "$tmp/virtio" "e" "$tmp/e1000e"
    printf -- '-device virtio-net-pci,netdev=v,disable-legacy=on,romfile=,addr=0x8 -device e1000e,netdev=e,romfile=,addr=0x9'
}
create() {  # NAME, command line
    n=$((${n:-16} + 1))
    printf 'name="%s"\nmemory=16\nkernel="frames"\nextra="%s"\nvif=["mac=00:16:3e:00:00:%x"]\n' "$1" "$2" "$n" |
        api POST /v1/domains --data-binary @- > /dev/null
}
free_pages() { api GET /v1/host | jq .memory_free_pages; }
gone() { api_until 30 "map(select(.name == \"$1\")) | length == 0" /v1/domains; }
start() {   # dom0's command line
    port=$(free_port)
    api=http://127.0.0.1:$port
    host_pid=           # of an earlier host: nothing below waits for that
    rm -f "$tmp"/{virtio,e1000e}{,.hold,.out}
    peer virtio 1
    peer e1000e 2
    # shellcheck disable=SC2046
    host_start h -machine q35 -m 256 -smp 2 -kernel build/sluice -append debugexit \
        -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 api=insecure console=com2 $1" build/guests/frames)" \
        -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:80" -device virtio-net-pci,netdev=n0,romfile=,addr=0x7 $(cards)
    api_until 30 '.software == "sluice"' /v1/host || { flunk "the host starts"; cat "$tmp/h.log"; finish; }
}
sent() { sed -n 's/.*: \([0-9]*\) frames, .*/\1/p' "$tmp/$1.out" | tail -n 1; }
all_right() { grep -a 'frames, ' "$tmp/$1.out" | tail -n 1 | grep -q ', 0 bad'; }

start "nic_timeout=600 dma_min=1"
check "both cards" test "$(grep -acE 'nic[12]: (virtio|e1000e), ' "$tmp/h.log")" = 2

# Out and checked there; out, back and checked here.
small=64,113,256,1514 all=64,113,600,1514,20000,65226
want=0
for card in 1 2; do
    for mode in flip standard plain; do
        sizes=$all
        [ $mode = plain ] && sizes=$small
        create "out-$mode-$card" "role=source peer=00:16:3e:00:0$card:fd sizes=$sizes count=300 window=16 big=3 mode=$mode stay"
        create "back-$mode-$card" "role=source peer=00:16:3e:00:0$card:fe sizes=$small count=300 window=16 mode=$mode back stay"
        want=$((want + $(echo "$sizes,$small" | tr , '\n' | wc -l)))
    done
done
ends() { [ "$(api GET "/v1/domains" | jq length)" ] && for d in $(api GET /v1/domains | jq -r '.[].name'); do
    api GET "/v1/domains/$d/console"; done > "$tmp/consoles"; grep -ac 'frames: end' "$tmp/consoles"; }
for _ in $(seq 300); do [ "$(ends)" = 12 ] && break; kill -0 "$host_pid" || break; sleep 0.2; done
check "12 sources end" test "$(ends)" = 12
check "every frame of every size was right, out and back" test "$(grep -acE 'frames: size .* ok' "$tmp/consoles")" = $want
check "frames from both cards were flipped to guests" \
    test "$(grep -acE 'received: [1-9][0-9]* flipped' "$tmp/consoles")" = 2
for card in virtio e1000e; do
    check "what came out of $card is right" all_right $card
done
for d in $(api GET /v1/domains | jq -r '.[].name'); do
    api DELETE "/v1/domains/$d" > /dev/null
    gone "$d" || flunk "$d goes"
done

# Domains that are destroyed while they send, three of them to have all pools filled; nothing is lost, nothing wrong.
flood() {   # NAME, peer: sends, and goes on sending
    local before; before=$(sent "$3")
    create "$1" "role=source peer=00:16:3e:00:0$2:fd sizes=1514 count=90000000 window=60000000 mode=${4:-flip}"
    for _ in $(seq 150); do [ "$(sent "$3")" -gt $((before + 2000)) ] && return; kill -0 "$host_pid" || break; sleep 0.2; done
    flunk "$1 sends: $(sent "$3") frames"
}
for round in 1 2 3; do
    for mode in flip standard; do
        flood "v$mode" 1 virtio $mode
        flood "e$mode" 2 e1000e $mode
        api DELETE "/v1/domains/v$mode" > /dev/null
        api DELETE "/v1/domains/e$mode" > /dev/null
        gone "v$mode" && gone "e$mode" || flunk "domains that send go"
    done
    [ $round = 2 ] && pages=$(free_pages)
done
api_until 20 ".memory_free_pages >= $pages - 16" /v1/host
now=$(free_pages)
check "domains are destroyed while they send; all memory comes back ($pages, $now)" test "$now" -ge $((pages - 16))
for card in virtio e1000e; do
    check "  what came out of $card is right" all_right $card
done

# A domain that goes while the card cannot send: the card keeps its pages, and sends what was in them, however late.
stall() {   # until the card has all that it takes
    local before; before=$(no_room)
    touch "$tmp/virtio.hold"
    for _ in $(seq 150); do [ "$(no_room)" -gt "$before" ] && return; kill -0 "$host_pid" || break; sleep 0.2; done
    flunk "the card is full"
}
no_room() { api GET /metrics | sed -n 's/.*dropped.*port="nic1".*reason="no_room".* \([0-9]*\)$/\1/p' | grep . || echo 0; }
flood held 1 virtio
stall
api DELETE /v1/domains/held > /dev/null
check "a domain is destroyed whose pages are under DMA" gone held
held=$(free_pages)
rm "$tmp/virtio.hold"
api_until 30 ".memory_free_pages >= $held + 32" /v1/host
now=$(free_pages)
check "  these pages come back when they are sent, and not before ($held, $now)" test "$now" -ge $((held + 32))
flood after 1 virtio
check "  what came out of virtio is right" all_right virtio
host_stop "$host_pid"

# A card that does not send at all is reset; its frames are lost, and then it sends again.
start "nic_timeout=1 dma_min=1"
flood first 1 virtio
stall
check "a card that sends nothing is reset" wait_for 30 'nic1: has sent nothing for .* it is reset' "$tmp/h.log"
api DELETE /v1/domains/first > /dev/null
check "  its sender can go" gone first
rm "$tmp/virtio.hold"
flood second 1 virtio
check "  and it sends again, nothing wrong" all_right virtio
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC|panic' '$tmp/h.log'"
[ $bad -eq 0 ] || { grep -aE 'WRONG|error' "$tmp/consoles"; cat "$tmp"/{virtio,e1000e}.out; tail -n 20 "$tmp/h.log"; }
finish
