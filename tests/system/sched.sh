# SPDX-License-Identifier: MIT
# sched.sh - busy domains whose weights and caps change while they run: each gets what it is due within 3 %, by
# the CPU time that the hypervisor accounts. `make bench PARTS=sched` does more of it, for longer.
. "$(dirname "$0")/lib.sh"

printf '%s\n' 'name="spin"' 'kernel="spin"' 'memory=8' 'extra="for=1000000"' > "$tmp/spin.cfg"
# shares CPUS DOMAINS SECONDS: to $tmp/shares a line for each phase
shares() {
    local clock=()
    [ "$1" -gt 1 ] || clock=(-icount "shift=3,sleep=off")
    host_start s -m 512 -smp "$1" "${clock[@]}" -kernel build/sluice -append debugexit \
        -initrd "$(modules "ip=none benchsched=spin.cfg:$2:$3" "$tmp/spin.cfg" build/guests/spin)"
    wait_for 300 'benchsched: done' "$tmp/s.log"
    host_stop "$host_pid"
    sed -n "s/.*benchsched: \([a-z]*\): $2 domains on $1 CPUs: worst \([0-9.]*\) %.*/\1 \2/p" "$tmp/s.log" > "$tmp/shares"
}
good() { [ "$(wc -l < "$tmp/shares")" -eq 4 ] && awk '$2 > 3 { exit 1 }' "$tmp/shares"; }
shown() { tr '\n' ' ' < "$tmp/shares"; }

for n in 2 5 16; do
    shares 1 $n 5
    check "$n domains on one CPU, within 3 %: $(shown)" good
done
# Several CPUs run in real time: whoever else uses this machine takes time from one of them alone, and nobody gives
# it back to whoever should have had it. One of three measurements has to be undisturbed.
for pair in 2:5 2:8; do
    for try in 1 2 3; do
        shares "${pair%:*}" "${pair#*:}" 5
        good && break
        echo "# try $try: $(shown)"
    done
    check "${pair#*:} domains on ${pair%:*} CPUs, within 3 %: $(shown)" good
done
[ $bad -eq 0 ] || grep -a benchsched "$tmp/s.log"
finish
