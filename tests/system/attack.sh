# SPDX-License-Identifier: MIT
# attack.sh - the guests of tests/attack, several domains at a time on one host of two CPUs beside a
# healthy one: each says what its verdict is, the host and the healthy domain must not notice, and all
# memory comes back.
. "$(dirname "$0")/lib.sh"

attacks=$(cd tests/attack && ls -d */ | tr -d /)
make -s --no-print-directory guests || exit 1
files=()
for g in hello $attacks; do cp "build/guests/$g" "$tmp/"; files+=("$tmp/$g"); done
api_host 1024 "${files[@]}"

# create NAME KERNEL EXTRA [MORE LINES]: a domain that stays when it ends, so that its end can be seen
create() {
    printf '%s\n' 'memory=48' 'vcpus=4' "${@:4}" "name=\"$1\"" "kernel=\"$2\"" "extra=\"$3\"" \
        'on_poweroff="preserve"' 'on_reboot="preserve"' 'on_crash="preserve"' |
        api POST /v1/domains --data-binary @- > /dev/null
}
ipis() { api GET /v1/counters | jq '."ipis sent"'; }
ended() { api_until "$2" '.state == "shutdown"' "/v1/domains/$1"; }
ticks() { api GET /v1/domains/healthy/console | grep -c 'hello: tick'; }
healthy() { local a; a=$(ticks); for _ in $(seq 40); do [ "$(ticks)" -gt "$a" ] && return 0; sleep 0.25; done; return 1; }

create healthy hello forever 'vif=["mac=00:16:3e:00:00:07"]'
# As many at once as below, one with many rings, so that what grows with their number has grown.
for i in $(seq 10); do create "first$i" hello forever; done
create first11 rings "" "$(cat tests/attack/rings/guest.cfg)"
ended first11 120
for i in $(seq 11); do remove "first$i"; done
sleep 1
pages=$(free_pages)

# A guest.cfg beside a guest: what it needs besides memory and processors.
for g in $attacks; do
    create "$g" "$g" "" "$(cat "tests/attack/$g/guest.cfg" 2>/dev/null)"
    # Neighbours by number grant each other frames and bind each other's ports.
    [ "$g" != races ] || create races2 races "seed=2"
done
for g in $attacks; do
    ended "$g" 120
    check "attack $g: the guest ends by itself" \
        api_until 1 '.state == "shutdown" and .reason == "poweroff"' "/v1/domains/$g"
    api GET "/v1/domains/$g/console" > "$tmp/$g.out"
    # One attacks its console, too, so that its last words may get lost.
    said="attack $g: ok"; [ "$g" != rings ] || said+="|rings: pages taken back"
    check "  and all its tricks were refused" has "$said" "$tmp/$g.out"
    has "$said" "$tmp/$g.out" || tail -n 10 "$tmp/$g.out"
    [ "$g" != rings ] || rings=$(api GET /v1/domains/rings | jq .id)
    [ "$g" != vbd ] || vbd=$(api GET /v1/domains/vbd | jq .id)
    remove "$g"
done
# Taken down and up again more than a hundred times: 20 lines, and then two each ten seconds.
lines=$(grep -acE "vif$rings\.0|vif/$rings/0" "$log")
check "one who breaks its rings again and again does not fill the log ($lines lines)" test "$lines" -ge 1 -a "$lines" -le 60
check "what a guest calls its protocol begins no line of the log" has 'protocol x\?\[    0.000\] a guest\?\[31m is' "$log"
check "  and other devices' lines still come" has "vbd$vbd\.[0-9]+: connected" "$log"

ended races2 60
check "its neighbour ends by itself, too" api_until 1 '.reason == "poweroff"' /v1/domains/races2
remove races2

# Some of these die, and may: what counts is what is said below.
for i in 1 2 3 4; do create "wild$i" hypercall "seed=$i calls=3000 wild"; done
for i in 0 1 2 3 4 5; do create "end$i" cpu "case=$((i * 7 % 44))"; done
for i in 0 1 2 3 4 5; do ended "end$i" 20; remove "end$i"; done
sleep 3
for i in 1 2 3 4; do remove "wild$i"; done

# An administrator against guests that do not play along.
put() { api PUT "/v1/domains/$1" -H 'Content-Type: application/json' -d "$2" > /dev/null; }
post() { api POST "/v1/domains/$1" -H 'Content-Type: application/json' -d "$2" > /dev/null; }
create hold balloon mode=hold 'maxmem=64'
put hold/memory '{"target_kib": 32768}'
check "a guest that keeps what it should give back" api_until 20 '.target_memory_kib == 32768 and .memory_kib == 49152' /v1/domains/hold
sleep 1
check "  gets nothing more" sh -c "! curl -s '$api/v1/domains/hold/console' | grep -q 'took a page'"
remove hold
# What it frees is forgotten by processors that have run it, and by no other.
before=$(ipis)
create churn balloon mode=churn 'vcpus=1'
ended churn 60
api GET /v1/domains/churn/console > "$tmp/churn.out"
check "a guest that exchanges its pages all day has done so" has 'attack balloon: 10000 pages exchanged' "$tmp/churn.out"
sent=$(($(ipis) - before))
check "  and interrupts nobody else for it ($sent)" test "$sent" -lt 5000
remove churn
create handles balloon mode=handles
ended handles 60
api GET /v1/domains/handles/console > "$tmp/handles.out"
check "a guest that maps all it can has some ten thousand handles, not more" has 'attack balloon: [1-4][0-9]{4} handles, then -13' "$tmp/handles.out"
remove handles
create down balloon mode=down
check "a guest that takes all its vCPUs offline has powered off" api_until 20 '.state == "shutdown" and .reason == "poweroff"' /v1/domains/down
remove down
create states balloon mode=states
for i in $(seq 8); do
    post states/networks '{"vif": ""}'; post states/networks '{"vif": ""}'
    post states/disks "{\"disk\": \"hello,raw,xvdb,r\"}"
    for d in networks/0 networks/1 disks/xvdb; do
        api DELETE "/v1/domains/states/$d" > /dev/null
        [ $((i % 2)) -eq 0 ] || sleep 0.1
        api DELETE "/v1/domains/states/$d?force=1" > /dev/null
    done
done
check "devices of a guest that plays with their states come and go" \
    test "$(api GET /v1/domains/states/networks | jq length)$(api GET /v1/domains/states/disks | jq length)" = 00
remove states

check "the host is alive" api_until 5 '.software == "sluice"' /v1/host
check "  and no rule of its own was broken" sh -c "! grep -aqE 'BUG|ASSERT|panic|PANIC' '$log'"
check "  nor is anything of its own in what it says of crashed guests' registers" \
    sh -c "! grep -aE 'r[abcds][xi] .*(ffff82d04020[1-9a-f]|ffff8300[0-9a-f]{5}[1-9a-f])' '$log'"
check "a healthy domain beside them runs on" healthy
check "  and was never restarted" api_until 5 '.state == "running" and .restarts == 0' /v1/domains/healthy
sleep 1
now=$(free_pages)
check "the host's free memory is what it was ($pages, $now)" test "$now" -ge "$pages"
[ $bad -eq 0 ] || tail -n 40 "$log"
finish
