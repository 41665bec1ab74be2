# SPDX-License-Identifier: MIT
# page.sh - the host's web page in headless Chromium. SHOTS=DIR keeps screenshots there.
. "$(dirname "$0")/lib.sh"
make -s --no-print-directory build/guests/hello || exit 1
tests/pki "$tmp/pki" > /dev/null || exit 1
cp build/guests/hello "$tmp/hello"
cp "$kernel" "$tmp/vmlinuz"; cp "$initramfs" "$tmp/initramfs"
port=$(free_port)
host_start h -machine q35 -m 1024 -smp 2 -kernel build/sluice \
    -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 hostname=h1" "$tmp"/pki/api.{crt,key,ca,tokens} "$tmp/hello" "$tmp/vmlinuz" "$tmp/initramfs")" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:443" -device virtio-net-pci,netdev=n0,romfile=
check "a host with TLS starts" wait_for 60 'API: HTTPS' "$tmp/h.log"
for _ in $(seq 100); do curl -s -o /dev/null --cacert "$tmp/pki/api.ca" "https://127.0.0.1:$port/" && break; sleep 0.2; done
# Without a credential: the tree's own files, byte for byte, and so nothing of this host.
same() { curl -s --compressed --cacert "$tmp/pki/api.ca" "https://127.0.0.1:$port/$1" | cmp - "$2"; }
files_same() {
    local f
    same '' toolstack/http/page/index.html && same xterm.css build/deps/xterm/css/xterm.css || return 1
    for f in toolstack/http/page/*.{js,css}; do same "$(basename "$f")" "$f" || return 1; done
}
check "without a credential the page's files are the tree's" files_same
HOME=$tmp timeout 600 node tests/system/page.mjs "$PWD/build/deps/playwright" "https://127.0.0.1:$port" \
    "$(cat "$tmp/pki/admin.token")" "$(cat "$tmp/pki/reader.token")" ${SHOTS:+"$SHOTS"} > "$tmp/report" 2>&1
status=$?
cat "$tmp/report"
bad=$((bad + $(grep -c '^not ok' "$tmp/report")))
check "the list was worked through" test $status -eq 0
[ $bad -eq 0 ] || tail -n 30 "$tmp/h.log"
finish
