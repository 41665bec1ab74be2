# SPDX-License-Identifier: MIT
# web.sh - guests/web, a web server as a mini guest, asked by curl through the host's network card: one with
# its own address, one with DHCP; many connections at a time, big answers compared.
. "$(dirname "$0")/lib.sh"

cp build/guests/web "$tmp/"
port=$(free_port) port2=$(free_port) api_port=$(free_port)
printf 'name="web"\nmemory=12\nkernel="web"\nextra="ip=10.0.2.30/24"\nvif=["mac=00:16:3e:00:00:30"]\n' > "$tmp/web.cfg"
printf 'name="dhcp"\nmemory=12\nkernel="web"\nvif=["mac=00:16:3e:00:00:31"]\n' > "$tmp/dhcp.cfg"
printf 'autostart = [ "web.cfg", "dhcp.cfg" ]\n' > "$tmp/host.cfg"
host_start h -machine q35 -m 256 -smp 2 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=none console=com2" "$tmp"/{host.cfg,web.cfg,dhcp.cfg,web})" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.30:80,hostfwd=tcp:127.0.0.1:$port2-10.0.2.15:80" \
    -device virtio-net-pci,netdev=n0,disable-legacy=on,romfile=
check "the first serves at once" wait_for 30 'web: serving on 10\.0\.2\.30' "$tmp/h.com2"
check "the second gets its address by DHCP" wait_for 30 'web: serving on 10\.0\.2\.15' "$tmp/h.com2"
get() { curl -s -m 60 "http://127.0.0.1:$1/$2"; }
bytes() { yes 0123456789abcdef | tr -d '\n' | head -c "$1" | sha256sum; }
check "a page" sh -c "curl -s -m 20 http://127.0.0.1:$port/ | grep -q 'It works'"
check "a page from the second" sh -c "curl -s -m 20 http://127.0.0.1:$port2/ | grep -q 'It works'"
check "what is not there" test "$(curl -s -m 20 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/x")" = 404
check "4 MB, byte for byte" test "$(get $port 4000000 | sha256sum)" = "$(bytes 4000000)"
check "two answers on one connection" test "$(curl -s -m 20 "http://127.0.0.1:$port/1000" "http://127.0.0.1:$port/50" | wc -c)" = 1050
for i in $(seq 20); do get $port $((i * 10007)) | sha256sum > "$tmp/got.$i" & workers[i]=$!; done
wait "${workers[@]}"
for i in $(seq 20); do bytes $((i * 10007)) | cmp -s - "$tmp/got.$i" || echo "$i"; done > "$tmp/wrong"
check "twenty connections at a time" test ! -s "$tmp/wrong"
# The web servers started with the host: how long from creation to serving, by the host's clock.
grep -aE 'web: serving|started after' "$tmp/h.com2" "$tmp/h.log" | sed 's/.*\//# /'
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
[ $bad -eq 0 ] || { tail -n 20 "$tmp/h.log"; tail -n 20 "$tmp/h.com2"; }
finish
