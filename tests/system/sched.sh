# SPDX-License-Identifier: MIT
# sched.sh - busy domains whose weights and caps change while they run: each gets what it is due within 3 %, by
# the CPU time that the hypervisor accounts. `make bench PARTS=sched` does more of it, for longer.
. "$(dirname "$0")/lib.sh"

printf '%s\n' 'name="spin"' 'kernel="spin"' 'memory=8' 'extra="for=1000000"' > "$tmp/spin.cfg"
# shares CPUS DOMAINS SECONDS: to $tmp/shares a line for each phase. In virtual time, so exact on a busy machine: QEMU runs
# the CPUs of a host in turn on one thread, a few instructions each, as the guests' loops pause.
shares() {
    rm -f "$tmp/s.log"
    host_start s -m 512 -smp "$1" -icount "shift=4,sleep=off" -kernel build/sluice -append debugexit \
        -initrd "$(modules "ip=none benchsched=spin.cfg:$2:$3" "$tmp/spin.cfg" build/guests/spin)"
    wait_for 300 'benchsched: done' "$tmp/s.log"
    host_stop "$host_pid"
    sed -n "s/.*benchsched: \([a-z]*\): $2 domains on $1 CPUs: worst \([0-9.]*\) %.*/\1 \2/p" "$tmp/s.log" > "$tmp/shares"
}
good() { [ "$(wc -l < "$tmp/shares")" -eq 4 ] && awk '$2 > 3 { exit 1 }' "$tmp/shares"; }
shown() { tr '\n' ' ' < "$tmp/shares"; }

# Three on two CPUs: one is capped, and who shares a CPU with it must not pay for that alone. Ten seconds, as a
# capped domain may use up what it could not have in the 0.2 s before.
for t in 1:16 2:3 2:5 4:16; do
    cpus=${t%:*} doms=${t#*:}
    shares "$cpus" "$doms" 10
    check "$doms domains on $cpus CPUs, within 3 %: $(shown)" good
done
[ $bad -eq 0 ] || grep -a benchsched "$tmp/s.log"
finish
