# SPDX-License-Identifier: MIT
# frames.sh - netfront and the bridge between mini guests: frames of every size from each kind of sender to each
# kind of receiver, and to a reflector and back; each byte is checked.
. "$(dirname "$0")/lib.sh"

cp build/guests/frames "$tmp/"
files=() names=""
sources=0 sizes=0
domain() {  # NAME, last byte of its address, command line
    printf 'name="%s"\nmemory=16\nkernel="frames"\nextra="%s"\nvif=["mac=00:16:3e:00:00:%s"]\n' "$1" "$3" "$2" > "$tmp/$1.cfg"
    files+=("$tmp/$1.cfg") names+="\"$1.cfg\", "
}
source_domain() {  # NAME, PEER, SIZES, command line
    domain "$1" $((10 + ++sources)) "role=source peer=00:16:3e:00:00:$2 sizes=$3 count=300 window=48 big=3 stay $4"
    sizes=$((sizes + $(echo "$3" | tr , '\n' | wc -l)))
}
# Few big ones at a time: a receiver offers 256 pages, and several send to one.
small=64,112,113,256,1514 all=64,113,1514,4000,20000,65535
domain sink-flip 01 "role=sink mode=flip"
domain sink-standard 02 "role=sink mode=standard"
domain sink-plain 03 "role=sink mode=plain"
domain reflect 04 "role=reflect mode=flip"
domain hold 05 "role=sink mode=flip hold"
for from in flip copy standard; do
    source_domain $from-flip 01 $all "mode=$from rr=50"
    source_domain $from-standard 02 $all "mode=$from rr=50"
done
source_domain plain-flip 01 $small "mode=plain rr=50"
source_domain flip-plain 03 $small "mode=flip rr=50"
source_domain flip-hold 05 1514 "mode=flip rr=50 count=3000"
source_domain flip-back 04 $all "mode=flip back"
source_domain standard-back 04 $all "mode=standard back"
# Sends and sleeps in one, again and again, while others come and go on both CPUs.
source_domain flip-long 01 64 "mode=flip rr=3000"
printf 'autostart = [ %s ]\n' "$names" > "$tmp/host.cfg"
host_start h -machine q35 -m 400 -smp 2 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=none console=com2" "$tmp"/host.cfg "${files[@]}" "$tmp/frames")"
ends() { grep -ac 'frames: end' "$tmp/h.com2"; }
for _ in $(seq 300); do [ "$(ends)" = $sources ] && break; kill -0 "$host_pid" || break; sleep 0.2; done
check "all $sources sources end" test "$(ends)" = $sources
check "every frame of every size was right" test "$(grep -acE 'frames: size .* ok' "$tmp/h.com2")" = $sizes
check "round trips" test "$(grep -acE 'frames: rr 50 .* ok' "$tmp/h.com2")" = $((sources - 3))
check "many of them" has 'frames: rr 3000 .* ok' "$tmp/h.com2"
check "nothing that no right backend does" test "$(grep -acE 'frames: pages .* lost 0, bad 0' "$tmp/h.com2")" = $sources
check "pages were flipped, both ways" has 'pages sent: [1-9][0-9]* flipped, .* received: [1-9][0-9]* flipped' "$tmp/h.com2"
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC' '$tmp/h.log'"
[ $bad -eq 0 ] || { grep -a error "$tmp/h.log" | head; tail -n 20 "$tmp/h.log"; grep -aE 'WRONG|error|sent' "$tmp/h.com2" | tail -n 60; }

finish
