# SPDX-License-Identifier: MIT
# api.sh - the API on a real host: TLS, credentials and roles, hostile clients, every endpoint.
. "$(dirname "$0")/lib.sh"
pki=$tmp/pki
tests/pki "$pki" || exit 1
creds=(api.crt api.key api.ca api.tokens)

# secure_host NAME PORT DOM0-ARGS FILE...: a host with HTTPS behind that port of the workstation
secure_host() {
    local name=$1 port=$2 args=$3; shift 3
    host_start "$name" -machine q35 -m 512 -kernel build/sluice \
        -initrd "$(modules "ip=10.0.2.77/24,,10.0.2.2 hostname=$name $args" "$@")" \
        -netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-10.0.2.77:443" -device virtio-net-pci,netdev=n0,romfile=
}
# https [curl arguments]: to the host at $port, whose authority is known
https() { curl -s -m 60 --cacert "$pki/api.ca" "$@"; }
cert() { printf -- '--cert %s --key %s' "$pki/$1.crt" "$pki/$1.key"; }
status() { https -o /dev/null -w '%{http_code}' "$@"; }
is() { [ "$1" = "$2" ] || { echo "    | is '$1', not '$2'"; false; }; }
client() { openssl s_client -connect "127.0.0.1:$port" -CAfile "$pki/api.ca" "$@" < /dev/null > "$tmp/s_client" 2>&1; }
refused() { ! "$@" > "$tmp/refused" 2>&1; }

# ------------------------------------------------------------------ hosts without an API
port=$(free_port)
secure_host bare "$port" ""
check "no credentials handed in: no API, and the log says what is missing" \
    wait_for 30 'API: none: no boot module api.crt' "$tmp/bare.log"
wait_for 30 'dom0: ready' "$tmp/bare.log"
check "  nothing answers" refused https "https://127.0.0.1:$port/v1/host"
host_stop "$host_pid"
port=$(free_port)
mkdir "$tmp/part" && cp "$pki/api.crt" "$pki/api.key" "$tmp/part/"
secure_host part "$port" "" "$tmp/part/api.crt" "$tmp/part/api.key"
check "certificate and key, but nobody who may: no API" \
    wait_for 30 'API: none: no boot module api.tokens or api.ca' "$tmp/part.log"
host_stop "$host_pid"
cp "$pki/admin.key" "$tmp/part/api.key"; cp "$pki/api.tokens" "$tmp/part/"
secure_host part2 "$port" "" "$tmp/part/api.crt" "$tmp/part/api.key" "$tmp/part/api.tokens"
check "a key that is not the certificate's: no API" \
    wait_for 30 'error: API: none: api.key: not the key of the certificate' "$tmp/part2.log"
host_stop "$host_pid"
cp "$pki/api.key" "$tmp/part/"; echo "root 1234" >> "$tmp/part/api.tokens"
secure_host part3 "$port" "" "$tmp/part/api.crt" "$tmp/part/api.key" "$tmp/part/api.tokens"
check "a bad line among the tokens: no API, and the line's number" \
    wait_for 30 'error: API: none: api.tokens:3: the role must be' "$tmp/part3.log"
host_stop "$host_pid"

# An RSA certificate, tokens alone.
cp "$pki/rsa.crt" "$tmp/part/api.crt"; cp "$pki/rsa.key" "$tmp/part/api.key"; cp "$pki/api.tokens" "$tmp/part/"
secure_host rsa "$port" "" "$tmp/part/api.crt" "$tmp/part/api.key" "$tmp/part/api.tokens"
wait_for 30 'API: HTTPS, 2 tokens$' "$tmp/rsa.log"
check "a server with an RSA key, and tokens alone" is "$(https -H "Authorization: Bearer $(cat "$pki/admin.token")" \
    "https://127.0.0.1:$port/v1/host" | jq -r .name)" rsa
for g in P-256 X25519 P-384; do check "  group $g" client -tls1_2 -groups $g; done
host_stop "$host_pid"

# ------------------------------------------------------------------ TLS
port=$(free_port)
api=https://127.0.0.1:$port
secure_host api "$port" "" "${creds[@]/#/$pki/}" build/guests/hello build/guests/spin
check "HTTPS with tokens and client certificates" wait_for 30 'API: HTTPS, 2 tokens, client certificates' "$tmp/api.log"
admin=(-H "Authorization: Bearer $(cat "$pki/admin.token")")
reader=(-H "Authorization: Bearer $(cat "$pki/reader.token")")
check "  answers to the administrator's token" is "$(https "${admin[@]}" $api/v1/host | jq -r .name)" api

