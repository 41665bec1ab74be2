# SPDX-License-Identifier: MIT
# runtime.sh - a stock Debian guest whose memory, vCPUs, interfaces and disks change while it runs.
. "$(dirname "$0")/lib.sh"

cp "$kernel" "$tmp/vmlinuz"
cp "$initramfs" "$tmp/initramfs"
truncate -s 8M "$tmp/image"
api_host 1024 "$tmp/vmlinuz" "$tmp/initramfs" "$tmp/image"

json() { local m=$1 p=$2 body=$3; shift 3; api "$m" "$p" -H 'Content-Type: application/json' -d "$body" "$@"; }
status() { local m=$1 p=$2; shift 2; api_status "$m" "$p" -H 'Content-Type: application/json' "$@"; }
deb=/v1/domains/deb
free_kib() { echo $(($(api GET /v1/host | jq .memory_free_pages) * 4)); }
heap() { api GET /v1/host | jq .dom0.heap_bytes; }
# says SECONDS PATTERN: on the guest's console; tell COMMAND: to its shell.
says() { local i; for ((i = 0; i < $1 * 4; i++)); do api GET $deb/console | tr -d '\r' | grep -aqE -- "$2" && return 0; sleep 0.25; done; return 1; }
tell() { api POST $deb/console --data-binary "$1"$'\n' > /dev/null; }
# guest_until SECONDS COMMAND PATTERN: until what the command prints in the guest matches
nr=0
guest_until() {
    local i out
    for ((i = 0; i < $1; i++)); do
        nr=$((nr + 1))
        tell "echo @$nr : \$($2) @"
        says 90 "^@$nr : .*@\$" || { echo "# no answer to $2"; return 1; }
        out=$(api GET $deb/console | tr -d '\r' | sed -n "s/^@$nr : \(.*\) @\$/\1/p")
        [[ $out =~ $3 ]] && return 0
        sleep 0.5
    done
    echo "# $2: $out, not $3"
    return 1
}

printf '%s\n' 'name="deb"' 'kernel="vmlinuz"' 'ramdisk="initramfs"' 'memory=192' 'maxmem=384' 'vcpus=1' 'maxvcpus=3' \
    'extra="console=hvc0 quiet ip=none shell then=stay"' | api POST /v1/domains -m 120 --data-binary @- > /dev/null
check "a Debian guest runs a shell" says 120 '# '

# ---- memory: starts ballooned down from maxmem
current=/sys/devices/system/xen_memory/xen_memory0/info/current_kb
check "memory=192 maxmem=384: it has 192 MiB" api_until 10 '.memory_kib == 196608 and .max_memory_kib == 393216' $deb
check "  its kernel agrees" guest_until 5 "cat $current" '^196608$'
before=$(free_kib)
json PUT $deb/memory '{"target_kib": 131072}' > /dev/null
check "a smaller target: the guest gives 64 MiB back" api_until 30 '.memory_kib == 131072' $deb
check "  the host has them ($((($(free_kib) - before) / 1024)) MiB)" test $(($(free_kib) - before)) -ge 65000
check "  its kernel agrees" guest_until 5 "cat $current" '^131072$'
json PUT $deb/memory '{"target_kib": 393216}' > /dev/null
check "a target of maxmem: it takes 256 MiB" api_until 30 '.memory_kib == 393216' $deb
check "  the host has given them ($(((before - $(free_kib)) / 1024)) MiB more than at first)" test $((before - $(free_kib))) -ge 196608
check "  and it can use them" guest_until 5 "mkdir -p /mnt; mount -t tmpfs -o size=300m none /mnt; dd if=/dev/zero of=/mnt/fill bs=1M count=220 2>/dev/null; ls -s /mnt/fill" '^225280 '
tell 'rm /mnt/fill'
refused() { check "$1" test "$(json PUT $deb/memory "$2" | jq -r .error)" = "$3"; }
refused "a target beyond maxmem is refused" '{"target_kib": 393220}' "deb: cannot have 393220 KiB: its maxmem is 393216 KiB"
refused "  one of nothing too" '{"target_kib": 0}' "deb: cannot live with 0 KiB: at least 16384 KiB"
check "  with status 422" test "$(status PUT $deb/memory -d '{"target_kib": 0}')" = 422
check "  and one that is no number" test "$(status PUT $deb/memory -d '{"target_kib": "all"}')" = 422
json PUT $deb/memory '{"target_kib": 196608}' > /dev/null
check "back to where it began" api_until 30 '.memory_kib == 196608' $deb
check "  nothing is lost ($before, $(free_kib))" test $((before - $(free_kib))) -lt 1024
printf '%s\n' 'name="big"' 'kernel="vmlinuz"' 'memory=96' 'maxmem=2048' | jq -Rs '{config: ., paused: true}' |
    api POST /v1/domains -m 60 -H 'Content-Type: application/json' --data-binary @- > "$tmp/big"
