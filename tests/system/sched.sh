# SPDX-License-Identifier: MIT
# sched.sh - busy domains whose weights and caps change while they run: each gets what it is due within 3 %, by
# the CPU time that the hypervisor accounts. `make bench PARTS=sched` does more of it, for longer.
. "$(dirname "$0")/lib.sh"

printf '%s\n' 'name="spin"' 'kernel="spin"' 'memory=8' 'extra="for=1000000"' > "$tmp/spin.cfg"
# shares CPUS DOMAINS SECONDS: to $tmp/shares a line for each phase; $used: per cent of the CPUs that QEMU had
shares() {
    local clock=() start ticks
    rm -f "$tmp/s.log"
    [ "$1" -gt 1 ] || clock=(-icount "shift=3,sleep=off")
    host_start s -m 512 -smp "$1" "${clock[@]}" -kernel build/sluice -append debugexit \
        -initrd "$(modules "ip=none benchsched=spin.cfg:$2:$3" "$tmp/spin.cfg" build/guests/spin)"
    wait_for 60 'benchsched: equal: domain' "$tmp/s.log"
    start=$(date +%s%N) ticks=$(cpu_ticks)
    wait_for 300 'benchsched: both: domain 0' "$tmp/s.log"
    used=$((($(cpu_ticks) - ticks) * (1000000000 / $(getconf CLK_TCK)) * 100 / (($(date +%s%N) - start) * $1)))
    wait_for 30 'benchsched: done' "$tmp/s.log"
    host_stop "$host_pid"
    sed -n "s/.*benchsched: \([a-z]*\): $2 domains on $1 CPUs: worst \([0-9.]*\) %.*/\1 \2/p" "$tmp/s.log" > "$tmp/shares"
}
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$host_pid/stat"; }
complete() { [ "$(wc -l < "$tmp/shares")" -eq 4 ]; }
good() { complete && awk '$2 > 3 { exit 1 }' "$tmp/shares"; }
shown() { tr '\n' ' ' < "$tmp/shares"; }

# In virtual time, exact on a busy machine.
for pair in 5:5 16:10; do
    shares 1 "${pair%:*}" "${pair#*:}"
    check "${pair%:*} domains on one CPU, within 3 %: $(shown)" good
done
# Several CPUs run in real time: what others on this machine take from one of them, nobody gives back to whom it was
# due. So the measurement counts when QEMU had its CPUs; on a machine too busy for that only its end is checked.
for try in 1 2 3; do
    shares 2 5 5
    good && break
    echo "# try $try: $(shown), QEMU had $used % of two CPUs"
    [ "$used" -lt 95 ] || break
done
if [ "$used" -lt 95 ] && ! good; then
    check "5 domains on 2 CPUs, all phases (this machine is too busy to judge): $(shown)" complete
else
    check "5 domains on 2 CPUs, within 3 %: $(shown)" good
fi
[ $bad -eq 0 ] || grep -a benchsched "$tmp/s.log"
finish
