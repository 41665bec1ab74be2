# SPDX-License-Identifier: MIT
# clierrors.sh - the operator's command where things are wrong: its own files and options, hosts that
# are down, not to be trusted, old, or answer nonsense. No QEMU: servers of the test's own.
. "$(dirname "$0")/lib.sh"
make -s --no-print-directory build/cli/sluice-asan || exit 1
sluice=$top/build/cli/sluice-asan
export HOME=$tmp/home XDG_CONFIG_HOME= NO_COLOR=1 LC_ALL=C.UTF-8
unset SLUICE_HOST SLUICE_CONFIG
mkdir -p "$HOME/.config"
tests/pki "$tmp/pki" > /dev/null || exit 1
python3 tests/system/fakehost.py "$tmp/pki/api.crt" "$tmp/pki/api.key" > "$tmp/ports" 2> "$tmp/fake.err" &
pids+=($!)
wait_for 20 '^ready' "$tmp/ports" || { flunk "the servers start"; cat "$tmp/fake.err"; finish; }
declare -A port
while read -r kind p; do port[$kind]=$p; done < "$tmp/ports"

# run ARGS...: the command; its status in $rc, output in $tmp/out and $tmp/err
run() { timeout 30 "$sluice" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null; rc=$?; }
# on KIND ARGS...: at that server
on() { local kind=$1; shift; run -H "http://127.0.0.1:${port[$kind]}" --insecure "$@"; }
# expect "what" STATUS PATTERN: of the last run; also, nothing was wrong inside
expect() {
    if [ $rc -eq "$2" ] && { [ -z "$3" ] || has "$3" "$tmp/err"; } && ! has 'AddressSanitizer|LeakSanitizer|runtime error' "$tmp/err"; then
        pass "$1"
    else
        flunk "$1"; echo "    | status $rc, wanted $2 and: $3"; head -c 2000 "$tmp/err" | sed 's/^/    | /'
    fi
}
conf() { printf '%s\n' "$@" > "$HOME/.config/sluice.conf"; chmod 600 "$HOME/.config/sluice.conf"; }

# ------------------------------------------------------------------ command line and files
run; expect "no verb" 2 'a verb is expected'
run frobnicate; expect "an unknown verb" 2 'no verb frobnicate'
run lsit; expect "one that is mistyped" 2 'did you mean list\?'
run migrate; expect "one that only xl has" 2 "xl's verb migrate is not offered"
run net; expect "an abbreviation of several" 2 'may be one of network-list, network-attach'
run --nonsense list; expect "an unknown option" 2 'no option --nonsense'
run list -z; expect "an unknown option of a verb" 2 'usage: sluice list'
run -H; expect "an option without its value" 2 '-H needs a value'
run --timeout never list; expect "a timeout that is none" 2 'seconds, from 1'
run list; expect "no host to ask" 2 'no sluice.conf names a host'
run -H h9 list; expect "a host that nobody knows" 2 'no host is called h9'
conf '[h1]' 'url = https://h1' '[h2]' 'url = https://h2'
run list; expect "two hosts and no default" 2 'sluice.conf knows: h1, h2'
run -H h9 list; expect "a host that is not among them" 2 'sluice.conf knows: h1, h2'
conf 'default = h3' '[h1]' 'url = https://h1'
run list; expect "a default that is not there" 2 'default = h3: no such host'
conf '[h1]' 'uri = https://h1'
run list; expect "a key of sluice.conf that does not exist" 2 "sluice.conf:2: a host has url.* but no key 'uri'"
run --config "$tmp/absent" list; expect "a sluice.conf that is not there" 2 'absent: No such file'
conf '[h1]' 'url = https://h1' 'ca = absent.pem'
run list; expect "a CA file that is not there" 2 'CA file .*absent.pem: No such file'
conf '[h1]' 'url = https://h1' 'token-file = token'
run list; expect "a token file that is not there" 2 'token file .*: No such file'
printf 'two words\n' > "$HOME/.config/token"; chmod 600 "$HOME/.config/token"
run list; expect "a token file with more than a token" 2 'this is no token'
conf '[h1]' 'url = http://h1'
run list; expect "http without saying so" 2 'not encrypted: everybody on the way can read'
conf '[h1]' 'url = http://h1' 'insecure = yes' 'token-file = token'
run list; expect "a token is never sent in the clear" 2 'a credential is not sent unencrypted'
conf '[h1]' 'url = https://h1' 'insecure = yes'
run list; expect "insecure is no way around TLS" 2 'insecure is for http:// hosts'
run -H https://h1 --insecure list; expect "  nor by option" 2 'insecure is for http:// hosts'
run -H 'https://h1/path' list; expect "a URL with a path" 2 'is no such URL'
for v in "domname x" "vcpu-set web many" "vcpu-set web 0" "mem-set web lots" "sched-credit -d web -w 0" \
    "sched-credit -d web -c -1" "vcpu-pin web one 0" "vcpu-pin web 0 two" "vcpu-pin web 0 0-3 5-4" "vcpu-pin web 0 64" \
    "vcpu-pin web 0 nodes:1"; do
    # shellcheck disable=SC2086 # words
    run $v; expect "a value that is none: $v" 2 '(is|there is) no '
