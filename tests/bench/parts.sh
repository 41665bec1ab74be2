# SPDX-License-Identifier: MIT
#
# parts.sh - what a benchmark's guest does, one function for each bench=NAME.

part_boot() { /bench mark end init; }

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

# Several connections, each at another moment: how TCP behaves in one of them depends on that.
streams() {
    for i in 1 2 3 4 5 6; do
        /bench tcpsrc "$peer" 5001 "$1"
        usleep $((100000 + i * 1733))
    done
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
    measure tcp_g2g streams 64
    measure tcp_rr /bench tcprr "$peer" 5003 2000
    measure udp64 /bench udpsrc "$peer" 5002 64 8000 2000
    measure udp256 /bench udpsrc "$peer" 5002 214 8000 2000
    measure udp1472 /bench udpsrc "$peer" 5002 1472 8000 2000
    measure ping ping -q -c 50 -i 0.02 "$peer"
    both 0
    measure tcp_g2g_nooffload streams 16
}

# disks DEVICE: every test of one disk, by whatever counts (measure, or plain).
disks() {
    how=$1 dev=$2
    $how read4k /bench blk "$dev" r 4096 "${n:-2000}" r
    $how write4k /bench blk "$dev" r 4096 "${n:-2000}" w
    $how read64k /bench blk "$dev" s 65536 "$((${n:-2000} / 4))" r
    $how write64k /bench blk "$dev" s 65536 "$((${n:-2000} / 4))" w
    $how read4k_q32 /bench blkq "$dev" r 4096 "$((${n:-2000} * 2))" r 32
    $how write4k_q32 /bench blkq "$dev" r 4096 "$((${n:-2000} * 2))" w 32
    $how read64k_q32 /bench blkq "$dev" s 65536 "$((${n:-2000} / 2))" r 32
    $how write64k_q32 /bench blkq "$dev" s 65536 "$((${n:-2000} / 2))" w 32
    $how buffered4k /bench blkbuf "$dev" 32
}
plain() { echo "M $1"; shift; "$@"; }
wait_for() { while [ ! -e "$1" ]; do usleep 10000; done; }

part_disk() {
    insmod /lib/modules/xen-blkfront.ko
    wait_for /dev/xvda
    # A RAM disk has pages of its own from the first write on.
    dd if=/dev/zero of=/dev/xvda bs=1M count=64 2> /dev/null
    disks plain /dev/xvda
}

part_vdisk() {
    # In whatever order they need each other.
    for round in 1 2 3 4; do
        for m in /lib/modules/virtio*.ko; do insmod "$m" 2> /dev/null && rm "$m"; done
    done
    wait_for /dev/vda
    disks plain /dev/vda
}

# dom0 has the disk from outside; the counters come through the bridge.
part_nbd() {
    net_up
    insmod /lib/modules/xen-blkfront.ko
    wait_for /dev/xvda
    counters > /dev/null
    measure nothing /bench noop
    n=1000 disks measure /dev/xvda
}

part_outside() {
    net_up
    until ping -c 1 -W 1 "$peer" > /dev/null; do :; done
    /bench tcpsrc "$peer" "$port" 1
    counters > /dev/null
    measure nothing /bench noop
    measure tcp_out /bench tcpsrc "$peer" "$port" 16
}

# To an echo outside and back: frames of 64, 256 and 1500 bytes; a stream.
part_back() {
    net_up
    until ping -c 1 -W 1 "$peer" > /dev/null; do :; done
    counters > /dev/null
    /back udp "$peer" "$port" 22 64
    measure nothing /bench noop
    for n in 22 214 1458; do
        measure wire$((n + 42)) /back udp "$peer" "$port" $n 2000
    done
}
part_bigback() {
    net_up
    until ping -c 1 -W 1 "$peer" > /dev/null; do :; done
    counters > /dev/null
    /back tcp "$peer" "$port" 1
    measure nothing /bench noop
    measure stream /back tcp "$peer" "$port" 16
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
# As fast as it can: what is lost, and where that is counted (the vif's rx_dropped; MemErrors, the last of Udp:).
part_udpburst() {
    begin
    for i in $(seq 30); do
        echo "burst $i: $(/bench udpsrc "$peer" 5002 1472 2000 0)"
        /bench rexec "$peer" 5009 "grep Udp: /proc/net/snmp | tail -n 1"
        wget -qO - "http://${ip%.*}.254/v1/domains/sink/networks"
    done
    echo "B end"
}
part_touch() { echo "B ready"; /bench cpu 400 page_touch; }
part_mprotect() { echo "B ready"; /bench cpu 400 mprotect_pair; }
profile_disk() { insmod /lib/modules/xen-blkfront.ko; wait_for /dev/xvda; /bench blk /dev/xvda r 4096 200 r; echo "B ready"; }
part_read4k() { profile_disk; /bench blk /dev/xvda r 4096 40000 r; }
part_write4k() { profile_disk; /bench blk /dev/xvda r 4096 40000 w; }
part_read64k() { profile_disk; /bench blk /dev/xvda s 65536 10000 r; }
part_exec() { echo "B ready"; /bench cpu 400 fork_exec; }
part_clock() { echo "B ready"; /bench cpu 400 clock_gettime; }
part_fork() { echo "B ready"; /bench cpu 400 fork_exit; }

# A native kernel: two namespaces, each with one end of a veth, whose other ends are ports of a bridge.
into() {    # INTERFACE PROCESS: into its namespace, when it has one
    while [ "$(readlink /proc/$2/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do usleep 10000; done
    $ip link set "$1" netns "$2"
}
native_net() {
    for m in llc stp bridge veth; do insmod /lib/modules/$m.ko; done
    ip=/native/ip
    $ip link add br0 type bridge
    $ip link set br0 up
    for n in 1 2; do
        $ip link add v$n type veth peer name e$n
        $ip link set v$n master br0
        $ip link set v$n up
    done
    unshare -n sh -c "until ifconfig e1 10.9.0.1 netmask 255.255.255.0 up 2> /dev/null; do usleep 10000; done; exec /bench tcpsink 5001" &
    into e1 $!
    unshare -n sh -c "until ifconfig e2 10.9.0.2 netmask 255.255.255.0 up 2> /dev/null; do usleep 10000; done; . /etc/bench-parts
        peer=10.9.0.1; usleep 300000; /bench tcpsrc \$peer 5001 4; echo B ready; $1; touch /tmp/end" &
    into e2 $!
    while [ ! -e /tmp/end ]; do usleep 300000; done
}
part_nativenet() { native_net "streams 64"; }
part_nativelong() { native_net "/bench tcpsrc \$peer 5001 512"; }
part_nativekallsyms() { native_net "cat /proc/kallsyms"; }
