# SPDX-License-Identifier: MIT
# bigwire.sh - frames of up to 64 KiB from the wire (a tap device in a namespace of its own, whose segments a card puts into several
# pages): mini guests' frames go out and come back whole, each byte checked; to those on the flip channel in flipped pages. Needs root.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/frames || exit 1
tap_begin "big frames from a tap device" vnet_hdr
in_ns python3 tests/system/tapmirror.py tap0 00:16:3e:00:00:fe > "$tmp/mirror" 2>&1 & pids+=($!)
wait_for 20 ready "$tmp/mirror" || flunk "the mirror"

guest() {   # NAME, byte of its address, sizes, more
    printf 'name="%s"\nmemory=16\nkernel="frames"\nextra="role=source back peer=00:16:3e:00:00:fe sizes=%s %s stay"\nvif=["mac=00:16:3e:00:00:%s"]\n' \
        "$1" "$3" "$4" "$2" > "$tmp/$1.cfg"
}
guest big 1 20000,65226 "mode=flip count=1600 window=16 big=3"
guest small 2 113,600,1514 "mode=flip count=300 window=16"
guest standard 3 600,1514,20000,65226 "mode=standard count=300 window=16 big=3"
echo 'autostart = [ "big.cfg", "small.cfg", "standard.cfg" ]' > "$tmp/host.cfg"
tap_host h 256 "$(modules "ip=none console=com2" "$tmp"/{host,big,small,standard}.cfg build/guests/frames)" -smp 2
check "the card puts segments together" wait_for 60 'nic0: virtio.*, tso, big frames' "$tmp/h.log"
out=$tmp/h.com2
ends() { [ "$(grep -ac 'frames: end' "$out")" = 3 ]; }
for _ in $(seq 600); do ends && break; kill -0 "$host_pid" || break; sleep 0.2; done
check "three guests' frames all went out and came back" ends
check "every frame of every size was right" test "$(grep -acE 'frames: size .* ok' "$out")" = 9
check "they were whole" has 'longest 65226' "$tmp/mirror"
check "pages of big frames are flipped" has 'received: [1-9][0-9]{3} flipped' "$out"
grep -aoE 'received: .* copied' "$out" | sed 's/^/# /'
check "no rule broken" sh -c "! grep -aqE 'BUG|ASSERT|PANIC|panic' '$tmp/h.log'"
[ $bad -eq 0 ] || { tail -n 20 "$tmp/h.log"; tail -n 30 "$out"; cat "$tmp/h.qemu" "$tmp/mirror"; }
finish