done
for v in console shutdown "shutdown -a web" destroy pause "rename web" "vcpu-set web" "vcpu-pin web 0" "vcpu-pin -x web 0 0" mem-set network-list \
    "block-attach web" "block-detach web" "sched-credit -w 3" upload fetch config "config check" domid "top -d x"; do
    # shellcheck disable=SC2086
    run $v; expect "used wrongly: $v" 2 '^sluice: usage: sluice '
done
run create "$tmp/absent.cfg"; expect "create: no such file" 2 'absent.cfg: No such file'
printf 'name = "x"\nkernel = "k"\ncolour = 1\npci = ["0:0.0"]\n' > "$tmp/bad.cfg"
run create "$tmp/bad.cfg"; expect "create: every refused key is told" 2 "bad.cfg:3:1: refused: unknown key 'colour'"
expect "  with what to do" 2 'bad.cfg:4:1: refused: pci is not supported: '
run create "$tmp/bad.cfg" 'vcpus=lots'; expect "create: a bad override" 2 'command line, setting 1: refused: vcpus must be'
run create "$tmp/bad.cfg" '=x'; expect "create: an override that is none" 2 '=x is no setting'
head -c 70000 /dev/zero | tr '\0' '#' > "$tmp/big.cfg"
run create "$tmp/big.cfg"; expect "create: a file that cannot be one" 2 'too large for a configuration'
run --json list -H h9; expect "--json: complaints are JSON too" 2 '^\{"error": "no host is called h9", "exit": 2'

# ------------------------------------------------------------------ hosts that are down or not to be trusted
rm "$HOME/.config/sluice.conf"
run -H "http://127.0.0.1:$(free_port)" --insecure list; expect "a host that is down" 4 'does not answer'
run -H https://does-not-exist.invalid list; expect "a name without an address" 4 'no address for'
on silent --timeout 1 list; expect "a host that is silent" 4 'no answer in time'
tls=https://127.0.0.1:${port[tls]}
run -H "$tls" --ca "$tmp/pki/api.ca" list; expect "the right authority" 0 ''
run -H "https://localhost:${port[tls12]}" --ca "$tmp/pki/api.ca" list; expect "  TLS 1.2, by name" 0 ''
run -H "$tls" list; expect "no authority: the system's does not know it" 4 'not to be trusted'
run -H "$tls" --ca "$tmp/pki/other.crt" list; expect "another authority" 4 'not to be trusted'
run -H "https://localhost.localdomain:${port[tls]}" --ca "$tmp/pki/api.ca" list
if has 'no address' "$tmp/err"; then pass "another name (not resolved here)"; else expect "another name" 4 'not to be trusted'; fi
run -H "$tls" --ca "$tmp/pki/api.key" list; expect "a CA file that holds none" 2 'cannot use the CA file'
run -H "$tls" --ca "$tmp/pki/api.ca" --cert "$tmp/pki/admin.crt" --key "$tmp/pki/reader.key" list
expect "a certificate with another's key" 2 'cannot use the client certificate'
run -H "https://127.0.0.1:${port[good]}" list; expect "TLS to a plain port" 4 'no TLS connection'
run -H "http://127.0.0.1:${port[tls]}" --insecure list; expect "plain to a TLS port" 4 'connection broke off|does not answer'

