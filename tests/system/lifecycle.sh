# SPDX-License-Identifier: MIT
# lifecycle.sh - domains come and go: rounds of creation and destruction that leak nothing, a
# crashing domain beside a healthy one, on_crash and on_reboot, pause, shutdown and reboot by the API.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/hello || exit 1
cp build/guests/hello "$tmp/hello"
cp "$kernel" "$tmp/vmlinuz"
cp "$initramfs" "$tmp/initramfs"
api_host 1024 "$tmp/hello" "$tmp/vmlinuz" "$tmp/initramfs"

config() { printf '%s\n' "name=\"$1\"" 'kernel="hello"' 'memory=16' "${@:2}"; }
create() { config "$@" | api POST /v1/domains --data-binary @- ; }
heap() { api GET /v1/host | jq .dom0.heap_bytes; }
ipis() { api GET /v1/counters | jq '."ipis sent"'; }

check "create: the answer describes the domain" \
    test "$(create healthy 'extra="forever"' 'vif=["mac=00:16:3e:00:00:07"]' | jq -r .state)" = running
check "  a second of that name is refused" \
    test "$(config healthy | api_status POST /v1/domains --data-binary @-)" = 409

# Twenty rounds; the first two fill caches (console history, domain structs).
round() {
    create "r$1" 'extra="forever"' 'vif=[""]' > "$tmp/created" || return 1
    api DELETE "/v1/domains/r$1" > /dev/null && gone "r$1"
}
for i in 1 2; do round $i; done
pages=$(free_pages) before=$(heap) failed=0 sent=$(ipis)
for i in $(seq 3 20); do round $i || failed=$((failed + 1)); done
check "20 rounds of create and destroy" test $failed -eq 0
sent=$(($(ipis) - sent))
check "  with fewer than 1024 IPIs each: a domain's frames are flushed together ($sent)" test "$sent" -lt $((18 * 1024))
sleep 1
now=$(free_pages)
check "  the host's free memory is what it was ($pages, $now)" test "$now" -ge "$pages"
now=$(heap)
check "  and dom0's heap, but for kept consoles ($before, $now)" test $((now - before)) -lt $((18 * 70000))

create crash 'extra="crash"' > /dev/null
check "a crashing domain is destroyed" gone crash
check "  and the log says why" has 'crash: domain [0-9]+ ended: crash; destroying' "$log"
create kept 'extra="crash"' 'on_crash="preserve"' > /dev/null
check "on_crash=preserve keeps it" api_until 20 '.state == "shutdown" and .reason == "crash"' /v1/domains/kept
api DELETE /v1/domains/kept > /dev/null
check "  until it is destroyed" gone kept
create again 'extra="crash"' 'on_crash="restart"' > /dev/null
check "on_crash=restart starts it again" api_until 20 '.restarts >= 2' /v1/domains/again
check "  but not in a hurry" has 'again: ended after [0-9]+ ms; restart in' "$log"
api DELETE /v1/domains/again > /dev/null
check "  and can be ended" gone again

ticks() { api GET /v1/domains/healthy/console | grep -c 'hello: tick'; }
api POST /v1/domains/healthy/pause > /dev/null
sleep 0.5; a=$(ticks); sleep 1.5; b=$(ticks)
check "a paused domain stands still ($a ticks, $b ticks)" test "$a" -eq "$b"
api POST /v1/domains/healthy/unpause > /dev/null
sleep 1.5; c=$(ticks)
check "  and goes on ($c ticks)" test "$c" -gt "$b"
check "the healthy one has seen none of it" api_until 5 '.state == "running" and .restarts == 0' /v1/domains/healthy

printf '%s\n' 'name="deb"' 'kernel="vmlinuz"' 'ramdisk="initramfs"' 'memory=128' 'on_reboot="restart"' \
    'extra="console=hvc0 quiet ip=none then=stay"' | api POST /v1/domains -m 120 --data-binary @- > /dev/null
console_says() { for _ in $(seq "$1"); do api GET /v1/domains/deb/console | grep -aqE "$2" && return 0; sleep 1; done; return 1; }
check "a Debian guest runs" console_says 60 'guest: init'
api POST /v1/domains/deb/reboot > /dev/null
check "  restarts when asked to reboot" api_until 60 '.restarts == 1 and .state == "running"' /v1/domains/deb
check "  its kernel was kept: decoded once" test "$(grep -c 'vmlinuz: bzImage' "$log")" -eq 1
sleep 1; n=$(api GET /v1/domains/deb/console | grep -ac 'guest: init')
for _ in $(seq 60); do [ "$(api GET /v1/domains/deb/console | grep -ac 'guest: init')" -gt "$n" ] && break; [ "$n" -gt 1 ] && break; sleep 1; done
api POST /v1/domains/deb/shutdown > /dev/null
check "  powers off when asked" gone deb
check "  of its own will" has 'deb: domain [0-9]+ ended: poweroff' "$log"
check "no error in dom0's log but the refused name" test "$(grep -c '] error: ' "$log")" -eq 1
[ $bad -eq 0 ] || tail -n 60 "$log"
finish
