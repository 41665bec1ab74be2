# SPDX-License-Identifier: MIT
# net.sh - the network of stock guests: TCP between two of them and with the outside, compared byte
# for byte; what is on the wire, checked with libpcap; what a third guest must not see.
. "$(dirname "$0")/lib.sh"

guest() {   # name, MAC's last byte, vif options, command line
    cat > "$tmp/$1.cfg" <<EOF
name = "$1"
kernel = "vmlinuz"
ramdisk = "initramfs.gz"
memory = 128
vif = [ "mac=00:16:3e:00:00:0$2$3" ]
extra = "console=hvc0 quiet $4"
EOF
}
cp "$kernel" "$initramfs" "$tmp/"
echo_port=$(free_port) web_port=$(free_port) api_port=$(free_port)
guest a 1 "" "ip=10.0.2.21/24 web test=tcp then=stay"
guest b 2 ",ip=10.0.2.22" "ip=10.0.2.22/24 peer=10.0.2.21 test=tcp,spoof then=stay"
guest c 3 "" "test=sniff then=stay"
guest d 4 ",rate=20Mb/s" "ip=10.0.2.24/24 peer=10.0.2.2:$echo_port test=tcp then=stay"
echo 'autostart = [ "a.cfg", "c.cfg", "b.cfg", "d.cfg" ]' > "$tmp/host.cfg"

# The outside: a server that sends what test-tcp's server would, and checks what it gets.
cp build/guest/test-tcp "$tmp/"
python3 tests/system/tcpoutside.py 127.0.0.1 "$echo_port" > "$tmp/outside" 2>&1 &
pids+=($!)

host_start h -machine q35 -m 1200 -smp 2 -kernel build/sluice \
    -initrd "$(modules "api=insecure console=com2" "$tmp"/{host.cfg,a.cfg,b.cfg,c.cfg,d.cfg,vmlinuz,initramfs.gz})" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$web_port-10.0.2.21:80,hostfwd=tcp:127.0.0.1:$api_port-10.0.2.15:80" \
    -device virtio-net-pci,netdev=n0,disable-legacy=on -object filter-dump,id=f,netdev=n0,file="$tmp/wire.pcap"
api=http://127.0.0.1:$api_port

out=$tmp/h.com2
check "the host has an address by DHCP" wait_for 20 'net: address 10\.0\.2\.15' "$tmp/h.log"
check "a guest takes its address by DHCP" console_has c 'guest: eth0 10\.0\.2\.' 90
check "guest to guest: 4 MiB each way at once, byte for byte (client)" console_has b 'test tcp: ok' 120
check "the same, seen by the server" console_has a 'test tcp: ok' 20
check "guest to outside and back: 4 MiB each way" console_has d 'test tcp: ok' 120
check "the same, seen from outside" wait_for 10 'outside: all right' "$tmp/outside"
check "a page from outside" test "$(curl -s -m 10 "http://127.0.0.1:$web_port/" | grep -c 'It works')" = 1
check "a guest in promiscuous mode sees nobody else's frames" console_has c 'test sniff: ok' 60
check "a guest that spoofs went on" console_has b 'test spoof: ok' 30
api GET /v1/domains/c/console | grep 'sniff:' | sed 's/^/# /'

# Power-off through xenstore, for one; the rest just end with the host.
check "shutdown is accepted" test "$(api_status POST /v1/domains/a/shutdown)" = 202
host_stop "$host_pid"
build/tools/pcapcheck "$tmp/wire.pcap" 52:54:00:12:34:56 00:16:3e:00:00:0{1,2,3,4} > "$tmp/pcap"
rc=$?
sed 's/^/# /' "$tmp/pcap"
check "the wire: right checksums, no foreign MAC, no spoofed frame, nothing between guests" test $rc -eq 0
[ $bad -eq 0 ] || { tail -n 20 "$tmp/h.log"; tail -n 30 "$out"; }
finish