has '"paused"' "$tmp/big" || cat "$tmp/big"
error=$(json PUT /v1/domains/big/memory '{"target_kib": 2097152}' | jq -r .error)
check "a target beyond what the host has is refused: $error" \
    grep -qE '^big: cannot have 2097152 KiB: that is 1998848 KiB more than now, and [0-9]+ KiB are free on the host$' <<< "$error"
api DELETE /v1/domains/big > /dev/null

# ---- vCPUs
online() { api GET $deb/vcpus | jq '[.[] | select(.online)] | length'; }
vcpus_until() { local i; for ((i = 0; i < 80; i++)); do [ "$(online)" = "$1" ] && return 0; sleep 0.25; done; return 1; }
check "vcpus=1 maxvcpus=3: one is online" vcpus_until 1
json PUT $deb/vcpus '{"online": 3}' > /dev/null
check "three are asked for: the kernel finds them" guest_until 20 "cat /sys/devices/system/cpu/present" '^0-2$'
# A distribution has a rule of udev for that.
tell 'for c in /sys/devices/system/cpu/cpu[12]/online; do echo 1 > $c; done'
check "  and takes them online" vcpus_until 3
check "  and uses them" guest_until 10 "for i in 1 2 3 4 5 6; do (i=0; while [ \$i -lt 3000 ]; do i=\$((i+1)); done) & done; wait; grep -c ^processor /proc/cpuinfo" '^3$'
check "  each has CPU time" api_until 10 'length == 3 and all(.[]; .cpu_seconds > 0)' $deb/vcpus
json PUT $deb/vcpus '{"online": 2}' > /dev/null
check "two: it takes the third offline" vcpus_until 2
check "  the third, not another" api_until 5 '.[0].online and .[1].online and (.[2].online | not)' $deb/vcpus
json PUT $deb/vcpus '{"online": 1}' > /dev/null
check "one again" vcpus_until 1
check "more than maxvcpus, or none, are refused" test "$(status PUT $deb/vcpus -d '{"online": 4}')$(status PUT $deb/vcpus -d '{"online": 0}')" = 422422

# ---- shares, name
check "weight and cap change" test "$(json PUT $deb/scheduler '{"weight": 512, "cap": 50}' | jq -c .)" = '{"weight":512,"cap":50}'
check "  one of them alone" test "$(json PUT $deb/scheduler '{"cap": 0}' | jq -c .)" = '{"weight":512,"cap":0}'
check "a new name" test "$(json POST $deb/rename '{"name": "web"}' | jq -r .name)" = web
check "  the old one is gone" test "$(api_status GET $deb)" = 404
check "  its console goes on under the new one" test "$(api_status GET /v1/domains/web/console)" = 200
json POST /v1/domains/web/rename '{"name": "deb"}' > /dev/null

