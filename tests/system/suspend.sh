# SPDX-License-Identifier: MIT
# suspend.sh - whole domains are suspended and resumed where they are, amid TCP to each other and writes to their disks: stock
# Debian guests with the kernel's network driver and with our module; mini guests with our frontends. Then those that do not
# play along.
. "$(dirname "$0")/lib.sh"

make --no-print-directory linux-module guests > "$tmp/make" 2>&1 || { flunk "module and guests are built"; tail "$tmp/make"; finish; }
cp "$kernel" "$tmp/vmlinuz"; cp "$initramfs" "$tmp/stock"
mk/add-module.sh "$initramfs" build/linux/netfront/linux/sluice-netfront.ko "$tmp/flip"
cp build/guests/{suspend,netstorm,blkverify,hello} "$tmp/"
truncate -s 4M "$tmp/image"
api_host 900 "$tmp"/{vmlinuz,stock,flip,image,suspend,netstorm,blkverify,hello}

# linux NAME LAST-BYTE VCPUS RAMDISK WORDS; mini NAME KERNEL WORDS [MORE LINES]
linux() {
    printf '%s\n' "name=\"$1\"" 'kernel="vmlinuz"' "ramdisk=\"$4\"" 'memory=112' "vcpus=$3" "vif=['mac=00:16:3e:00:00:0$2']" \
        'disk=["image,raw,xvda,w"]' "extra=\"console=hvc0 quiet ip=10.0.2.2$2/24 test=suspend then=stay $5\"" |
        api POST /v1/domains -m 120 --data-binary @- > /dev/null
}
mini() { printf '%s\n' "name=\"$1\"" "kernel=\"$2\"" 'memory=16' "extra=\"$3\"" "${@:4}" | api POST /v1/domains --data-binary @- > /dev/null; }
# What comes of it: the domain's state, or the error. suspend NAME [QUERY]
suspend() { api POST "/v1/domains/$1/suspend${2:-}" -m 200 | jq -r '.state // .error'; }
resume() { api POST "/v1/domains/$1/resume" | jq -r '.state // .error'; }
is() { [ "$1" = "$2" ] || { echo "# is '$1'"; false; }; }
like() { [[ "$1" == $2 ]] || { echo "# is '$1'"; false; }; }
cpu() { api GET "/v1/domains/$1" | jq .cpu_seconds; }
flips() { api GET /v1/counters | jq .flips; }
# ahead NAME LINE: asks a guest for the time; it is ahead of the host's by the first figure at least, by the second at most
ahead() {
    local n from to i
    clocks() { api GET "/v1/domains/$1/console" | grep -aoE 'clock [0-9]+[.][0-9]{3}'; }
    n=$(clocks "$1" | wc -l) from=$(uptime)
    api POST "/v1/domains/$1/console" --data-binary "$2"$'\n' > /dev/null
    for ((i = 0; i < 480; i++)); do [ "$(clocks "$1" | wc -l)" -le "$n" ] || break; sleep 0.1; done
    to=$(uptime)
    clocks "$1" | tail -n 1 | awk -v from="$from" -v to="$to" '{ printf "%.3f %.3f\n", $2 - to / 1e9, $2 - from / 1e9 }'
}
uptime() { api GET /v1/host | jq .uptime_ns; }
# As far ahead as before, within a second.
still() { awk -v a="$1" -v b="$2" 'BEGIN { split(a, p, " "); split(b, q, " "); exit !(a != "" && b != "" && q[1] <= p[2] + 1 && q[2] >= p[1] - 1) }'; }
# said NAME PATTERN: until its console has said that
said() { local i; for ((i = 0; i < 480; i++)); do api GET "/v1/domains/$1/console" | grep -aqE "$2" && return 0; sleep 0.25; done; return 1; }
# once NAME: suspended, standing still, resumed
once() {
    local a b
    check "$1 is suspended" is "$(suspend "$1")" suspended
    a=$(cpu "$1"); [ -z "${2:-}" ] || sleep "$2"; b=$(cpu "$1")
    check "  and stands still" is "$a" "$b"
    check "  resumed" is "$(resume "$1")" running
}
# rounds N: until the one that verifies its disk has been through it so many times more
rounds() {
    local a b i
    a=$(round); for ((i = 0; i < 480; i++)); do b=$(round); [ "${b:-0}" -ge $((${a:-0} + $1)) ] && return 0; sleep 0.25; done; return 1
}
round() { api GET /v1/domains/disk/console | sed -n 's/.*round //p' | tail -n 1; }
go_on() {
    more stock served 200 && more module asked 200 && more module served 200 && more other asked 200 &&
        more stock pieces 4 && more module pieces 4 && more other pieces 4
}

