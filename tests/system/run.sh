# SPDX-License-Identifier: MIT
# run.sh - `make run` on a terminal, as a newcomer types it: progress, the page at the URL that it
# prints, the API, the console; Ctrl-C switches the host off and leaves nothing behind.
. "$(dirname "$0")/lib.sh"

while :; do
    port=$(free_port)
    (exec 3<>"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null || break
done
look="curl -s -m 20 http://127.0.0.1:$port/ > $tmp/page
      curl -s -m 20 http://127.0.0.1:$((port + 1))/v1/domains > $tmp/domains
      curl -s -m 20 http://127.0.0.1:$((port + 1))/v1/domains/web/console > $tmp/console
      pgrep -f build/run/console.log > $tmp/qemu"
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL LIMIT=600 PATIENCE=600 python3 tests/system/clipty.py "$tmp/screen" \
    "wait:BOOT +a host by iPXE" "wait:dom0: ready" "wait:READY +after" "wait:http://127.0.0.1:$port/" "wait:Ctrl-C" \
    "run:$look" 'type:\x03' "wait:the host was switched off" end -- make run PORT="$port" > "$tmp/pty" 2>&1
status=$?
tr -d '\r' < "$tmp/screen" > "$tmp/lines"
check "make run shows its steps, is READY, and ends by Ctrl-C" test $status -ne 99 -a $status -ne 98
[ $status -ne 99 ] || { cat "$tmp/pty"; tail -n 20 "$tmp/lines"; }
check "the guest's page answers at the URL that is printed" has 'It works' "$tmp/page"
check "the API lists the domain" test "$(jq -r '.[0].name // .domains[0].name' "$tmp/domains" 2>/dev/null)" = web
check "its console is read as printed" test -s "$tmp/console"
check "no line is wider than a terminal" test "$(awk '/\(hv\)|\[ / && length > 80' "$tmp/lines" | wc -l)" -eq 0
gone() { local p; for p in $(cat "$tmp/qemu"); do ! kill -0 "$p" 2>/dev/null || return 1; done; test -s "$tmp/qemu"; }
check "and no QEMU is left" gone

# A port in use is told before anything starts.
python3 -m http.server -b 127.0.0.1 "$port" > "$tmp/http" 2>&1 & pids+=($!)
for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$port/" && break; sleep 0.1; done
PORT=$port pxe/run.sh > "$tmp/busy" 2>&1
check "a port in use: one line says which and what to type" has "^run: port $port is in use here: make run PORT=NUMBER$" "$tmp/busy"
finish
