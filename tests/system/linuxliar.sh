# SPDX-License-Identifier: MIT
# linuxliar.sh - a stock guest whose vif our Linux module drives, against a backend in another guest that does whatever a backend can: the
# kernel goes on, says what is wrong, connects again and again, keeps its memory, and is well with dom0's backend in the end.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory guests || exit 1
make --no-print-directory linux-module || { flunk "the module builds against the kernel's headers"; finish; }
cp build/guests/liar "$kernel" "$tmp/"
mk/add-module.sh "$initramfs" build/linux/netfront/linux/sluice-netfront.ko "$tmp/flip.gz"
cat > "$tmp/linux.cfg" <<EOP
name = "linux"
kernel = "vmlinuz"
ramdisk = "flip.gz"
memory = 160
vif = [ "mac=00:16:3e:00:00:01" ]
extra = "console=hvc0 quiet loglevel=5 slub_debug=FZ page_poison=1 ip=10.0.2.21/24 web test=liar,liar then=stay"
on_crash = "preserve"
EOP
echo 'autostart = [ "linux.cfg" ]' > "$tmp/host.cfg"
port=$(free_port) web_port=$(free_port)
api=http://127.0.0.1:$port
host_start h -machine q35 -m 512 -smp 2 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 api=insecure" "$tmp"/{host.cfg,linux.cfg,vmlinuz,flip.gz,liar})" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:80,hostfwd=tcp:127.0.0.1:$web_port-10.0.2.21:80" \
    -device virtio-net-pci,netdev=n0,romfile=
api_until 30 '.software == "sluice"' /v1/host || { flunk "the host starts"; cat "$tmp/h.log"; finish; }
out=$tmp/linux.out
console_until() {   # SECONDS COMMAND: until it is true of the console
    local i
    for ((i = 0; i < $1 * 2; i++)); do
        api GET /v1/domains/linux/console > "$out"
        "${@:2}" && return 0
        kill -0 "$host_pid" 2>/dev/null || return 1
        sleep 0.5
    done
    return 1
}
count() { test "$(grep -acE -- "$1" "$out")" -ge "$2"; }
lied() {    # so many rounds
    local i
    for ((i = 0; i < 360; i++)); do
        api GET /v1/domains/$back/console > "$tmp/back.out"
        has "liar netback: ($1) rounds, .* [1-9][0-9]* flipped, [1-9][0-9]* copied, [1-9][0-9]* mapped, .* [1-9][0-9]* in extents" "$tmp/back.out" && return 0
        kill -0 "$host_pid" 2>/dev/null || return 1
        sleep 0.5
    done
    return 1
}
gone() { api_until 30 "map(select(.name == \"$1\")) | length == 0" /v1/domains; }

for round in 1 2; do
    check "the guest waits for a backend ($round)" console_until 120 count 'liar: domain .* waits' $round
    back=back$round
    printf 'name = "%s"\nkernel = "liar"\nmemory = 16\nextra = "role=netback front=device/vif/0"\non_crash = "preserve"\n' $back |
        api POST /v1/domains --data-binary @- > /dev/null
    check "  it connects to one that lies again and again, which flips pages, copies, and keeps some" lied '2[5-9]|[3-9][0-9]|[0-9]{3,}'
    api DELETE /v1/domains/$back > /dev/null
    gone $back
    check "  then it has dom0's backend and its memory again" console_until 120 count 'test liar: ok' $round
done
check "it says what was wrong" has 'backend: ' "$out"
check "a page of its web server" test "$(curl -s -m 20 "http://127.0.0.1:$web_port/" | grep -c 'It works')" = 1
check "the kernel complains of nothing else" sh -c "! grep -aqE 'BUG|WARNING|Oops|Call Trace|corrupt|protection fault|Bad page|Redzone|Poison' '$out'"
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
[ $bad -eq 0 ] || { tail -n 60 "$out"; tail -n 5 "$tmp/back.out"; tail -n 30 "$tmp/h.log"; }
finish
