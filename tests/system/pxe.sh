# SPDX-License-Identifier: MIT
# pxe.sh - a real PXE boot: dnsmasq with pxe/dnsmasq.conf in a network namespace of its own serves hosts
# on a bridge; dom0 and a guest take their addresses from it, too. Needs root.
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" != 0 ]; then
    pass "PXE boot with dnsmasq # SKIP needs root"
    finish
fi
ns=sluice-$$
trap 'ip netns pids $ns 2>/dev/null | xargs -r kill 2>/dev/null; ip netns del $ns 2>/dev/null; cleanup' EXIT
in_ns() { ip netns exec $ns "$@"; }

ip netns add $ns
in_ns ip link set lo up
in_ns ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
in_ns ip addr add 192.168.77.1/24 dev br0
in_ns ip addr add fd77::1/64 dev br0 nodad
in_ns ip link set br0 up
tap() { in_ns ip tuntap add "$1" mode tap && in_ns ip link set "$1" master br0 up; }

cat > "$tmp/web.cfg" <<'EOF'
name = "web"
kernel = "vmlinuz"
ramdisk = "initramfs.gz"
memory = 128
vif = [ "mac=00:16:3e:00:00:01" ]
extra = "console=hvc0 quiet web"
EOF
echo 'autostart = [ "web.cfg" ]' > "$tmp/host.cfg"
cp "$kernel" "$initramfs" "$tmp/"
DOM0_ARGS="api=insecure console=com2" pxe/mkroot.sh "$tmp/root" "$tmp"/{host.cfg,web.cfg,vmlinuz,initramfs.gz}
in_ns dnsmasq --no-daemon --conf-file="$tmp/root/dnsmasq.conf" --interface=br0 --tftp-root="$tmp/root" \
    --dhcp-leasefile="$tmp/leases" --no-resolv --no-hosts --user=root > "$tmp/dnsmasq.log" 2>&1 & pids+=($!)
touch "$tmp/leases"

host_in_ns() {  # name, tap, MAC, QEMU arguments...
    local name=$1 t=$2 mac=$3; shift 3
    tap "$t"
    in_ns qemu-system-x86_64 -accel tcg -cpu $cpu -nodefaults -no-user-config -display none -monitor none -no-reboot \
        -m 768 -chardev "file,id=log,path=$tmp/$name.log" -serial chardev:log \
        -chardev "file,id=com2,path=$tmp/$name.com2" -serial chardev:com2 \
        -netdev "tap,id=n0,ifname=$t,script=no,downscript=no" \
        -device "virtio-net-pci,netdev=n0,mac=$mac,bootindex=0,disable-legacy=on" "$@" < /dev/null 2> "$tmp/$name.qemu" &
    host_pid=$!
    pids+=("$host_pid")
}

host_in_ns bios tap0 52:54:00:77:00:01 -machine pc
check "BIOS host: iPXE, script and modules from dnsmasq, to dom0" wait_for 60 'dom0: ready' "$tmp/bios.log"
check "dom0 takes its address from dnsmasq" wait_for 30 'net: address 192\.168\.77\.' "$tmp/bios.log"
check "a guest takes its address from dnsmasq" wait_for 90 'guest: eth0 192\.168\.77\.' "$tmp/bios.com2"
check "dnsmasq knows both leases" grep -q 52:54:00:77:00:01 "$tmp/leases"
check "  ... the guest's, too" grep -q 00:16:3e:00:00:01 "$tmp/leases"
guest_ip=$(awk '$2 == "00:16:3e:00:00:01" { print $3 }' "$tmp/leases")
wait_for 30 'web server on port 80' "$tmp/bios.com2"
check "a browser elsewhere on that network gets the guest's page" \
    test "$(in_ns curl -s -m 10 "http://${guest_ip:-none}/" | grep -c 'It works')" = 1
dom0_ip=$(awk '$2 == "52:54:00:77:00:01" { print $3 }' "$tmp/leases")
check "the host's API answers there" test "$(in_ns curl -s -m 10 "http://${dom0_ip:-none}/v1/domains" | jq -r '.[0].name')" = web
[ $bad -eq 0 ] || { tail -n 15 "$tmp/bios.log" "$tmp/bios.com2" "$tmp/bios.qemu" "$tmp/dnsmasq.log"; }
host_stop "$host_pid"

cp /usr/share/OVMF/OVMF_VARS.fd "$tmp/vars.fd"
host_in_ns uefi tap1 52:54:00:77:00:02 -machine q35 \
    -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd -drive "if=pflash,format=raw,file=$tmp/vars.fd"
check "UEFI host: GRUB and modules from dnsmasq, to dom0" wait_for 90 'dom0: ready' "$tmp/uefi.log"
check "GRUB put the MAC address on dom0's command line" has 'mac=52:54:00:77:00:02' "$tmp/uefi.log"
check "its dom0 takes an address" wait_for 30 'net: address 192\.168\.77\.' "$tmp/uefi.log"
[ $bad -eq 0 ] || { tail -n 15 "$tmp/uefi.log" "$tmp/uefi.qemu"; tail -n 30 "$tmp/dnsmasq.log"; }
finish
