# SPDX-License-Identifier: MIT
# diskerrors.sh - disks of the host that fail and that hang: the guest gets an I/O error, what else it reads and
# writes is right, the host and its other guests live. Errors are QEMU's blkdebug's; the slow disks are on an
# nbdkit that answers after seconds.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/blkverify || exit 1
truncate -s 8M "$tmp/image"
truncate -s 4M "$tmp/slow"
truncate -s 8M "$tmp/good"

virtio=(virtio-blk-pci,drive=d,rerror=report,werror=report phy:/dev/vda)
nvme=(nvme,serial=d,drive=d phy:/dev/nvme0n1)
config() { printf '%s\n' "name=\"$1\"" 'kernel="blkverify"' 'memory=32' "disk=[ '$2,raw,xvda,w' ]" "extra=\"$3\""; }

# failing WHAT DEVICE TARGET WORDS BLKDEBUG...: one guest alone on a disk that fails in some way
failing() {
    local what=$1 device=$2 target=$3 words=$4 debug= e; shift 4
    for e in "$@"; do debug+=",file.inject-error.$e"; done
    config g "$target" "$words" > "$tmp/g.cfg"
    host_start h -machine q35 -m 256 -kernel build/sluice -append debugexit \
        -initrd "$(modules "solo=g.cfg ip=none" "$tmp/g.cfg" build/guests/blkverify)" \
        -blockdev "driver=raw,node-name=d,file.driver=blkdebug,file.image.driver=file,file.image.filename=$tmp/image$debug" \
        -device "$device"
    wait "$host_pid" 2> /dev/null
    local rc=$?
    check "$what: the guest goes on to its end, and so does the host" test $rc -eq 33
    check "  some of its requests failed, and no others" \
        has 'blkverify: [0-9]{3,} requests, ([1-9]|[1-9][0-9]) failed' "$tmp/h.com2"
    echo "# $(grep -a ' failed: ' "$tmp/h.log" | head -n 1)"
}
some="mode=errors rounds=4 qd=8"
bad_sector=(0.event=none 0.iotype=read 0.errno=5 0.sector=5000)
failing "virtio, a bad sector" "${virtio[@]}" "$some" "${bad_sector[@]}"
check "  one line says where" has 'vda: read of [0-9]+ sectors at [0-9]+ failed: status 1' "$tmp/h.log"
failing "NVMe, a bad sector" "${nvme[@]}" "$some" "${bad_sector[@]}"
check "  one line says where" has 'nvme0n1: read of [0-9]+ sectors at [0-9]+ failed: status 2.81' "$tmp/h.log"
full=(0.event=none 0.iotype=write 0.errno=28 0.sector=9000)
failing "virtio, a write that finds no room" "${virtio[@]}" "$some" "${full[@]}"
failing "NVMe, a write that finds no room" "${nvme[@]}" "$some" "${full[@]}"
flush=(0.event=none 0.iotype=flush 0.errno=5)
failing "virtio, flushes that fail" "${virtio[@]}" "$some" "${flush[@]}"
check "  and say so" has 'vda: flush of .* failed' "$tmp/h.log"
failing "NVMe, flushes that fail" "${nvme[@]}" "$some" "${flush[@]}"
check "  and say so" has 'nvme0n1: flush of .* failed' "$tmp/h.log"

