# SPDX-License-Identifier: MIT
# cliconfig.sh - sluice config check over the examples and manual pages of Debian's xen-utils. No QEMU.
. "$(dirname "$0")/lib.sh"
mk/xenutils.sh || { flunk "the packages are fetched"; finish; }
make -s --no-print-directory build/cli/sluice-asan || exit 1
export HOME=$tmp NO_COLOR=1
python3 tests/system/xlexamples.py build/cli/sluice-asan build/deps/xen-utils "$tmp" > "$tmp/report"
status=$?
cat "$tmp/report"
bad=$(grep -c '^not ok' "$tmp/report")
check "the list was worked through" test $status -eq 0
finish