# ------------------------------------------------------------------ answers
on good list; expect "a good answer" 0 ''
check "  the table" test "$(head -n 2 "$tmp/out" | tr -s ' ' | tail -n 1)" = 'web 1 128 1 r----- 1.5'
on good list wbe; expect "a domain that is not there" 3 'did you mean web\?'
on good destroy mail; expect "  what there is" 3 'there are: web, '
on good dmesg; expect "a path that the host does not know" 6 "does not offer the hypervisor's log"
on good mem-set web 64; expect "  of a domain that is there" 6 "does not offer changing a domain's memory"
on good mem-set webb 64; expect "  of one that is not" 3 "no domain webb"
on oldhost vcpu-list web; expect "405" 6 'does not offer|no domain'
on good events -n 2; expect "events" 0 ''
check "  without control characters" grep -q 'crashed?\[31m' "$tmp/out"
on good events; expect "  and the stream's end" 4 'ended the stream'
on good events -n 1 db; check "  of one domain" test "$(wc -l < "$tmp/out")" = 1
on badevents events; expect "an event that is no object" 7 'no JSON object'
on longevent events; expect "an event without an end" 7 'more than 65536 bytes'
on nostream console -o web; expect "a console that is no stream" 6 'consoles as a stream'
on nostream console -p web; check "  can be printed" grep -q hello "$tmp/out"
on huge list; expect "20 MB of domains" 7 'larger than 16 MiB'
on endless list; expect "an answer without an end" 7 'larger than 16 MiB'
on deep list; expect "a million brackets" 7 'is no JSON'
for k in html empty overflow twice badutf8; do on $k list; expect "no JSON: $k" 7 'is no JSON'; done
on null list; expect "null" 7 'is no (list|JSON)'
on object list; expect "an object for a list" 7 'is no list'
on array info; expect "a list for an object" 7 'is no object'
for k in numbers badname nostate; do on $k list; expect "no domains: $k" 7 'the answer has a domain '; done
on oddtypes list; expect "members of other types are left out" 0 ''
on bigints list -v; expect "numbers that cannot be" 0 ''
on bigints uptime; expect "  times that cannot be" 7 'is no object'
on escape list; expect "names that steer terminals" 0 ''
check "  are shown without" sh -c "! LC_ALL=C grep -q '[[:cntrl:]]' '$tmp/out'"
on escerror list; expect "  and complaints" 1 '^sluice: .*bad\?\[31m thing\?\?second line$'
on html404 list; expect "another kind of server" 6 'is this the address of a Sluice host'
on noreason list; expect "an error without a reason" 7 'status 500 and no reason'
on unauthorized list; expect "no credential" 5 'wants a credential'
on forbidden list; expect "a role that is too low" 5 'not allowed: only for administrators'
on busy list; expect "too many requests" 1 'wait a little'
on redirect list; expect "redirections are not followed" 7 'status 302'
on cuthead list; expect "an answer that ends in its head" 7 'is no JSON'
for k in cut cutchunk nothing; do on $k list; expect "an answer that breaks off: $k" 4 'broke off'; done
on garbage list; expect "no HTTP" 7 'does not speak HTTP'
on escape top -b -i 1; expect "top: an answer of another kind" 7 'is no object'

# ------------------------------------------------------------------ --json and scripts
on good --json list; check "--json list is the host's answer" test "$(jq -r '.[0].name' "$tmp/out")" = web
on good list --json -l web; check "  of one domain, options anywhere" test "$(jq -r '.[0].id' "$tmp/out")" = 1
on good --json info; check "  info" test "$(jq -r .name "$tmp/out")" = fake
on good --json uptime web; check "  uptime" jq -e '.[0].name == "web"' "$tmp/out"
on good --json sched-credit -d web; check "  sched-credit" jq -e '.name == "web"' "$tmp/out"
on good --json events -n 1; check "  events, a line each" jq -e '.event == "created"' "$tmp/out"
on good --json version; check "  version" jq -e '.host == "9.9"' "$tmp/out"
on good uptime; check "uptime of the host as xl has it" grep -q '1 day, 1:01:01' "$tmp/out"
on good li; expect "an abbreviation of one verb" 0 ''
on good domid db; check "domid" test "$(cat "$tmp/out")" = 2
on good domname 12; check "domname" grep -q '^a-domain-with' "$tmp/out"
on good domname 99; expect "  that is not there" 3 'no domain has the id 99'
on good top -b -i 2 -d 1; check "top prints a line for each domain, twice" test "$(grep -c 'web  ' "$tmp/out")" = 2
timeout 30 "$sluice" -H "http://127.0.0.1:${port[good]}" --insecure list > /dev/full 2> "$tmp/err"; rc=$?
expect "a full disk is told" 1 'standard output: No space'

