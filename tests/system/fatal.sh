# SPDX-License-Identifier: MIT
# fatal.sh - guests that do what is fatal to them by design: each is stopped with a report on the
# serial console, and the host goes on.
. "$(dirname "$0")/lib.sh"

for how in no-handler stack-hypervisor stack-noncanonical stack-low iret-hypervisor iret-noncanonical \
           iret-unmapped iret-user fault-in-handler stack-away; do
    tests/run-guest --log "$tmp/$how.log" --timeout 60 --memory 32 --extra "how=$how" \
        build/guests/fatal > "$tmp/$how.out" 2> "$tmp/$how.err"
    rc=$?
    check "fatal $how: the guest crashes" test $rc -eq 2
    check "  and was on the way to it" has "fatal: $how" "$tmp/$how.out"
    check "  with a report" has "d1v0 on CPU" "$tmp/$how.log"
    check "  and the host is well" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/$how.log'"
    [ $rc -eq 2 ] || { tail -n 20 "$tmp/$how.out" "$tmp/$how.log"; cat "$tmp/$how.err"; }
done
tests/run-guest --log "$tmp/w.log" --timeout 60 --memory 32 --extra "how=watchdog" build/guests/fatal > "$tmp/w.out" 2>&1
check "a watchdog that is not fed ends the guest" test $? -eq 2
check "  not before" has 'fatal: fed for two seconds' "$tmp/w.out"
check "  and the log says so" has 'domain 1: its watchdog fired' "$tmp/w.log"
finish