for v in tls1 tls1_1; do
    check "$v is refused" refused client -$v -cipher 'ALL:@SECLEVEL=0'
done
check "TLS 1.2 by default, ECDHE, ChaCha20" client -tls1_2
check "  " has 'Cipher is ECDHE-ECDSA-CHACHA20-POLY1305' "$tmp/s_client"
check "  and AES-GCM for who insists" client -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256
for c in AES128-SHA256 AES256-GCM-SHA384 ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-AES256-SHA DHE-RSA-AES128-GCM-SHA256 \
         NULL-SHA256 ADH-AES128-SHA256; do
    check "suite $c is refused" refused client -tls1_2 -cipher "$c:@SECLEVEL=0"
done
check "the server's certificate does not pass another authority" refused \
    curl -s -m 20 --cacert "$pki/other.crt" "${admin[@]}" $api/v1/host
check "plain HTTP on this port gets nothing" is "$(curl -s -m 20 "http://127.0.0.1:$port/v1/host" | wc -c)" 0

# ------------------------------------------------------------------ credentials
check "admin's certificate" is "$(status $(cert admin) -X POST $api/v1/domains/none/pause)" 404
check "reader's certificate reads" is "$(status $(cert reader) $api/v1/domains)" 200
check "  and may not act" is "$(status $(cert reader) -X POST $api/v1/domains/none/pause)" 403
check "a good certificate without a role" is "$(status $(cert nobody) $api/v1/host)" 401
check "  with a reader's token beside it" is "$(status $(cert nobody) "${reader[@]}" $api/v1/host)" 200
for c in expired stranger server; do
    check "$c certificate: no connection" refused https $(cert $c) "${admin[@]}" $api/v1/host
done
check "a page of another site does not get far with a browser's certificate" is \
    "$(status $(cert admin) -H 'Origin: https://evil.example' -X POST $api/v1/domains/none/pause)" 401
check "  and one of the host's own does" is \
    "$(status $(cert admin) -H "Origin: $api" -X POST $api/v1/domains/none/pause)" 404
check "no credential" is "$(status $api/v1/host)" 401
check "  says how" has 'WWW-Authenticate: Bearer' <(https -i $api/v1/host)
check "a token that was never given out" is "$(status -H "Authorization: Bearer $(openssl rand -hex 24)" $api/v1/host)" 401
check "the hash of a token is no token" is "$(status -H "Authorization: Bearer $(sed -n 's/^admin \([^ ]*\).*/\1/p' "$pki/api.tokens")" $api/v1/host)" 401
check "half a token" is "$(status -H "Authorization: Bearer $(head -c 20 "$pki/admin.token")" $api/v1/host)" 401
check "a token of 4000 bytes" is "$(status -H "Authorization: Bearer $(head -c 4000 /dev/zero | tr '\0' a)" $api/v1/host)" 401
check "the same as Basic" is "$(status -u "admin:$(cat "$pki/admin.token")" $api/v1/host)" 401
check "a path that is not there does not show without a credential" is "$(status $api/v1/nothing)" 401
check "  and does with one" is "$(status "${reader[@]}" $api/v1/nothing)" 404
cfg=$'name="thief"\nkernel="hello"\nramdisk="api.key"\nmemory=16'
check "no domain gets the host's key as its ramdisk" is \
    "$(https "${admin[@]}" $api/v1/domains -d "$cfg" | jq -r .error)" 'thief: ramdisk "api.key": no such file on this host'

# ------------------------------------------------------------------ every endpoint, as described
python3 tests/system/api_schema.py "$pki" "$port" "$top" > "$tmp/schema" 2>&1
check "openapi.json against the server" test $? -eq 0
cat "$tmp/schema"

# ------------------------------------------------------------------ clients that are hostile, many, at odds
python3 tests/system/api_hostile.py "$pki" "$port" > "$tmp/hostile" 2>&1
check "hostile clients" test $? -eq 0
cat "$tmp/hostile"
check "no panic in the host's log" test "$(grep -acE 'PANIC|BUG' "$tmp/api.log")" -eq 0

host_stop "$host_pid"
finish