# slow WHAT DEVICE NAME TARGET: a disk that answers far too late, beside one that is well
slow() {
    local port server
    port=$(free_port)
    nbdkit -f -i 127.0.0.1 -p "$port" --filter=delay file "$tmp/slow" rdelay=2 > "$tmp/nbdkit" 2>&1 &
    server=$!
    pids+=("$server")
    until [ -n "$(ss -Hltn "sport = :$port")" ]; do kill -0 $server || return; sleep 0.05; done
    config slow "$4" "mode=errors mib=1 rounds=1 qd=4" > "$tmp/slow.cfg"
    config well "$5" "rounds=3" > "$tmp/well.cfg"
    echo 'autostart=["slow.cfg","well.cfg"]' > "$tmp/host.cfg"
    host_start h -machine q35 -m 256 -kernel build/sluice -append debugexit \
        -initrd "$(modules "ip=none console=com2 disk_timeout=1" "$tmp"/{host,slow,well}.cfg build/guests/blkverify)" \
        -drive "if=none,format=raw,id=g,file=$tmp/good" -device virtio-blk-pci,drive=g,addr=0x10 \
        -drive "if=none,id=d,format=raw,file=nbd://127.0.0.1:$port" -device "$2"
    wait_for 120 'slow: domain [0-9]+ is gone' "$tmp/h.log"
    wait_for 60 'well: domain [0-9]+ is gone' "$tmp/h.log"
    check "$1, a disk that does not answer in time: it is reset" has "$3: .* it is reset" "$tmp/h.log"
    check "  in the end it is given up" has "$3: .*not used any more" "$tmp/h.log"
    check "  its guest gets I/O errors" has 'blkverify: [0-9]+ requests, [1-9][0-9]* failed' "$tmp/h.com2"
    check "  its neighbour none" has 'blkverify: [0-9]+ requests, 0 failed' "$tmp/h.com2"
    check "  and did not wait for it" test "$(grep -aoE 'well: .* is gone|slow: .* is gone' "$tmp/h.log" | head -c 4)" = well
    grep -aE '(vd.|nvme.*): .*(reset|not used|cannot be read)' "$tmp/h.log" | sed 's/^/# /'
    host_stop "$host_pid"
    kill $server
}
slow "virtio" virtio-blk-pci,drive=d,addr=0x8 vda phy:/dev/vda phy:/dev/vdb
slow "NVMe" nvme,serial=d,drive=d,addr=0x8 nvme0 phy:/dev/nvme0n1 phy:/dev/vda
# A domain that is destroyed while a disk still has its pages for DMA: nobody else gets them before the disk is done.
port=$(free_port)
nbdkit -f -i 127.0.0.1 -p "$port" --filter=delay file "$tmp/slow" wdelay=6 > "$tmp/nbdkit" 2>&1 &
pids+=($!)
until [ -n "$(ss -Hltn "sport = :$port")" ]; do sleep 0.05; done
http=$(free_port)
api=http://127.0.0.1:$http
host_start h -machine q35 -m 256 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 api=insecure" build/guests/blkverify)" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$http-10.0.2.77:80" -device virtio-net-pci,netdev=n0,romfile= \
    -drive "if=none,id=d,format=raw,file=nbd://127.0.0.1:$port" -device virtio-blk-pci,drive=d
api_until 30 '.software == "sluice"' /v1/host || flunk "the host starts"
wait_for 20 'vda: virtio' "$tmp/h.log"
before=$(free_pages)
config g phy:/dev/vda "mode=write qd=16" | api POST /v1/domains --data-binary @- > /dev/null
wait_for 20 'vbd1.51712: connected' "$tmp/h.log"
sleep 1
api DELETE /v1/domains/g > /dev/null
wait_for 20 'g: domain 1 is gone' "$tmp/h.log"
held=$(free_pages)
check "a domain destroyed while a disk has its pages is gone before the disk is done" \
    test -z "$(grep -a 'vbd1.51712: removed' "$tmp/h.log")"
wait_for 60 'vbd1.51712: removed' "$tmp/h.log"
api_until 20 "$before - .memory_free_pages < 64" /v1/host
now=$(free_pages)
check "  but these pages are nobody else's until then ($((now - held)))" test $((now - held)) -ge 16
check "  and nothing is lost ($before pages free, $now)" test $((before - now)) -lt 64
[ $bad -eq 0 ] || { tail -n 40 "$tmp/h.log"; tail -n 30 "$tmp/h.com2"; }
finish
