#!/bin/bash
# SPDX-License-Identifier: MIT
#
# check.sh - what keeps the tree in order: each header compiles by itself, parts include only what they
# may, each source file says its licence. Prints a line for each breach.
set -u
cd "$(dirname "$0")/.."
bad=0
say() { echo "check: $*"; bad=$((bad + 1)); }

# Who may include whom (besides itself): a part, then what its files may name.
arrows() {
    case $1 in
    include) echo '' ;;
    lib) echo 'include' ;;
    hypervisor) echo 'lib include' ;;
    runtime) echo 'lib include' ;;
    netback|blkback|netfront|blkfront|toolstack) echo 'runtime lib include' ;;
    dom0) echo 'netback blkback toolstack runtime lib include' ;;
    *) echo any ;;
    esac
}

for part in lib hypervisor runtime netback netfront blkback blkfront toolstack dom0; do
    allowed=$(arrows $part)
    while IFS=: read -r file line path; do
        first=${path%%/*}
        case $path in */*) ;; *) continue ;; esac
        case " lib runtime netback blkback netfront blkfront toolstack dom0 hypervisor tests " in
        *" $first "*) ;;
        *) continue ;;          # hypervisor's own folders, <xen/...>, third parties
        esac
        # The operator's command is a program of its own.
        case $file:$path in
        toolstack/cli/*:toolstack/cli/* | toolstack/cli/*:lib/*) continue ;;
        toolstack/cli/* | *:toolstack/cli/*) say "$file:$line: may not include $path"; continue ;;
        esac
        [ "$first" = $part ] && continue
        case " $allowed " in
        *" $first "*) ;;
        *) say "$file:$line: $part may not include $path" ;;
        esac
    done < <(grep -rnoE '^#include "[^"]+"' --include='*.[chS]' $part |
             sed -E 's/^([^:]+):([0-9]+):#include "([^"]+)"/\1:\2:\3/')
done

for f in $(git ls-files '*.c' '*.h' '*.S' '*.sh' '*.mk' '*.py' Makefile tests/run tests/run-guest); do
    head -n 5 "$f" | grep -q 'SPDX-License-Identifier: MIT' || say "$f: no SPDX line"
done

flags=(-std=gnu11 -O0 -fsyntax-only -ffreestanding -nostdinc -isystem "$(gcc -print-file-name=include)"
       -isystem build/include -I. -Iinclude -mgeneral-regs-only -Wall -Wextra -Werror -Wno-unused-parameter
       -Wno-unused-function -Wno-pragma-once-outside-header -DSLUICE_DEBUG=1)
alone() {   # header, more flags...
    local h=$1 out; shift
    out=$(echo "#include \"$h\"" | gcc "${flags[@]}" "$@" -x c - 2>&1) || say "$h does not compile by itself: $(echo "$out" | grep -m 1 error)"
}
for h in $(git ls-files 'include/*.h' 'lib/*.h'); do alone "$h"; done
for h in $(git ls-files 'hypervisor/*.h'); do
    alone "$h" -fpie -Ihypervisor -D__SLUICE_HYPERVISOR__
done
for h in $(git ls-files 'runtime/*.h' 'netback/*.h' 'netfront/*.h' 'blkback/*.h' 'blkfront/*.h' 'toolstack/*.h' 'dom0/*.h' | grep -v -e runtime/libc -e toolstack/cli/ -e toolstack/net/arch -e lwipopts -e builder/xz -e toolstack/net/internal -e netfront/linux); do
    alone "$h" -Iruntime/libc -D__SLUICE_GUEST__ -isystem build/deps/zlib -isystem build/deps/libzstd/lib \
        -isystem build/deps/xz-utils/src/liblzma/api -isystem build/deps/mbedtls/include -DZ_SOLO
done
flags=(-std=gnu11 -D_GNU_SOURCE -fsyntax-only -isystem build/include -I. -Iinclude -Wall -Wextra -Werror -DSLUICE_HOST=1)
for h in $(git ls-files 'toolstack/cli/*.h'); do alone "$h"; done
[ $bad -eq 0 ] && echo "check: headers, include arrows and licences are in order"
exit $((bad > 0))
