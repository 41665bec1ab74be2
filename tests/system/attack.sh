# SPDX-License-Identifier: MIT
# attack.sh - every guest of tests/attack, each on a debug build: it says what its verdict is; the host
# must survive it and give all its memory back.
. "$(dirname "$0")/lib.sh"

for dir in tests/attack/*/; do
    name=$(basename "$dir")
    # A guest.cfg beside it: it needs more than memory (a vif).
    config=()
    [ ! -e "$dir/guest.cfg" ] || config=(--config "$dir/guest.cfg" --nic virtio-net)
    tests/run-guest --log "$tmp/$name.log" --timeout 240 --memory 64 --vcpus 4 --host-cpus 2 "${config[@]}" \
        --hv "loglvl=debug" "build/guests/$name" > "$tmp/$name.out" 2> "$tmp/$name.err"
    rc=$?
    check "attack $name: the guest ends by itself" test $rc -eq 0
    check "  and all its tricks were refused" has "attack $name: ok" "$tmp/$name.out"
    check "  and no rule of ours was broken" sh -c "! grep -aqE 'BUG|ASSERT|panic' '$tmp/$name.log'"
    [ $rc -eq 0 ] || { tail -n 20 "$tmp/$name.out" "$tmp/$name.log"; cat "$tmp/$name.err"; }
done
finish
