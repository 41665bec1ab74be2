# SPDX-License-Identifier: MIT
# liar.sh - our frontends, for vifs and for disks, in one mini guest against a backend in another, which does whatever a backend
# can: the frontend keeps all its pages and goes on, with the next liar, too, and with an honest backend in the end.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory guests || exit 1
cp build/guests/liar "$tmp/liar"
api_host 256 "$tmp/liar"

create() {  # NAME WORDS
    printf 'name = "%s"\nkernel = "liar"\nmemory = 16\nextra = "%s"\non_crash = "preserve"\n' "$1" "$2" |
        api POST /v1/domains --data-binary @- > /dev/null
}

create front role=netfront; create back role=netback
more front connections 3
remove front; remove back           # fills caches
pages=$(free_pages)

for kind in net blk; do
    create front role=${kind}front
    for round in 1 2; do
        create back role=${kind}back
        check "a lying ${kind}back ($round): ${kind}front connects again and again" more front connections 25
        [ $kind = blk ] || check "  and says what is wrong" more front faults 5
        [ $kind = net ] || check "  and has its requests answered" more front ended 100
        api GET /v1/domains/back/console > "$tmp/back.out"
        remove back
    done
    check "  the liars copied and kept pages" has 'liar [a-z]*back: .* [1-9][0-9]* copied, [1-9][0-9]* mapped' "$tmp/back.out"
    [ $kind = blk ] || check "  and flipped some" has 'liar netback: .* [1-9][0-9]* flipped' "$tmp/back.out"
    create back "role=${kind}back honest"
    check "an honest ${kind}back: what comes is right" more front right 1000
    check "  and the frontend is there" api_until 1 '.state == "running"' /v1/domains/front
    for n in front back; do
        api GET "/v1/domains/$n/console" > "$tmp/$n.out"
        check "  $kind$n: no page missing, none in two places" sh -c "! grep -aqE 'FAILED|PANIC' '$tmp/$n.out'"
        grep -aE 'FAILED|PANIC' "$tmp/$n.out" | head -n 5
        grep -a "liar $kind$n:" "$tmp/$n.out" | tail -n 1 | sed "s/^/# /"
    done
    [ $bad -eq 0 ] || for n in front back; do echo "== $n"; tail -n 25 "$tmp/$n.out"; done
    remove back; remove front       # an honest one would miss its frontend
done
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
for ((i = 0; i < 40; i++)); do
    now=$(free_pages)
    [ "$now" -ge $((pages - 16)) ] && break
    sleep 0.25
done
check "all memory comes back ($pages, $now)" test "$now" -ge $((pages - 16))
[ $bad -eq 0 ] || tail -n 30 "$tmp/h.log"
finish