# ---- interfaces and disks, with the kernel's own frontends
attach_vif() { json POST $deb/networks '{"vif": "mac=00:16:3e:00:00:07"}'; }
vif_is() { api_until 20 ".[0].state == \"$1\"" $deb/networks; }
check "a vif is attached" test "$(attach_vif | jq -r .devid)" = 0
check "  the guest connects" vif_is connected
check "  sees the address" guest_until 10 "cat /sys/class/net/eth0/address" '^00:16:3e:00:00:07$'
check "  and reaches the gateway" guest_until 10 "ifconfig eth0 10.0.2.15 up; ping -c 1 -W 2 10.0.2.2 | grep -c '1 packets received'" '^1$'
check "  which is counted" api_until 5 '.[0].rx_packets > 0 and .[0].tx_packets > 0' $deb/networks
check "one with its address is refused" test "$(status POST $deb/networks -d '{"vif": "mac=00:16:3e:00:00:07"}')" = 409
check "  so is what is no vif" test "$(status POST $deb/networks -d '{"vif": "mac=7"}')" = 422
api DELETE $deb/networks/00:16:3e:00:00:07 > /dev/null
check "it is detached" api_until 20 'length == 0' $deb/networks
check "  and gone from the guest" guest_until 10 "ls /sys/class/net" '^lo$'
check "  detaching what is not there: 404" test "$(api_status DELETE $deb/networks/0)" = 404

attach_disk() { json POST $deb/disks '{"disk": "image,raw,xvdb,w"}'; }
disk_is() { api_until 20 ".[0].state == \"$1\"" $deb/disks; }
check "a disk is attached" test "$(attach_disk | jq -r .vdev)" = xvdb
check "  the guest connects" disk_is connected
check "  reads and writes it" guest_until 10 "echo sluice > /dev/xvdb; sync; dd if=/dev/xvdb bs=6 count=1 2>/dev/null" '^sluice$'
check "a second xvdb is refused" test "$(status POST $deb/disks -d '{"disk": "image,raw,xvdb,w"}')" = 409
check "  so is an image that is not there" test "$(status POST $deb/disks -d '{"disk": "nothing,raw,xvdc,w"}')" = 404
api DELETE $deb/disks/xvdb > /dev/null
check "it is detached" api_until 20 'length == 0' $deb/disks
check "  and gone from the guest" guest_until 10 "ls /sys/block | grep -c xvdb" '^0$'

rounds() {
    local i
    for ((i = 0; i < $1; i++)); do
        attach_vif > /dev/null; attach_disk > /dev/null
        vif_is connected && disk_is connected || return 1
        api DELETE $deb/networks/0 > /dev/null; api DELETE $deb/disks/xvdb > /dev/null
        api_until 20 'length == 0' $deb/networks && api_until 20 'length == 0' $deb/disks || return 1
    done
}
rounds 2
pages=$(free_kib) before=$(heap)
check "20 rounds of attaching and detaching both" rounds 20
# What opened a disk is kept for ten seconds, for the backend to take it.
heap_is_back() { local i; for i in $(seq 80); do [ $(($(heap) - before)) -ge 4096 ] || return 0; sleep 0.25; done; return 1; }
check "  leave dom0's heap but for the log" heap_is_back
echo "# heap before and after: $before, $(heap)"
check "  and the host's memory as they were ($pages, $(free_kib) KiB)" test $((pages - $(free_kib))) -le 0

# A guest that does not answer: its driver is stopped, and it is removed by force.
attach_vif > /dev/null; attach_disk > /dev/null
vif_is connected && disk_is connected
api POST $deb/pause > /dev/null
api DELETE $deb/networks/0 > /dev/null
check "a guest that does not answer keeps its device" vif_is detaching
check "  detaching it again is refused" test "$(api_status DELETE $deb/networks/0)" = 409
check "  after ten seconds the log says so" wait_for 30 'deb: vif 0: the guest does not close it' "$log"
check "  force takes it" test "$(api_status DELETE "$deb/networks/0?force=1")$(api_status DELETE "$deb/disks/xvdb?force=1")" = 202202
check "  at once" test "$(api GET $deb/networks | jq length)$(api GET $deb/disks | jq length)" = 00
api POST $deb/unpause > /dev/null
check "  and the guest lives on" guest_until 20 "echo alive" '^alive$'
api DELETE $deb > /dev/null
check "nothing is left" api_until 20 'length == 0' /v1/domains
[ $bad -eq 0 ] || { tail -n 60 "$log"; api GET $deb/console | tail -n 30; }
finish
