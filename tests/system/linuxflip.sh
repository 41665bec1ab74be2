# SPDX-License-Identifier: MIT
# linuxflip.sh - stock guests whose vifs our Linux module drives: TCP with each other, with a guest that has
# the kernel's own netfront, and with the outside, compared byte for byte; and after the vif was taken away and given back.
. "$(dirname "$0")/lib.sh"

make --no-print-directory linux-module || { flunk "the module builds against the kernel's headers"; finish; }
pass "the module builds against the kernel's headers"
cp "$kernel" "$initramfs" "$tmp/"
mk/add-module.sh "$initramfs" build/linux/netfront/linux/sluice-netfront.ko "$tmp/flip.gz"

guest() {   # name, MAC's last byte, ramdisk, command line
    cat > "$tmp/$1.cfg" <<EOF
name = "$1"
kernel = "vmlinuz"
ramdisk = "$3"
memory = 128
vif = [ "mac=00:16:3e:00:00:0$2" ]
extra = "console=hvc0 quiet $4 then=stay"
EOF
}
guest a 1 flip.gz "ip=10.0.2.21/24 web test=tcp,replug"
guest b 2 flip.gz "ip=10.0.2.22/24 peer=10.0.2.21 test=tcp,replug"
guest c 3 initramfs.gz "ip=10.0.2.23/24 test=tcp"
guest d 4 flip.gz "ip=10.0.2.24/24 peer=10.0.2.23 test=tcp"
echo 'autostart = [ "a.cfg", "c.cfg", "b.cfg", "d.cfg" ]' > "$tmp/host.cfg"
web_port=$(free_port) api_port=$(free_port)
host_start h -machine q35 -m 1200 -smp 2 -kernel build/sluice \
    -initrd "$(modules "api=insecure console=com2" "$tmp"/{host.cfg,a.cfg,b.cfg,c.cfg,d.cfg,vmlinuz,initramfs.gz,flip.gz})" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$web_port-10.0.2.21:80,hostfwd=tcp:127.0.0.1:$api_port-10.0.2.15:80" \
    -device virtio-net-pci,netdev=n0,disable-legacy=on
api=http://127.0.0.1:$api_port
wait_for 20 'net: address 10\.0\.2\.15' "$tmp/h.log"
check "module to module: 4 MiB each way at once, byte for byte (client)" console_has b 'test tcp: ok' 150
check "  the same, seen by the server" console_has a 'test tcp: ok' 20
check "module to the kernel's own netfront, both ways" console_has d 'test tcp: ok' 120
check "  the same, seen by the kernel's own" console_has c 'test tcp: ok' 20
check "a page from outside" test "$(curl -s -m 20 "http://127.0.0.1:$web_port/" | grep -c 'It works')" = 1
check "a megabyte from outside" test "$(curl -s -m 60 "http://127.0.0.1:$web_port/sum" | cut -d' ' -f1)" = "$(dd if=/dev/zero bs=1024 count=1024 2>/dev/null | md5sum | cut -d' ' -f1)"
for round in 1 2; do
    [ $round = 1 ] && force="" || force="?force=1"
    check "TCP runs ($round)" console_has b "replug: round $round, a transfer" 120
    api DELETE "/v1/domains/b/networks/0$force" > /dev/null
    check "  its vif is taken away${force:+ by force}" console_has b "replug: round $round, no" 60
    api_until 30 'length == 0' /v1/domains/b/networks
    api POST /v1/domains/b/networks -d '{"vif": "mac=00:16:3e:00:00:02"}' > /dev/null
done
check "  and given back: every byte of two new transfers (client)" console_has b 'test replug: ok' 120
check "  the same, seen by the server" console_has a 'test replug: ok' 20
check "the backend speaks the flip channel" has 'vif.*flip' "$tmp/h.log"
check "no complaint from the module" test -z "$(for g in a b d; do api GET /v1/domains/$g/console | grep -a 'backend:'; done)"
host_stop "$host_pid"
[ $bad -eq 0 ] || { tail -n 20 "$tmp/h.log"; tail -n 40 "$tmp/h.com2"; }
finish
