# SPDX-License-Identifier: MIT
# netstorm.sh - vifs that come and go in the middle of traffic: frontends that let go and connect again in either protocol and
# change it, interfaces that are detached and attached, and domains that die at any moment, while others send to them.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory guests || exit 1
cp build/guests/netstorm "$tmp/netstorm"
api_host 768 "$tmp/netstorm"

mac() { printf '00:16:3e:00:01:%02x' "$1"; }
# create NAME NUMBER WORDS [on_crash]
create() {
    printf 'name = "%s"\nkernel = "netstorm"\nmemory = 16\nextra = "%s"\nvif = [ "mac=%s" ]\non_crash = "%s"\n' \
        "$1" "$3" "$(mac "$2")" "${4:-preserve}" | api POST /v1/domains --data-binary @- > /dev/null
}
all="flips standard renews changes"
start_all() {
    create flips 1 "peers=$(mac 2),$(mac 3),$(mac 4)"
    create standard 2 "mode=standard peers=$(mac 3),$(mac 4),$(mac 1)"
    create renews 3 "renew=60 peers=$(mac 4),$(mac 1),$(mac 2)"
    create changes 4 "renew=60 switch peers=$(mac 1),$(mac 2),$(mac 3)"
}
start_all
more flips received
for n in $all; do remove $n; done           # fills caches
pages=$(free_pages)

start_all
for n in renews changes; do
    check "$n: lets go of its backend and connects again, 40 times" more $n renewals 40
done
for n in $all; do check "  $n still gets frames" more $n received 20; done

for force in "" "?force=1"; do
    for n in flips standard; do
        [ $n = flips ] && m=$(mac 1) || m=$(mac 2)
        api DELETE "/v1/domains/$n/networks/0$force" > /dev/null
        api_until 30 'length == 0' "/v1/domains/$n/networks" || flunk "$n: interface not detached ($force)"
        api POST "/v1/domains/$n/networks" -d "{\"vif\": \"mac=$m\"}" > /dev/null
        check "  $n: interface detached${force:+ by force} in traffic, and attached" more $n received 20
    done
done

# Each dies at a frame of its own, or when it is told to, while the others send to it.
for i in $(seq 40); do
    words="peers=$(mac 1),$(mac 2),$(mac 3),$(mac 4)"
    [ $((i % 3)) -ne 0 ] || words+=" mode=standard"
    if [ $((i % 5)) -eq 0 ]; then
        create "m$i" $((16 + i)) "$words" destroy
        [ $((i % 2)) -eq 0 ] || more "m$i" received
        api DELETE "/v1/domains/m$i" > /dev/null
    else
        create "m$i" $((16 + i)) "$words die=$((RANDOM % 400 + 1))" destroy
    fi
done
check "40 domains die in the middle of traffic" api_until 60 'map(select(.name[:1] == "m")) | length == 0' /v1/domains
for n in $all; do check "  $n still gets frames" more $n received 20; done
for n in $all; do
    api GET "/v1/domains/$n/console" > "$tmp/$n.out"
    check "  $n: each byte right, no page and no frame missing" sh -c \
        "! grep -aqE 'FAILED|backend is wrong' '$tmp/$n.out' && grep -aqE ' 0 faults, 0 missing' '$tmp/$n.out'"
    grep -aE 'FAILED|wrong' "$tmp/$n.out" | head -n 5
done
for n in $all; do remove "$n" || flunk "$n does not go away"; done
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
for ((i = 0; i < 40; i++)); do
    now=$(free_pages)
    [ "$now" -ge $((pages - 16)) ] && break
    sleep 0.25
done
check "all memory comes back ($pages, $now)" test "$now" -ge $((pages - 16))
[ $bad -eq 0 ] || { grep -a vif8 "$tmp/h.log" | head -n 40; tail -n 40 "$tmp/h.log"; for n in $all; do echo "== $n"; tail -n 5 "$tmp/$n.out"; done; }
finish
