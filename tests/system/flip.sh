# SPDX-License-Identifier: MIT
# flip.sh - two mini guests, and a third as their backend, exchange frames: contents, counts, M2P, and
# what must be refused. Then a storm of exchanges between several, in which ends and backends die.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory guests || exit 1
cp build/guests/flip "$tmp/flip"
for r in a b back; do
    printf 'name = "%s"\nkernel = "flip"\nmemory = 16\nextra = "role=%s"\n' $r $r > "$tmp/$r.cfg"
done
echo 'autostart = [ "a.cfg", "b.cfg", "back.cfg" ]' > "$tmp/host.cfg"
for cpus in 1 2; do
    rm -f "$tmp"/h.*
    host_start h -machine q35 -m 256 -smp $cpus -kernel build/sluice -append debugexit \
        -initrd "$(modules "console=com2" "$tmp"/{host.cfg,a.cfg,b.cfg,back.cfg,flip})"
    check "flips between domains, $cpus CPUs" wait_for 40 'flip back: ok|flip .*FAILED' "$tmp/h.com2"
    check "  all as it should" has 'flip back: ok' "$tmp/h.com2"
    grep -a FAILED "$tmp/h.com2"
    check "  no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
    [ $bad -eq 0 ] || tail -n 30 "$tmp/h.log"
    host_stop "$host_pid"
done

api_host 512 "$tmp/flip"

# create NAME ROLE [VCPUS]
create() {
    printf 'name = "%s"\nkernel = "flip"\nmemory = 16\nextra = "role=%s"\non_crash = "preserve"\nvcpus = %s\n' "$1" "$2" "${3:-1}" |
        api POST /v1/domains --data-binary @- > /dev/null
}

# Two of the four have a spy.
names="s1 s2 s3 s4"
storm() { create s1 storm 2; create s2 storm 2; create s3 storm; create s4 storm; create sb stormback; }
storm
for n in $names sb; do remove "$n"; done    # fills caches
pages=$(free_pages)
storm
check "a storm of exchanges between four ends" more s1 received
for round in 1 2 3; do
    for n in s1 s3; do
        remove "$n" || flunk "round $round: $n does not go away"
        create "$n" storm
    done
    remove sb || flunk "round $round: the backend does not go away"
    create sb stormback
    check "  goes on with new ends and a new backend ($round)" more s2 received
done
for n in $names; do
    api GET "/v1/domains/$n/console" > "$tmp/$n.out"
    check "  $n: every page whole, none of a third" sh -c "! grep -aq FAILED '$tmp/$n.out'"
    grep -a FAILED "$tmp/$n.out"
done
api GET /v1/domains/sb/console > "$tmp/sb.out"
check "  the backend got an answer to each operation" sh -c "! grep -aq FAILED '$tmp/sb.out'"
check "  some at rest, some while a CPU ran an end; refusals and wiped bytes are counted" api_until 120 \
    '."flips at rest" > 5 and .flips - ."flips at rest" > 500 and ."flips refused" > 0 and ."bytes scrubbed by flips" > 4096' /v1/counters
for n in $names sb; do remove "$n" || flunk "$n does not go away"; done
check "  no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
for ((i = 0; i < 20; i++)); do
    now=$(free_pages)
    [ "$now" -ge $((pages - 16)) ] && break
    sleep 0.25
done
check "  and all memory comes back ($pages, $now)" test "$now" -ge $((pages - 16))
[ $bad -eq 0 ] || tail -n 40 "$tmp/h.log"
finish