linux stock 1 2 stock "serve=1"
linux module 2 1 flip "peer=10.0.2.21 serve=1"
linux other 3 1 flip "peer=10.0.2.22"
check "three stock Debian guests exchange data and use their disks, two with our module" go_on
declare -A clock client server
for d in stock module other; do clock[$d]=$(ahead $d time); done
pages=$(free_pages)
# The first is long enough to be missed on a clock that stood still.
once stock 3; check "  connections and disks go on" go_on
once module; check "  connections and disks go on" go_on
check "all are" is "$(suspend stock) $(suspend module) $(suspend other)" "suspended suspended suspended"
# More than anybody's ring has room for.
mini flood netstorm "peers=00:16:3e:00:00:01,00:16:3e:00:00:02" 'vif=["mac=00:16:3e:00:01:01"]'
check "  thousands of frames are sent to them meanwhile" more flood sent 4000
remove flood
check "  resumed" is "$(resume module) $(resume other) $(resume stock)" "running running running"
check "  connections and disks go on" go_on
before=$(flips)
all=""
for d in stock module other module stock; do all+="$(suspend $d) $(resume $d) "; done
check "in quick succession" is "$all" "suspended running suspended running suspended running suspended running suspended running "
check "  connections and disks go on" go_on
now=$(flips)
check "  by pages flipped, as before ($before, $now)" test "$now" -gt $((before + 50))
now=$(free_pages)
check "the host's free memory is what it was ($pages, $now)" test "$now" -ge $((pages - 16))
for d in stock module other; do
    now=$(ahead $d end)
    check "$d: its clock went on (${clock[$d]}, $now)" still "${clock[$d]}" "$now"
done
for d in stock module other; do
    check "$d: every byte of its connections and of the disk was right" said $d 'suspend: all right.* end'
    read -r client[$d] server[$d] <<< "$(api GET "/v1/domains/$d/console" |
        sed -nE 's/.*all right: client ([0-9]+) ([0-9]+) server ([0-9]+) ([0-9]+) end.*/\1,\2 \4,\3/p')"
done
check "all that was sent arrived, both ways (${client[module]}; ${client[other]} bytes)" \
    is "${client[module]} ${client[other]}" "${server[stock]} ${server[module]}"
check "their devices stayed connected all the time" is "$(grep -acE '(vif|vbd)[123][.0-9]*: connected' "$log")" 6
for d in stock module other; do
    check "$d powers off when asked" is "$(api_status POST "/v1/domains/$d/shutdown")" 202
    check "  and is gone" gone $d
done
now=$(free_pages)
check "  all its memory, too" test "$now" -ge $((pages + 3 * 112 * 256 - 16))

pages=$(free_pages)
mini flip1 netstorm "suspend peers=00:16:3e:00:01:02" 'vif=["mac=00:16:3e:00:01:01"]'
mini flip2 netstorm "suspend peers=00:16:3e:00:01:01" 'vif=["mac=00:16:3e:00:01:02"]'
mini disk blkverify "suspend rounds=0" 'disk=["image,raw,xvda,w"]'
more flip1 received 20; more flip2 received 20; rounds 2
for i in 1 2; do
    once flip1; check "  frames come, both ways" more flip2 received 20
    more flip1 received 20 || flunk "  not to the one that was suspended"
    once disk; check "  its disk goes on" rounds 2
done
check "both ends of a flipped vif" is "$(suspend flip1) $(suspend flip2) $(resume flip1) $(resume flip2)" "suspended suspended running running"
check "  frames come" more flip1 received 20
for d in flip1 flip2 disk; do
    check "$d: nothing wrong" sh -c "! curl -s '$api/v1/domains/$d/console' | grep -aE 'FAILED|wrong'"
    remove $d
done

