# SPDX-License-Identifier: MIT
# many.sh - 200 domains on one host, in virtual time: the last is created as fast as the first, they cost nothing while
# they do nothing, and when all are gone nothing of them is left. `make bench PARTS=many` does it with 500.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/bench/pv || exit 1
count=200
printf '%s\n' 'name="min"' 'kernel="pv"' 'memory=8' 'vif=[""]' > "$tmp/min.cfg"
host_start m -icount shift=0,sleep=off -m 2560 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=none bench=min.cfg:$count:2" "$tmp/min.cfg" build/bench/pv)"
log=$tmp/m.log
wait_for 600 'bench: memory after destroy' "$log"
host_stop "$host_pid"
first() { sed '/bench: memory between rounds/q' "$log"; }
ns() { first | sed -n "s/.*bench: $1 $2: \([0-9]*\) ns.*/\1/p"; }
within() { [ -n "$1" ] && [ -n "$2" ] && [ "$1" -le "$2" ]; }
early=$(ns create 2) late=$(ns create $count)
check "domain $count is created as fast as the second, with a vif each ($late, $early instructions)" within "$late" $((early * 115 / 100))
early=$(ns destroy 2) late=$(ns destroy $count)
check "  and destroyed as fast ($late, $early)" within "$late" $((early * 115 / 100))
idle=$(sed -n "s/.*bench: idle with $count: busy \([0-9]*\) ns of.*/\1/p" "$log" | head -n 1)
check "all of them idle for 10 s: below 3 million instructions ($idle)" within "$idle" 3000000
check "a second round of as many" test "$(grep -ac "bench: destroy $count:" "$log")" -eq 2
# host FREE dom0 PAGES dom0-free PAGES: what the hypervisor holds is the rest of the host's.
pages() { sed -n "s/.*bench: memory $1: host \([0-9]*\) free \([0-9]*\) dom0 \([0-9]*\) dom0-free \([0-9]*\) pages.*/$2/p" "$log"; }
lost=$(($(pages "between rounds" '\2+\3') - ($(pages "after destroy" '\2+\3'))))
check "  leaves the hypervisor's memory as the first did ($lost pages more)" within $lost 0
lost=$(($(pages "after destroy" '\3-\4') - ($(pages "between rounds" '\3-\4'))))
check "  and dom0's ($lost pages more)" within $lost 0
check "no error in the log" test "$(grep -ac '] error: ' "$log")" -eq 0
[ $bad -eq 0 ] || grep -a 'bench: memory\|error' "$log"
finish
