#!/bin/bash
# SPDX-License-Identifier: MIT
#
# work.sh - runs in the server: the loads that tests/apps/run asked for on the kernel's command line
# (apps=oltp,queries,...), each between two looks at the host's counters. Checks results itself.
set -u
apps= ip= scale=1 go= window=
for w in $(cat /proc/cmdline); do
    case $w in
    apps=*|ip=*|scale=*|go=*|window=*) declare "${w%%=*}=${w#*=}" ;;
    esac
done
nic=$(ls /sys/class/net | grep -v '^lo$' | head -n 1)
ip link set lo up
[ -z "$nic" ] || { ip link set "$nic" up; ip addr add "$ip/24" dev "$nic"; ip route add default via 10.0.2.2; }

# Busy instructions under -icount: time that passed less time that the machine idled. A domain asks the
# host, which knows of all domains; a native machine is its own host. Beside it, what its kernel counts.
counters() {
    local kernel
    kernel=$(awk '$1 == "ctxt" || $1 == "intr" || $1 == "softirq" { printf ", \"linux %s\": %d", $1, $2 }' /proc/stat)
    if [ -e /sys/hypervisor/type ]; then
        curl -s "http://10.0.2.254/v1/counters" | sed "s/}\$/$kernel}/"
    else
        read -r up _ < /proc/uptime
        awk -v up="$up" -v k="$kernel" '$1 == "cpu" { printf "{\"uptime_ns\": %d, \"idle_ns\": %d%s}", up * 1e9, ($5 + $6) * 1e7, k }' /proc/stat
    fi
}

# measure NAME OPERATIONS COMMAND...
measure() {
    local name=$1 n=$2 rc before after
    shift 2
    sync
    echo "APPS $name begins"
    before=$(counters)
    "$@" > "/run/$name.out" 2>&1; rc=$?
    after=$(counters)
    [ $rc -eq 0 ] || sed 's/^/APPS-LOG /' "/run/$name.out" | tail -n 20
    echo "APPS $name n=$n rc=$rc"
    echo "BEFORE $before"
    echo "AFTER $after"
}
# With go=HOST:PORT/PATH all of that begins when this page is there, and with window=SECONDS it is done for so
# long: window NAME COUNT COMMAND..., where COMMAND takes that time and COUNT prints how many were done.
await_go() {
    [ -n "$go" ] || return
    echo "APPS ready"
    until curl -sf "http://$go" > /dev/null; do sleep 0.2; done
}
window() {
    local name=$1 count=$2 first last rc before after start end
    shift 2
    sync
    before=$(counters); curl -s "http://10.0.2.254/v1/domains" > /run/domains.before
    first=$($count); start=$(date +%s%N)
    "$@" > "/run/$name.out" 2>&1; rc=$?
    last=$($count); end=$(date +%s%N)
    curl -s "http://10.0.2.254/v1/domains" > /run/domains.after; after=$(counters)
    echo "APPS $name n=$((last - first)) rc=$rc"
    echo "BEFORE $before"
    echo "AFTER $after"
    echo "WINDOW $((end - start)) ns"
    echo "DOMAINS $(cat /run/domains.before)"
    echo "DOMAINS $(cat /run/domains.after)"
}
verify() {  # what, is, should be
    if [ "$2" = "$3" ]; then echo "APPS verified $1: $2"; else echo "APPS WRONG $1: is '$2', not '$3'"; fi
}
psql_value() { runuser -u postgres -- psql -qAt -c "$1" bench; }

