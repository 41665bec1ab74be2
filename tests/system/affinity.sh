# SPDX-License-Identifier: MIT
# affinity.sh - vCPUs tied to CPUs: they run there and nowhere else, by what the guest itself reads from CPUID; changed
# while they run and all CPUs are busy, no vCPU is lost.
. "$(dirname "$0")/lib.sh"

api_cpus=4 api_append=dom0_vcpus_pin api_host 512 build/guests/where
# put NAME VCPUS LINE...: a domain
put() { local n=$1 v=$2; shift 2; printf '%s\n' "name=\"$n\"" 'kernel="where"' 'memory=8' "vcpus=$v" "$@" | api POST /v1/domains --data-binary @-; }
pin() { api PATCH "/v1/domains/$1/vcpus/$2" -H 'Content-Type: application/json' -d "$3"; }
lines() { api GET "/v1/domains/$1/console" | tr -d '\r' | sed -n 's/.*where: turn \([0-9]*\): /\1 /p'; }
turn() { lines "$1" | tail -n 1 | cut -d' ' -f1; }
# later NAME: the masks of a whole turn that began after now
later() {
    local i t now
    now=$(turn "$1")
    for ((i = 0; i < 480; i++)); do
        t=$(turn "$1")
        [ "${t:-0}" -ge $((${now:--1} + 2)) ] && { lines "$1" | tail -n 1 | cut -d' ' -f2-; return; }
        sleep 0.25
    done
    echo lost
}
# keeps NAME MASK...: in a whole turn each vCPU ran somewhere, and nowhere but in its mask
keeps() {
    local n=$1 masks m; shift
    masks=$(later "$n")
    for m in $masks; do
        [ $# -gt 0 ] && [ "$m" != lost ] && [ $((m)) -ne 0 ] && [ $((m & ~$1)) -eq 0 ] || { echo "# $n: $masks, not $*"; return 1; }
        shift
    done
    [ $# -eq 0 ]
}
# comes NAME MASK...: some time they are just that
comes() {
    local i n=$1 masks want; shift
    want=$*
    for ((i = 0; i < 120; i++)); do
        masks=$(later "$n")
        [ "$masks" = "$want" ] && return 0
        [ "$masks" != lost ] || break
    done
    echo "# $n: $masks, not $want"
    return 1
}

put a 4 'cpus="2-3"' > /dev/null
put b 3 'cpus=["0","1,2"]' > /dev/null
put c 2 > /dev/null
check "cpus=\"2-3\": all vCPUs are there and nowhere else" keeps a 0xc 0xc 0xc 0xc
check "cpus=[\"0\",\"1,2\"]: each has its own, the third any" keeps b 1 6 0xf
check "  and so it is shown" test "$(api GET /v1/domains/b/vcpus | jq -c 'map(.affinity)')" = '[[0],[1,2],[]]'
pin a all '{"affinity": [1]}' > /dev/null
check "changed while they run" keeps a 2 2 2 2
pin a 3 '{"affinity": [0]}' > /dev/null
check "  one of them" keeps a 2 2 2 1
check "  that is where they are shown" api_until 20 'map(.affinity == [.cpu]) | all' /v1/domains/a/vcpus
check "  others stay where they were" keeps b 1 6 0xf

# Back and forth, far faster than turns; then all must be where they were put last.
storm() {
    local i
    for ((i = 0; i < 40; i++)); do
        pin a all "{\"affinity\": [$((i % 4))]}"; pin a 1 "{\"affinity\": [$(((i + 1) % 4)), 3]}"
        pin b 1 "{\"affinity\": [$((i % 3))]}"; pin c all "{\"affinity\": [$((3 - i % 4))]}"
    done > /dev/null
    pin a all '{"affinity": [1, 2]}' > /dev/null; pin b all '{"affinity": [0]}' > /dev/null; pin c 0 '{"affinity": [3]}' > /dev/null
}
storm
check "after 160 changes none is lost, and all are where they belong" keeps a 6 6 6 6
check "  of the second domain" keeps b 1 1 1
check "  and of the third" keeps c 8 1
api POST /v1/domains/a/pause > /dev/null
pin a all '{"affinity": [0]}' > /dev/null
api POST /v1/domains/a/unpause > /dev/null
check "a paused domain is moved too" keeps a 1 1 1 1

# A preference: CPU 3 when it is idle, others before waiting.
remove a > /dev/null; remove b > /dev/null
pin c all '{"affinity": [2, 3], "soft_affinity": [3]}' > /dev/null
pin c 1 '{"affinity": [0]}' > /dev/null
check "a soft affinity: it goes where it would rather be" comes c 0x8 0x1
put hog 1 'cpus="3"' > /dev/null
check "  and away when that CPU is taken, for one that is idle" comes c 0x4 0x1
remove hog > /dev/null
check "  and back" comes c 0x8 0x1
pin c all '{"affinity": []}' > /dev/null
check "  the preference stays until it is changed" test "$(api GET /v1/domains/c/vcpus | jq -c 'map([.affinity, .soft_affinity])')" = '[[[],[3]],[[],[3]]]'

error() { "$@" | jq -r .error; }
check "CPUs that the host has not got are refused" test "$(error pin c 0 '{"affinity": [4, 5]}')" = "c: vCPU 0 cannot run on CPU 4-5: this host has 0-3"
check "  at creation too" test "$(error put d 2 'cpus=["0","7"]')" = "d: vCPU 1 cannot run on CPU 7: this host has 0-3"
check "  and change nothing" test "$(api GET /v1/domains/c/vcpus | jq -c '.[0].affinity')" = '[]'
remove c > /dev/null
check "nothing is left" api_until 20 'length == 0' /v1/domains

# Two share CPU 1; the third, with a quarter of CPU 2, has that. CPU 1 is never idle, so what they ran is how long it was.
put p 1 'cpus="1"' > /dev/null; put q 1 'cpus="1"' > /dev/null; put r 1 'cpus="2"' 'cap=25' > /dev/null
ran() { api GET /v1/domains | jq -r 'map({ key: .name, value: .cpu_seconds }) | from_entries | [.p, .q, .r] | @tsv'; }
shares() {
    local from i p q r
    from=$(ran)
    for ((i = 0; i < 240; i++)); do
        sleep 0.25
        read -r p q r < <(paste <(echo "$from") <(ran) | awk '{ print $4 - $1, $5 - $2, $6 - $3 }')
        awk "BEGIN { exit !($p + $q >= 6) }" && break
    done
    echo "# $p s and $q s of CPU 1, $r s of CPU 2"
    awk "BEGIN { t = $p + $q; exit !(t >= 6 && $p > 0.3 * t && $q > 0.3 * t && $r > 0 && $r < 0.5 * t) }"
}
# With room for a machine that stops a CPU for a second.
check "two tied to a CPU share it, and a cap holds" shares
remove p > /dev/null; remove q > /dev/null; remove r > /dev/null

# dom0 is tied to CPU 0 (dom0_vcpus_pin): it does not leave it for idle ones when somebody is busy there.
put hog 1 'cpus="0"' > /dev/null
idle() { api GET /metrics | sed -n 's/^sluice_cpu_idle_seconds_total{cpu="[1-3]"} //p'; }
all_idle() {
    local before i try
    for try in 1 2 3 4 5; do        # the counters are read one after another
        before=$(idle)
        for i in $(seq 40); do api GET /metrics > /dev/null; done
        paste -d' ' <(echo "$before") <(idle) | awk '{ print $2 - $1 }' > "$tmp/idle"
        awk 'NR == 1 { min = max = $1 } { if ($1 < min) min = $1; if ($1 > max) max = $1 } END { exit !(NR == 3 && min > 0.95 * max) }' "$tmp/idle" && return 0
    done
    echo "# CPUs 1 to 3 were idle for $(tr '\n' ' ' < "$tmp/idle")s"
    return 1
}
check "dom0 keeps to CPU 0" all_idle
remove hog > /dev/null
[ $bad -eq 0 ] || tail -n 40 "$log"
finish
