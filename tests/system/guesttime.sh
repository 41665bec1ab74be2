# SPDX-License-Identifier: MIT
# guesttime.sh - time in stock guests, in virtual time: an hour without drift against the machine's own clock and
# the hypervisor's, and time that another domain had the CPU shown as stolen.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/bench/vmlinux || exit 1
cp build/bench/vmlinux "$tmp/vmlinux"       # decompressing takes 30 virtual seconds
cp "$initramfs" "$tmp/initramfs"
# guest NAME TESTS WORDS...
guest() {
    printf '%s\n' "name=\"$1\"" 'kernel="vmlinux"' 'ramdisk="initramfs"' 'memory=128' \
        "extra=\"console=hvc0 quiet ip=none test=$2 tsc_khz=1000000 ${*:3}\"" > "$tmp/$1.cfg"
}
# run NAME DOM0-ARGS FILE...: a host with one CPU whose TSC counts virtual nanoseconds, until the guest has ended
run() {
    local name=$1 args=$2; shift 2
    host_start "$name" -icount shift=3,sleep=off -m 512 -kernel build/sluice -append debugexit \
        -initrd "$(modules "ip=none console=com2:$name $args" "$tmp/vmlinux" "$tmp/initramfs" "$@")"
    wait_for 300 "$name: domain [0-9]+ is gone" "$tmp/$name.log"
    host_stop "$host_pid"
    tr -d '\r' < "$tmp/$name.com2" > "$tmp/out"
}
within() { [ -n "$1" ] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }

guest hour time,steal span=3600
echo 'autostart = ["hour.cfg"]' > "$tmp/host.cfg"
run hour "" "$tmp/host.cfg" "$tmp/hour.cfg"
line() { grep -a "^time: $1" "$tmp/out" || echo "no line of $1"; }
steal() { grep -a ^steal: "$tmp/out" || echo "no line of stolen time"; }
# In per cent; a tick is 10 ms.
stolen() { sed -n 's/^steal: in \([0-9]*\) ms: .* steal \([0-9]*\) ticks/\2 * 1000 \/ \1/p' "$tmp/out"; }
check "an hour with clock source xen: $(line xen)" has '^time: xen: .* naps in 36[0-9]+ s, drift -?[0-9]+ us' "$tmp/out"
check "an hour with clock source tsc: $(line tsc)" has '^time: tsc: .* naps in 36[0-9]+ s, drift -?[0-9]+ us' "$tmp/out"
check "  below two parts per million, and the date is right: $(line "the date")" has '^test time: ok' "$tmp/out"
at() { sed -n "s/^\[ *\([0-9.]*\)\] hour: domain [0-9]* $1.*/\1/p" "$tmp/hour.log" | head -n 1; }
lasted=$(awk "BEGIN { printf \"%d\", $(at ended) - $(at started) }")
naps=$(sed -n 's/^time: .* naps in \([0-9]*\) s.*/\1/p' "$tmp/out" | awk '{ s += $1 } END { print s }')
check "  and by the hypervisor's clock it was as long ($naps s of naps, $lasted s from start to end)" within $((lasted - naps)) 0 60     # boots at 8 ns for an instruction
check "alone on the machine: nothing is stolen ($(steal))" within "$(($(stolen)))" 0 1

cp build/guests/spin "$tmp/spin"
printf '%s\n' 'name="spin"' 'kernel="spin"' 'memory=8' 'extra="for=1000000"' > "$tmp/spin.cfg"
guest rival steal
echo 'autostart = ["rival.cfg", "spin.cfg"]' > "$tmp/host.cfg"
run rival "" "$tmp/host.cfg" "$tmp/rival.cfg" "$tmp/spin.cfg" "$tmp/spin"
check "beside another domain that is busy: half ($(steal))" within "$(($(stolen)))" 46 54
[ $bad -eq 0 ] || { cat "$tmp/out"; tail -n 20 "$tmp"/*.log; }
finish
