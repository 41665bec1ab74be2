# SPDX-License-Identifier: MIT
#
# parts.sh - what a benchmark's guest does, one function for each bench=NAME.

part_boot() { :; }

part_cpu() {
    /bench cpu "${scale:-4}"
    # Debian's tcc compiles 600 functions; the first run warms the page cache.
    i=0
    while [ $i -lt 600 ]; do
        echo "static int f$i(int a, int b) { int s = 0; for (int i = 0; i < a; i++)" \
            "{ s += b * i + $i; if (s & 1) s ^= a << 3; else s -= b >> 1;" \
            "while (s > b) { s -= a & 7; a = (s + $i) * 3; if (!a) break; }" \
            "switch (s & 3) { case 0: b++; break; case 1: b += a; break; default: s = -s; } }" \
            "return s; }"
        i=$((i + 1))
    done > /tmp/f.c
    echo "int main(void) { return f0(1, 2); }" >> /tmp/f.c
    /bench time warm /bin/tcc -c -o /tmp/f.o /tmp/f.c > /dev/null
    /bench time tcc /bin/tcc -c -o /tmp/f.o /tmp/f.c
}

net_up() {
    [ ! -e /lib/modules/sluice-netfront.ko ] || insmod /lib/modules/sluice-netfront.ko
    insmod /lib/modules/xen-netfront.ko
    while [ ! -e /sys/class/net/eth0 ]; do usleep 10000; done
    ifconfig eth0 "$ip" netmask 255.255.255.0 up
}

# The peer: serves until the host ends.
part_sink() {
    net_up
    /bench tcpsink 5001 &
    /bench udpsink 5002 &
    /bench echotcp 5003 &
    /bench execd 5009 &
    echo "B sink ready"
    wait
}

# dom0 has the last address of the guest's network.
counters() { wget -q -O - "http://${ip%.*}.254/v1/counters"; }

# measure NAME COMMAND...: its output, then the host's counters before and after.
measure() {
    name=$1; shift
    usleep 300000
    before=$(counters); out=$("$@"); after=$(counters)
    echo "M $name"
    echo "$out"
    echo "C $before"
    echo "C $after"
}

both() { /bench eth eth0 "$1"; /bench rexec "$peer" 5009 "/bench eth eth0 $1"; }

part_net() {
    net_up
    until ping -c 1 -W 1 "$peer" > /dev/null; do :; done
    /bench rexec "$peer" 5009 "/bench noop"
    counters > /dev/null
    /bench tcpsrc "$peer" 5001 4
    both -1
    measure nothing /bench noop
    measure tcp_g2g /bench tcpsrc "$peer" 5001 64
    measure tcp_rr /bench tcprr "$peer" 5003 2000
    measure udp64 /bench udpsrc "$peer" 5002 64 8000 2000
    measure udp1472 /bench udpsrc "$peer" 5002 1472 8000 2000
    measure ping ping -q -c 50 -i 0.02 "$peer"
    both 0
    measure tcp_g2g_nooffload /bench tcpsrc "$peer" 5001 16
}

part_outside() {
    net_up
    until ping -c 1 -W 1 "$peer" > /dev/null; do :; done
    /bench tcpsrc "$peer" "$port" 1
    counters > /dev/null
    measure nothing /bench noop
    measure tcp_out /bench tcpsrc "$peer" "$port" 16
}

# For tests/bench/profile.
begin() {
    net_up
    until ping -c 1 -W 1 "$peer" > /dev/null; do :; done
    /bench tcpsrc "$peer" 5001 4
    echo "B ready"
}
part_kallsyms() { net_up; cat /proc/kallsyms; }
part_tcp() { begin; /bench tcpsrc "$peer" 5001 512; }
part_frames() { begin; both 0; /bench tcpsrc "$peer" 5001 128; }
part_rr() { begin; /bench tcprr "$peer" 5003 40000; }
part_udp() { begin; /bench udpsrc "$peer" 5002 1472 40000 2000; }
part_touch() { echo "B ready"; /bench cpu 400 page_touch; }
part_mprotect() { echo "B ready"; /bench cpu 400 mprotect_pair; }
part_fork() { echo "B ready"; /bench cpu 400 fork_exit; }
