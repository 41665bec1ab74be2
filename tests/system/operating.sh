# SPDX-License-Identifier: MIT
# operating.sh - docs/operating.md, word by word: its commands are run as they stand there, what it shows is what
# comes, and what it names exists.
. "$(dirname "$0")/lib.sh"
make -s --no-print-directory build/cli/sluice-asan build/guests/hello || exit 1
doc=$top/docs/operating.md
export HOME=$tmp/home XDG_CONFIG_HOME= NO_COLOR=1 LC_ALL=C.UTF-8
unset SLUICE_HOST SLUICE_CONFIG
port=$(free_port)
mkdir -p "$HOME/.config" "$tmp/bin" "$tmp/work"
printf '#!/bin/sh\nexec %s --timeout 200 "$@"\n' "$top/build/cli/sluice-asan" > "$tmp/bin/sluice"; chmod +x "$tmp/bin/sluice"
PATH=$tmp/bin:$PATH
# block N HEADING: the Nth block of a section, for a host on this machine
block() {
    awk -v n="$1" -v h="$2" '/^## /{ in_it = index($0, h); k = 0 } /^    /{ if (!b) k++; b = 1; if (in_it && k == n) print substr($0, 5); next } { b = 0 }' $doc |
        sed "s|https://h1.example.net|https://localhost:$port|; s/h1\.example\.net/localhost/"
}
# does N HEADING: the block's commands succeed
does() { block "$@" > "$tmp/script"; [ -s "$tmp/script" ] && (cd "$tmp/work" && bash -eu "$tmp/script" > "$tmp/out" 2>&1) || { cat "$tmp/script" "$tmp/out"; false; }; }
# shows N HEADING: the block's first line is a command ("$ ..."), and it prints the rest; ... at a line's end is more of it
shows() {
    local line
    (cd "$tmp/work" && eval "$(block "$@" | sed -n '1s/^\$ //p')" > "$tmp/out" 2>&1)
    block "$@" | sed 1d > "$tmp/want"
    [ -s "$tmp/want" ] || return 1
    while IFS= read -r line; do
        [ "$line" = ... ] || grep -qF -- "${line%...}" "$tmp/out" || { echo "    | not shown: $line"; sed 's/^/    | /' "$tmp/out"; return 1; }
    done < "$tmp/want"
}

check "keys: one authority, a certificate for the host" does 1 'Keys'
check "  a token for an administrator" does 2 'Keys'
host_start h -machine q35 -m 1024 -smp 4 -kernel build/sluice -append debugexit \
    -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 hostname=h1" "$tmp"/work/api.{crt,key,tokens} build/guests/hello)" \
    -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:443" -device virtio-net-pci,netdev=n0,romfile=
said=$(sed -n 's/^`\(API: HTTPS[^`]*\)`; one that says.*/\1/p' $doc)
check "the host says: $said" wait_for 60 "${said:-nothing}" "$tmp/h.log"
check "what the command needs" does 1 'Name the host'
block 2 'Name the host' > "$HOME/.config/sluice.conf"
up() { local i; for ((i = 0; i < 40; i++)); do sluice info > /dev/null 2>&1 && return 0; sleep 0.5; done; sluice info; return 1; }
check "sluice.conf" up
memory=$(sluice --json info | jq '.memory_pages / 256 | floor')
check "sluice info shows what it shows there" test "$(block 3 'Name the host' | sed "s/total_memory  .*/total_memory           : $memory/" > "$tmp/info"; sluice info > "$tmp/out"; grep -cxFf "$tmp/info" "$tmp/out")" -ge 4
printf '%s\n' 'name = "web"' 'memory = 16' 'bootloader = "pygrub"' 'kernel = "hello"' 'vnc = 1' 'extra = "forever"' 'vcpus = 2' > "$tmp/work/web.cfg"
check "config check tells what is refused" shows 1 'A domain'
sed -i 3d "$tmp/work/web.cfg"
block 2 'A domain' > "$tmp/script"
check "  and the domain is created" sh -c "grep -q '^\$ sluice create -c web.cfg' '$tmp/script' && cd '$tmp/work' && sluice create web.cfg"

# Every verb in the table of a day's work; and those commands that need nothing else.
verbs=$(sluice _complete verbs)
while read -r first second _; do
    [ "$first" = sluice ] || second=$first
    case $second in -H | --json) continue ;; esac
    grep -qx -- "$second" <<< "$verbs" || echo "$first $second"
done < <(sed -n '/^## Day to day/,/^## /p' $doc | grep '^| `' | cut -d'|' -f2 | grep -o '`[^`]*`' | tr -d '`') > "$tmp/unknown"
check "every verb of the table exists" test ! -s "$tmp/unknown"
cat "$tmp/unknown"
for c in "list" "vcpu-pin web all 2-3" "vcpu-pin web 0 - 2" "vcpu-list" "sched-credit -d web -w 512 -c 150" "network-attach web mac=00:16:3e:00:00:07" \
    "pause web" "unpause web" "files" "dmesg" "log" "--json list"; do
    # shellcheck disable=SC2086 # words
    check "sluice $c" sh -c "sluice $c > '$tmp/out' 2>&1 || { cat '$tmp/out'; false; }"
done
check "a vCPU is where it was put" sh -c "sluice vcpu-list web | tr -s ' ' | grep -q '^web [0-9]* 0 .* 2-3 / 2\$'"
wide() { awk '{ if (length($0) > 80) { print "    | " $0; bad = 1 } } END { exit NR < 15 || bad }' "$tmp/wide"; }
for v in list "list -v" vcpu-list "network-list web" "block-list web" sched-credit uptime files hosts; do
    COLUMNS=80 script -qec "sluice $v" /dev/null < /dev/null
done | tr -d '\r' | sed 's/…/./g' > "$tmp/wide"
check "tables fit 80 columns" wide
{ sluice help; for v in $verbs; do sluice help "$v"; done; } > "$tmp/wide"
check "  the help too" wide

# Withdrawing: a client certificate, with the doc's own commands.
(cd "$tmp/work" && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /OU=admin/CN=bob -keyout bob.key -out bob.csr &&
    openssl x509 -req -in bob.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out bob.crt) > /dev/null 2>&1
check "a credential is withdrawn while the host runs" does 3 'Keys'
check "  the host has the new list" wait_for 20 'API: a new list, 2 lines' "$tmp/h.log"
check "  whoever gave it goes on" sluice destroy web
[ $bad -eq 0 ] || tail -n 30 "$tmp/h.log"
finish
