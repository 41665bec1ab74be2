# SPDX-License-Identifier: MIT
# frames.sh - netfront and the bridge between mini guests: frames of every size from a source to a sink,
# and to a reflector and back, each byte checked, on every channel that netfront speaks.
. "$(dirname "$0")/lib.sh"

cp build/guests/frames "$tmp/"
files=()
domain() {  # NAME, last byte of its address, command line
    printf 'name="%s"\nmemory=16\nkernel="frames"\nextra="%s"\nvif=["mac=00:16:3e:00:00:%s"]\n' "$1" "$3" "$2" > "$tmp/$1.cfg"
    files+=("$tmp/$1.cfg")
}
sizes=64,112,113,256,1514,4000,20000,65535
domain sink 01 "role=sink"
domain reflect 02 "role=reflect"
domain standard 11 "role=source peer=00:16:3e:00:00:01 mode=standard sizes=$sizes count=400 rr=50 stay"
domain plain 12 "role=source peer=00:16:3e:00:00:02 mode=plain back window=96 sizes=64,113,1514 count=400 stay"
printf 'autostart = [ "sink.cfg", "reflect.cfg", "standard.cfg", "plain.cfg" ]\n' > "$tmp/host.cfg"
host_start h -machine q35 -m 256 -smp 2 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=none console=com2" "$tmp"/host.cfg "${files[@]}" "$tmp/frames")"
for _ in $(seq 300); do [ "$(grep -ac 'frames: end' "$tmp/h.com2")" = 2 ] && break; sleep 0.2; done
check "both sources end" test "$(grep -ac 'frames: end' "$tmp/h.com2")" = 2
check "every frame of every size was right" test "$(grep -acE 'frames: size .* ok' "$tmp/h.com2")" = 11
check "round trips" has 'frames: rr 50 .* ok' "$tmp/h.com2"
check "nothing that no right backend does" test "$(grep -acE 'frames: pages .* lost 0, bad 0' "$tmp/h.com2")" = 2
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
[ $bad -eq 0 ] || { tail -n 20 "$tmp/h.log"; tail -n 30 "$tmp/h.com2"; }
finish
