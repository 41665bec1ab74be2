# SPDX-License-Identifier: MIT
# control.sh - the control ABI and the scheduler, tried by guests of our own in dom0's place or on it.
. "$(dirname "$0")/lib.sh"

host_start control -m 512 -kernel build/sluice -append "debugexit" -initrd build/guests/ctltest
check "domctl and sysctl: refusals, contexts, a hundred domains without a trace" \
    wait_for 120 'ctltest: ok' "$tmp/control.log"
has 'ctltest: ok' "$tmp/control.log" || tail -n 30 "$tmp/control.log"
host_stop "$host_pid"

# Virtual time: exact on a busy machine. Weights 1 : 2 : 4 and one with a cap of 10 %.
spin() { printf 'name="%s"\nkernel="spin"\nmemory=8\ncpu_weight=%s\ncap=%s\nextra="from=1 for=2"\n' "$1" "$2" "$3"; }
spin w1 128 0 > "$tmp/w1.cfg"; spin w2 256 0 > "$tmp/w2.cfg"; spin w4 512 0 > "$tmp/w4.cfg"; spin c10 1024 10 > "$tmp/c10.cfg"
echo 'autostart = ["w1.cfg", "w2.cfg", "w4.cfg", "c10.cfg"]' > "$tmp/host.cfg"
host_start fair -icount shift=0,sleep=off -m 512 -kernel build/sluice -append "debugexit loglvl=debug" \
    -initrd "$(modules "" "$tmp/host.cfg" "$tmp/w1.cfg" "$tmp/w2.cfg" "$tmp/w4.cfg" "$tmp/c10.cfg" build/guests/spin)"
for n in 1 2 3 4; do wait_for 240 "domain $n: freed, ran [0-9]+ ms" "$tmp/fair.log"; done
ran() { sed -n "s/.*domain $1: freed, ran \([0-9]*\) ms.*/\1/p" "$tmp/fair.log"; }
within() { [ -n "$1" ] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }
check "weight 128: a seventh of what is left (249..272 ms), ran $(ran 1)" within "$(ran 1)" 249 272
check "weight 256: two sevenths, ran $(ran 2)" within "$(ran 2)" 498 536
check "weight 512: four sevenths, ran $(ran 3)" within "$(ran 3)" 997 1060
check "cap 10 %: 200 ms of 2 s, ran $(ran 4)" within "$(ran 4)" 194 206
host_stop "$host_pid"
finish