# A terminal of 40 columns: every line fits, and the long name is cut.
tty() { local cols=$1; shift; COLUMNS=$cols script -qec "$sluice -H http://127.0.0.1:${port[good]} --insecure $*" /dev/null < /dev/null | tr -d '\r'; }
tty 40 list -v > "$tmp/tty"
check "tables fit the terminal" test "$(awk '{ n = length($0); if (n > m) m = n } END { print m }' "$tmp/tty")" -le 40
check "  by cutting names" grep -q '…' "$tmp/tty"
check "  but never for scripts" sh -c "'$sluice' -H http://127.0.0.1:${port[good]} --insecure list | grep -q sixty-three"
check "NO_COLOR is respected" sh -c "! grep -q '$(printf '\033')' '$tmp/tty'"
NO_COLOR='' TERM=xterm tty 80 list > "$tmp/tty"
check "  and without it titles are bold" grep -q "$(printf '\033')\[1mName" "$tmp/tty"

# ------------------------------------------------------------------ what is written about it
verbs=$("$sluice" _complete verbs)
for v in $verbs; do grep -q "^\.It Cm $v" toolstack/cli/sluice.1 || echo "$v"; done > "$tmp/missing"
check "every verb stands in the manual page" test ! -s "$tmp/missing"
cat "$tmp/missing"
for v in $verbs; do "$sluice" help "$v" | grep -q "^sluice $v" || echo "$v"; done > "$tmp/missing"
check "  and has help" test ! -s "$tmp/missing"
check "the manual pages are well-formed" sh -c "mandoc -T lint -W warning toolstack/cli/sluice.1 toolstack/cli/sluice.conf.5 > '$tmp/lint' 2>&1 || { cat '$tmp/lint'; false; }"
check "make install puts everything in place" sh -c "make -s --no-print-directory install DESTDIR='$tmp/root' PREFIX=/usr > /dev/null &&
    '$tmp/root/usr/bin/sluice' --version | grep -q '^sluice [0-9]' && test -s '$tmp/root/usr/share/man/man5/sluice.conf.5'"
cat > "$tmp/complete.sh" <<'EOF'
. /usr/share/bash-completion/bash_completion
PATH=$1/usr/bin:$PATH
. "$1/usr/share/bash-completion/completions/sluice"
try() { COMP_WORDS=(sluice "$@"); COMP_CWORD=$#; COMP_LINE="sluice $*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=(); _sluice; echo "${COMPREPLY[*]}"; }
try sched
try -H "$2" --insecure shutdown d
try help vcpu-s
cd "$3" && try create xl
try create -
good="-H $2 --insecure"
try $good vcpu-pin ""
try $good vcpu-pin db ""
try $good vcpu-pin db 0 ""
try $good destroy db ""
try $good vcpu-list db w
try $good block-detach db xvd
try $good network-detach db ""
try shutdown -
EOF
: > "$tmp/xl.cfg"
bash "$tmp/complete.sh" "$tmp/root" "http://127.0.0.1:${port[good]}" "$tmp" > "$tmp/completed" 2>&1
check "completion: verbs, domains, files, options" sh -c "tr '\n' '|' < '$tmp/completed' | grep -q '^sched-credit|db|vcpu-set|xl.cfg|.*--json'"
check "  of what a domain has" sh -c "tail -n 8 '$tmp/completed' | tr '\n' '|' | grep -q '^web [^|]*db[^|]*|all 0 1|||web|xvda xvdb|00:16:3e:00:00:07|-a -w -H'"
on good vcpu-list; expect "vcpu-list while a domain ends" 0 ''
check "  shows the others" test "$(awk 'NR > 1 { print $1 }' "$tmp/out" | uniq | tr '\n' ' ' | cut -c 1-4)$(grep -c old "$tmp/out")$(awk 'END { print NR }' "$tmp/out")$(wc -c < "$tmp/err")" = 'web 090'
on good vcpu-list old; expect "  named it is an error" 3 'old'
on good --json vcpu-list db; expect "vcpu-list as JSON" 0 ''
on good vcpu-list db; expect "vcpu-list" 0 ''
check "  shows what old and new hosts say" test "$(awk 'NR > 1 { print $5, $7, $8, $9 }' "$tmp/out" | tr '\n' ';')" = '-b- 0-1,3  ;--- all / 63;'
[ $bad -eq 0 ] || cat "$tmp/completed"
finish
