# SPDX-License-Identifier: MIT
# cli.sh - the operator's command against a real host: every verb, over TLS, with a stock Debian guest
# whose kernel and ramdisk are uploaded from here.
. "$(dirname "$0")/lib.sh"
make -s --no-print-directory build/cli/sluice-asan build/guests/hello || exit 1
export HOME=$tmp NO_COLOR=1 LC_ALL=C.UTF-8 SLUICE_CONFIG=$tmp/sluice.conf
unset SLUICE_HOST
tests/pki "$tmp/pki" > /dev/null || exit 1
truncate -s 8M "$tmp/image"
cp build/guests/hello "$tmp/hello"
cp "$kernel" "$tmp/vmlinuz"; cp "$initramfs" "$tmp/initramfs"
chmod 600 "$tmp"/pki/*.token
port=$(free_port)
start_host() {
    host_start "$1" -machine q35 -m 1024 -smp 2 -kernel build/sluice \
        -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 hostname=h1" "$tmp"/pki/api.{crt,key,ca,tokens} "$tmp/hello" "$tmp/image")" \
        -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:443" -device virtio-net-pci,netdev=n0,romfile=
    log=$tmp/$1.log
}
cat > "$SLUICE_CONFIG" <<EOF
default = h1
[h1]
url = https://127.0.0.1:$port
ca = pki/api.ca
token-file = pki/admin.token
[reader]
url = https://localhost:$port
ca = pki/api.ca
cert = pki/reader.crt
key = pki/reader.key
[nobody]
url = https://127.0.0.1:$port
ca = pki/api.ca
[wrong]
url = https://127.0.0.1:$port
ca = pki/api.ca
token-file = wrong.token
EOF
echo 0123456789abcdef > "$tmp/wrong.token"; chmod 600 "$tmp/wrong.token"
# A slow machine is no fault of the command.
sluice=$tmp/sluice
printf '#!/bin/sh\nexec %s --timeout 200 "$@"\n' "$top/build/cli/sluice-asan" > "$sluice"; chmod +x "$sluice"
run() { timeout 300 "$sluice" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null; rc=$?; }
# good "what" ARGS...: the command succeeds, and nothing is wrong inside
ok() { [ $rc -eq "$1" ] && ! has 'Sanitizer|runtime error' "$tmp/err" || { echo "    | status $rc"; sed 's/^/    | /' "$tmp/err"; false; }; }
good() { local what=$1; shift; run "$@"; check "$what" ok 0; }
# fails "what" STATUS PATTERN ARGS...
says() { has "$1" "$tmp/err" || { sed 's/^/    | /' "$tmp/err"; false; }; }
refuses() { ok "$1" && says "$2"; }
fails() { local what=$1 st=$2 pat=$3; shift 3; run "$@"; check "$what" refuses "$st" "$pat"; }
is() { [ "$1" = "$2" ] || { echo "    | is '$1', not '$2'"; false; }; }
# until SECONDS JQ ARGS...: until the command's JSON makes the expression true
until_json() {
    local i n=$1 expr=$2; shift 2
    for ((i = 0; i < n * 2; i++)); do
        "$sluice" --json "$@" 2> /dev/null < /dev/null | jq -e "$expr" > /dev/null && return 0
        sleep 0.5
    done
    "$sluice" --json "$@"; return 1
}
pty() { timeout 300 python3 tests/system/clipty.py "$tmp/pty" "$@"; }

start_host h
check "a host with TLS starts" wait_for 60 'API: HTTPS' "$log"
for _ in $(seq 40); do run info; [ $rc -eq 0 ] && break; sleep 0.5; done

# ------------------------------------------------------------------ host and credentials
good "info" info
check "  names the host" has '^host +: h1$' "$tmp/out"
good "version" version
check "  of both" is "$(sed 's/.*[: ]//' "$tmp/out" | sort -u | wc -l)" 1
good "an empty list" list
good "dmesg" dmesg
check "  is the hypervisor's" has 'dom0|CPU' "$tmp/out"
good "log" log
check "  is dom0's" has 'API: HTTPS' "$tmp/out"
good "a client certificate reads" -H reader list
fails "no credential" 5 'wants a credential' -H nobody list
fails "a wrong token" 5 'wants another credential' -H wrong list
timeout 200 "$sluice" events -a -n 4 hi > "$tmp/events" 2>&1 < /dev/null & events=$!; pids+=($events)

# ------------------------------------------------------------------ create
printf '%s\n' 'name = "hi"' 'kernel = "/boot/hello"' 'memory = 16' 'extra = "forever"' 'vnc = 1' > "$tmp/hi.cfg"
good "create from a file of the host" create -p "$tmp/hi.cfg"
check "  what has no effect is noted" has 'hi.cfg:5:1: note: vnc has no effect' "$tmp/err"
check "  paused" is "$("$sluice" list hi | awk 'NR == 2 { print $5 }')" --p---
fails "  a second one of that name" 1 'hi' create "$tmp/hi.cfg"
fails "  by a reader" 5 'not allowed' -H reader create "$tmp/hi.cfg" name=x
good "unpause" unpause hi
check "  runs" until_json 10 '.[0].state == "running"' list hi
good "pause" pause hi
check "  stands" until_json 10 '.[0].state == "paused"' list hi
good "destroy" destroy hi
check "  gone" until_json 20 'length == 0' list
wait $events; check "events told all of it" is "$(awk '{ print $3 }' "$tmp/events" | tr '\n' ' ')" "created paused unpaused paused "
cat > "$tmp/deb.cfg" <<EOF
name = "deb"
kernel = "$tmp/vmlinuz"
ramdisk = "$tmp/initramfs"
memory = 96
maxmem = 256
vcpus = 1
maxvcpus = 2
extra = "console=hvc0 quiet ip=none shell then=stay"
EOF
good "create -n says what would be uploaded" create -n "$tmp/deb.cfg"
check "  and uploads nothing" sh -c "grep -q 'vmlinuz would be uploaded as vmlinuz-[0-9a-f]*$' '$tmp/err' && test \$('$sluice' files | wc -l) -eq 3"
good "create uploads kernel and ramdisk; a setting wins over the file" create "$tmp/deb.cfg" memory=192
check "  each once" is "$(grep -c '^uploading' "$tmp/err")" 2
check "  the setting" until_json 5 '.[0].memory_kib == 196608' list deb
good "a second create" create -p "$tmp/deb.cfg" name=deb2
check "  uploads nothing" sh -c "! grep -q uploading '$tmp/err'"
good "files" files
check "  tells which are used" is "$(awk '/^vmlinuz-/ { print $4 }' "$tmp/out")" 2
fails "  what is used stays" 1 'domains are made of it' files rm "$(awk '/^vmlinuz-/ { print $1 }' "$tmp/out")"
good "  destroy deb2" destroy deb2
fails "a file that is neither here nor there" 3 'not a file of h1' create "$tmp/hi.cfg" name=x kernel=/boot/nothing

# ------------------------------------------------------------------ console, on a terminal
check "console: both ways, a resize, and Ctrl-] leaves; the terminal is as before" pty \
    'wait:Ctrl-\] leaves' 'wait:# ' 'type:echo it''"''"''works\r' 'wait:\nitworks' 'size:50x132' 'type:echo $((6*7))x\r' 'wait:42x' \
    "type:sh -c 'trap \"echo c4\$((1+1))t; exit\" INT; echo g\$((1+1))g; while :; do sleep 1; done'\\r" 'wait:\ng2g' 'type:\x03' 'wait:c42t' 'wait:# ' \
    'type:\x1d' 'wait:deb: left' end -- "$sluice" console deb
[ -s "$tmp/pty" ] && [ $bad -eq 0 ] || cat -v "$tmp/pty"
check "  the output is there again" pty 'wait:itworks' 'type:\x1d' end -- "$sluice" console deb
good "console -p prints it" console -p deb
check "  all of it" has 'itworks' "$tmp/out"
printf 'echo from-a-pipe$((1+1))\n' | timeout 60 "$sluice" console deb > "$tmp/out" 2>&1
for _ in $(seq 40); do run console -p deb; has 'from-a-pipe2' "$tmp/out" && break; sleep 0.5; done
check "input from a pipe arrives" has 'from-a-pipe2' "$tmp/out"

# ------------------------------------------------------------------ run time
good "domid" domid deb; id=$(cat "$tmp/out")
good "domname" domname "$id"; check "  is it" is "$(cat "$tmp/out")" deb
good "rename" rename deb web
check "  by its number" is "$("$sluice" domname "$id")" web
fails "  the old name" 3 'did you mean web' pause deb
good "  back" rename web deb
good "suspend" suspend deb
check "  it stands still" is "$("$sluice" list deb | awk 'NR == 2 { print $5 }')" ---s--
fails "  twice" 1 'cannot suspend: domain is suspended' suspend -t 5 deb
fails "  unpause" 1 'cannot unpause: domain is suspended' unpause deb
fails "  resume by a reader" 5 'not allowed' -H reader resume deb
good "resume" resume deb
check "  it goes on" until_json 10 '.[0].state == "running"' list deb
fails "  twice" 1 'cannot resume: domain is running' resume deb
fails "  no such time" 2 'usage: sluice suspend' suspend -t 0 deb
good "uptime" uptime
check "  of host and domain" has '^deb +[0-9]+ +0:0' "$tmp/out"
good "mem-set" mem-set deb 128m
check "  the guest follows" until_json 60 '.[0].memory_kib == 131072' list deb
fails "  beyond maxmem" 1 'maxmem' mem-set deb 2g
good "mem-max" mem-max deb 160m
check "  is the most now" until_json 60 '.[0].max_memory_kib == 163840' list deb
fails "  not below what it has" 1 'less than its target' mem-max deb 64m
fails "  nor beyond it after that" 1 'maxmem' mem-set deb 161m
good "vcpu-list" vcpu-list deb
check "  one of two is online" is "$(awk 'NR > 1 { print $3 $4 }' "$tmp/out" | tr -d '01' | tr '\n' ' ')" ' - '
good "vcpu-set" vcpu-set deb 2
fails "  beyond maxvcpus" 1 'vcpu' vcpu-set deb 9
good "vcpu-pin" vcpu-pin deb all 0-5,^1 1
good "  of one, as xl writes it" vcpu-pin -f deb 1 - all
good "  one alone" vcpu-pin deb 1 1
good "  vcpu-list" vcpu-list deb
check "  shows it" is "$(awk 'NR > 1 { print $3, $7, $8, $9 }' "$tmp/out" | tr '\n' ';')" '0 0 / 1;1 1 / all;'
fails "  CPUs that are not there" 1 'cannot run on CPU 2-3: this host has 0-1' vcpu-pin deb 0 2-3
fails "  a vCPU that is not there" 3 'no vCPU 2' vcpu-pin deb 2 0
fails "  by a reader" 5 'not allowed' -H reader vcpu-pin deb 0 0
good "  any CPU again" vcpu-pin deb all all all
good "sched-credit -w -c" sched-credit -d deb -w 512 -c 150
good "sched-credit" sched-credit -d deb
check "  shows it" is "$(awk 'NR == 2 { print $3, $4 }' "$tmp/out")" '512 150'
good "  no cap" sched-credit -d deb -c 0
good "network-attach" network-attach deb mac=00:16:3e:00:00:07
check "  the guest connects" until_json 30 '.[0].state == "connected"' network-list deb
good "network-list" network-list deb
check "  shows it" has '00:16:3e:00:00:07 .*connected' "$tmp/out"
good "network-detach, until it is gone" network-detach deb 00:16:3E:00:00:07
check "  it is" is "$("$sluice" network-list deb | wc -l)" 1
fails "  what is not there" 3 '0' network-detach deb 0
good "block-attach" block-attach deb image,raw,xvdb,w
check "  the guest connects" until_json 30 '.[0].state == "connected"' block-list deb
good "block-list" block-list deb
check "  shows it" has '^xvdb .*connected +8.0M' "$tmp/out"
good "block-detach, until it is gone" block-detach deb xvdb
check "  it is" is "$("$sluice" block-list deb | wc -l)" 1
good "network-attach for top" network-attach deb mac=00:16:3e:00:00:08
check "  connected" until_json 30 '.[0].state == "connected"' network-list deb
printf 'ifconfig eth0 10.0.2.15 up; ping -q -i 0.1 10.0.2.2 > /dev/null &\n' | timeout 60 "$sluice" console deb > /dev/null 2>&1
check "  has packets" until_json 30 '.[0].rx_packets > 3' network-list deb
good "top in a pipe" top -b -i 2 -d 2
check "  and what it receives" sh -c "awk '/^deb/ { n++; if (n == 2 && \$8 ~ /^[1-9]/) f = 1 } END { exit !f }' '$tmp/out'"
check "  CPU shares from the second look on" sh -c "awk '/^deb/ { n++; if (n == 2 && \$4 ~ /^[0-9.]+\$/) f = 1 } END { exit !f }' '$tmp/out'"
check "top on a terminal: q leaves, the screen is as before" pty 'wait:\x1b\[\?1049h' 'wait:deb' 'type:m' 'size:10x60' 'wait:deb' 'type:q' \
    'wait:\x1b\[\?1049l' end -- "$sluice" top -d 1

# ------------------------------------------------------------------ files
printf 'a kernel to be\n' > "$tmp/some file"
good "upload" upload "$tmp/some file" disk.img
check "  is there" sh -c "'$sluice' --json files | jq -e 'map(select(.name == \"disk.img\" and .size == 15)) | length == 1' > /dev/null"
good "files rm" files rm disk.img
fails "  twice" 3 'disk.img' files rm disk.img
fails "  a boot module" 1 'hello' files rm hello
truncate -s 3G "$tmp/huge"
fails "an upload larger than memory" 1 '.' upload "$tmp/huge"
mkdir "$tmp/www"; head -c 300000 /dev/urandom > "$tmp/www/rd.img"
www=$(free_port)
python3 -m http.server --bind 127.0.0.1 --directory "$tmp/www" "$www" > /dev/null 2>&1 & pids+=($!)
for _ in $(seq 50); do curl -s -o /dev/null "http://127.0.0.1:$www/" && break; sleep 0.1; done
good "fetch" fetch "http://10.0.2.2:$www/rd.img"
check "  is there" sh -c "'$sluice' --json files | jq -e 'map(select(.name == \"rd.img\" and .size == 300000)) | length == 1' > /dev/null"
fails "  what the server has not" 1 '404|rd2' fetch "http://10.0.2.2:$www/rd2.img"

# ------------------------------------------------------------------ ends
good "reboot -w" reboot -w deb
check "  it runs anew" until_json 60 '.[0].restarts == 1 and .[0].state == "running"' list deb
check "  with its console" sh -c "for i in \$(seq 120); do test \$('$sluice' console -p deb | tr -d '\\r' | grep -ac 'guest: init') -ge 2 && exit 0; sleep 0.5; done; exit 1"
good "shutdown -w" shutdown -w deb
check "  it is gone" is "$("$sluice" list | wc -l)" 1
check "create -c: from the first line to the end, which ends the console" pty 'wait:guest: init' 'wait:# ' 'type:poweroff -f\r' \
    'wait:deb: the domain has ended' end -- "$sluice" create -c "$tmp/deb.cfg" 'extra=console=hvc0 quiet ip=none shell then=stay'
for i in 1 2 3; do good "create hi$i" create "$tmp/hi.cfg" name=hi$i; done
check "destroyed while its console is open" pty 'wait:tick' 'run:'"$sluice"' destroy hi3' 'wait:hi3: the domain has ended' end -- "$sluice" console hi3
good "several domains by name" list hi1 hi2
for d in hi1 hi2; do "$sluice" destroy $d; done
good "shutdown -a -w of none" shutdown -a -w
good "hosts" hosts
check "  the default is marked" has '^h1 \* ' "$tmp/out"

# The host goes away while somebody looks.
good "create hi" create "$tmp/hi.cfg"
check "the host dies under a console: told, and the terminal is as before" sh -c "timeout 300 python3 tests/system/clipty.py '$tmp/pty' 'wait:tick' \
    'run:kill $host_pid' 'wait:the connection broke off' end -- '$sluice' console hi; test \$? -eq 4"
fails "and then it does not answer" 4 'does not answer' list
[ $bad -eq 0 ] || { tail -n 40 "$log"; cat -v "$tmp/pty" | tail -n 20; }
finish