prepare_pg() {
    runuser -u postgres -- createdb bench && runuser -u postgres -- pgbench -q -i -s 2 bench > /run/pginit.out 2>&1 ||
        sed 's/^/APPS-LOG /' /run/pginit.out
}
pgbench_done() { sed -n 's|^number of transactions actually processed: \([0-9]*\).*|\1|p' /run/oltp.out 2> /dev/null | grep . || echo 0; }
do_oltp() {
    local t=$((100 * scale))
    if [ -n "$window" ]; then
        window oltp pgbench_done runuser -u postgres -- pgbench -n -c 4 -T "$window" bench
        verify "history rows" "$(psql_value 'select count(*) from pgbench_history')" "$(pgbench_done)"
        return
    fi
    measure oltp $((4 * t)) runuser -u postgres -- pgbench -n -c 4 -t $t bench
    verify "history rows" "$(psql_value 'select count(*) from pgbench_history')" $((4 * t))
    verify "balances" "$(psql_value 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)
        and (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)
        and (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history)')" t
}
do_queries() {
    local t=$((500 * scale))
    measure queries $((4 * t)) runuser -u postgres -- pgbench -n -S -c 4 -t $t bench
}
do_mariadb() {
    local n=$((400 * scale))
    mariadb -e "create database bench; use bench;
        create table account (id int primary key auto_increment, owner varchar(40), balance int, key (owner)) engine=innodb;
        insert into account (owner, balance) select concat('owner ', seq), 1000 from seq_1_to_10000;
        create table log (id int primary key auto_increment, what varchar(80)) engine=innodb"
    measure mariadb $n mariadb-slap --create-schema=bench --no-drop --concurrency=4 --iterations=1 --number-of-queries=$n \
        --delimiter=';' --query="select sum(balance) from account where id between 100 and 400;update account set balance = balance + 1 where id = 77;insert into log (what) values ('a line of the log, as servers write them');select owner from account where owner = 'owner 4711'"
    # Four statements a query list: each client runs its share of lists.
    verify "MariaDB rows" "$(mariadb -N -e 'select (select count(*) from bench.log) = (select balance - 1000 from bench.account where id = 77)')" 1
    verify "MariaDB sum" "$(mariadb -N -e 'select sum(balance) - (select count(*) from bench.log) from bench.account')" 10000000
}
do_build() {
    local i
    { for ((i = 0; i < 200 * scale; i++)); do
        echo "static int f$i(int a, int b) { int s = 0; for (int i = 0; i < a; i++) { s += b * i + $i; if (s & 1) s ^= a << 3; else s -= b >> 1;
              while (s > b) { s -= (a & 7) + 1; a = (s + $i) & 1023; if (!a) break; } } return s; }"
    done
    echo "#include <stdio.h>"
    echo "int main(void) { unsigned s = 0;"
    for ((i = 0; i < 200 * scale; i++)); do echo "s = s * 31 + (unsigned)f$i($i % 50, 7);"; done
    echo 'printf("%u\n", s); return 0; }'; } > /run/f.c
    measure build 1 gcc -O2 -o /run/f /run/f.c
    verify "program runs" "$(/run/f | grep -cE '^[0-9]+$')" 1
}
# The client is outside: it comes when it reads this line, and is done when the log says so.
web_wait() {
    echo "APPS web is ready" > /dev/console
    until [ "$(pages_served)" -ge "$1" ]; do sleep 0.2; done
}
pages_served() { grep -c 'GET /page.html' /var/log/apache2/access.log; }
prepare_web() { head -c 6000 /dev/urandom | base64 -w 76 | head -c 6144 > /var/www/html/page.html; }
do_web() {
    local n=$((1000 * scale))
    if [ -n "$window" ]; then
        web_wait 100        # the client is at it
        window web pages_served sleep "$window"
        # The client shall find nothing wrong: it goes first.
        until [ "$(pages_served)" = "${seen:-}" ]; do seen=$(pages_served); sleep 1; done
        return
    fi
    measure web $n web_wait $n
    verify "pages served" "$(grep -cE 'GET /page.html HTTP/1\.[01]" 200 ' /var/log/apache2/access.log)" $n
}

echo "APPS up"
case ,$apps, in *,oltp,*|*,queries,*) prepare_pg ;; esac
case ,$apps, in *,web,*) prepare_web ;; esac
await_go
for a in ${apps//,/ }; do "do_$a"; done
echo "APPS end"
systemctl poweroff