mini none hello forever
check "a guest that does not offer it" like "$(suspend none)" "none: cannot suspend: the guest does not offer it*"
check "  is not resumed either" like "$(resume none)" "none: cannot resume: domain is running"
remove none
mini honest suspend mode=honest
more honest ticks
once honest
check "  it was told that it goes on" said honest 'suspend: 1 resumed'
check "  its vector registers are whole" said honest 'suspend: (vectors as they were|no vectors here)'
suspend honest > /dev/null
for verb in suspend pause unpause shutdown reboot; do
    check "suspended, $verb is refused" is "$(api_status POST /v1/domains/honest/$verb)" 409
done
resume honest > /dev/null
check "resumed twice" is "$(api_status POST /v1/domains/honest/resume)" 409
suspend honest > /dev/null
api DELETE /v1/domains/honest > /dev/null
check "destroyed while it is suspended" gone honest

mini mute suspend mode=mute
more mute ticks
check "one that never answers" like "$(suspend mute '?timeout=1')" "mute: did not take the request to suspend within 1 s; it goes on"
check "  the request is withdrawn" said mute 'suspend: withdrawn'
check "  it runs on" more mute ticks
suspend mute > "$tmp/mute" & waiter=$!
for ((i = 0; i < 240; i++)); do [ "$(grep -ac 'mute: domain [0-9]* is asked' "$log")" -lt 2 ] || break; sleep 0.25; done
check "  is not asked twice at a time" like "$(suspend mute)" "mute: cannot suspend: it is being suspended"
api DELETE /v1/domains/mute > /dev/null
wait $waiter
check "  destroyed meanwhile" like "$(cat "$tmp/mute")" "mute: it ended instead of being suspended"
gone mute

mini late suspend mode=late
more late ticks
check "one that takes the request and goes on" like "$(suspend late '?timeout=1')" "late: took the request to suspend, but did not stop within 1 s; it goes on"
api POST /v1/domains/late/rename -d '{"name": "later"}' > /dev/null
check "  and stops later after all: is resumed" said later 'suspend: 1 resumed'
check "  and runs" more later ticks
check "  as the log says" has 'later: domain [0-9]+ is suspended, too late: it goes on' "$log"
remove later

mini ends suspend mode=ends
more ends ticks
check "one that powers off instead" like "$(suspend ends)" "ends: it ended instead of being suspended"
gone ends

mini self suspend mode=self
for i in 1 2 3; do
    check "one that suspends itself" api_until 60 '.state == "suspended"' /v1/domains/self
    check "  resumed" is "$(resume self)" running
done
check "  it was told so each time" said self 'suspend: 3 resumed'
check "  the log says that nobody asked" has 'self: domain [0-9]+ suspended itself; nobody asked' "$log"
remove self

mini storm suspend mode=storm 'vcpus=4'
failed=0
for i in $(seq 12); do api_until 60 '.state == "suspended"' /v1/domains/storm && is "$(resume storm)" running || failed=$((failed + 1)); done
check "one whose vCPUs all suspend it, whenever it runs: resumed 12 times" is $failed 0
remove storm

mini liar suspend mode=liar
check "one that crashes and calls it suspended" api_until 60 '.state == "suspended"' /v1/domains/liar
check "  is not resumed" like "$(resume liar)" "liar: cannot resume: the hypervisor refuses*"
check "  and stays" api_until 5 '.state == "suspended"' /v1/domains/liar
remove liar

# A stream without end: until the last of interest is there.
for ((i = 0; i < 30; i++)); do
    api GET "/v1/events?from=1" -m 2 > "$tmp/events"
    ! has '"destroyed","domain":"liar"' "$tmp/events" || break
done
told() { jq -r "select(.domain == \"$1\") | .event" "$tmp/events" | tr '\n' ' '; }
check "the events tell" like "$(told late); $(told later)" "created running suspend-failed *; *suspended resumed *"
check "no rule of the hypervisor's was broken" sh -c "! grep -aqE 'BUG|ASSERT|panic|PANIC' '$log'"
now=$(free_pages)
check "all memory is back ($pages, $now)" test "$now" -ge $((pages - 16))
[ $bad -eq 0 ] || { tail -n 60 "$log"; for d in stock module other; do echo "== $d"; api GET /v1/domains/$d/console 2>/dev/null | tail -n 15; done; }
finish
