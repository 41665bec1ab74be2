# SPDX-License-Identifier: MIT
# powercut.sh - what a guest wrote and flushed is there after the host lost its power. ROUNDS (6) times a host is
# killed at some moment in the midst of writes and flushes, together with the storage behind it: nbdkit with
# a cache that holds what was not flushed in memory, so that a flush which got lost anywhere on the way shows. The
# image is then compared with what the guest said on its console. The disk is behind dom0's own NBD client (with a card that
# reads guests' pages, too), a virtio disk and an NVMe disk in turn. At last the same with a cache that ignores flushes: there the
# comparison has to find losses, or it would be worth nothing.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/blkverify || exit 1
rounds=${ROUNDS:-6}

# round NUMBER BACKEND CACHE: one power cut; the result of the comparison.
round() {
    local n=$1 backend=$2 port server target=phy:/dev/vda net=() drive=()
    port=$(free_port)
    rm -f "$tmp/image"
    truncate -s 16M "$tmp/image"
    nbdkit -f -i 127.0.0.1 -p "$port" --filter=cache file "$tmp/image" "cache=$3" > "$tmp/nbdkit" 2>&1 &
    server=$!
    pids+=("$server")
    until [ -n "$(ss -Hltn "sport = :$port")" ]; do kill -0 $server || return 2; sleep 0.05; done
    case $backend in
    nbd|nbd-dma)
        target=nbd:10.0.2.2:$port/
        [ "$backend" = nbd ] && net=(virtio-net-pci) || net=(e1000e)
        net=(-netdev user,id=n0 -device "${net[0]},netdev=n0,romfile=") ;;
    virtio) drive=(-device virtio-blk-pci,drive=d) ;;
    nvme) drive=(-device nvme,serial=d,drive=d) target=phy:/dev/nvme0n1 ;;
    esac
    [[ $backend = nbd* ]] || drive+=(-drive "if=none,id=d,format=raw,file=nbd://127.0.0.1:$port,cache=writeback")
    printf '%s\n' 'name="g"' 'kernel="blkverify"' 'memory=32' "disk=[ '$target,raw,xvda,w' ]" \
        "extra=\"mode=write epoch=$n qd=$((2 + RANDOM % 30))\"" > "$tmp/g.cfg"
    host_start h -machine q35 -m 256 -kernel build/sluice \
        -initrd "$(modules "solo=g.cfg ip=10.0.2.15/24" "$tmp/g.cfg" build/guests/blkverify)" "${net[@]}" "${drive[@]}"
    wait_for 60 'blkverify: flushed' "$tmp/h.com2" || { tail -n 30 "$tmp/h.log" "$tmp/h.com2"; return 2; }
    sleep "0.$(printf %03d $((RANDOM % 1000)))"
    kill -KILL "$host_pid" "$server"
    wait "$host_pid" "$server" 2> /dev/null
    python3 tests/system/powercut.py "$tmp/image" "$tmp/h.com2" "$n"
}

backends=(nbd virtio nvme nbd-dma)
lost=0 moot=0
for ((i = 1; i <= rounds; i++)); do
    backend=${backends[i % ${#backends[@]}]}
    out=$(round $i "$backend" writeback)
    rc=$?
    echo "# $i, $backend: $out"
    [ $rc -ne 1 ] || lost=$((lost + 1))
    [ $rc -ne 2 ] || moot=$((moot + 1))
done
check "$rounds power cuts: no flushed write is lost" test $lost -eq 0
check "  each in the midst of writes and flushes" test $moot -eq 0
for backend in "${backends[@]}"; do
    out=$(round 1000 "$backend" unsafe)
    rc=$?
    echo "# cache=unsafe, $backend: $out"
    check "a server that ignores flushes is found out ($backend)" test $rc -eq 1
done
finish
