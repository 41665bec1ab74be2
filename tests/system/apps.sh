# SPDX-License-Identifier: MIT
# apps.sh - a Debian server (systemd, PostgreSQL, MariaDB, Apache) on a network disk does real work: the
# small version of `make test-apps`.
. "$(dirname "$0")/lib.sh"
make --no-print-directory build/apps/root.img build/apps/initrd.gz || { flunk "a Debian root file system"; finish; }
tests/apps/run --small --only sluice oltp mariadb web || bad=1
[ $bad -eq 0 ] || { tail -n 25 build/apps/sluice.log; tail -n 20 build/apps/sluice.out; }
finish
