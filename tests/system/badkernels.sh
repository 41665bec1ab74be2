# SPDX-License-Identifier: MIT
# badkernels.sh - kernels and configurations that cannot become a domain: one clear line each, in
# one boot, and a healthy domain beside them that does not notice.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/hello || exit 1
good=build/guests/hello
d=$tmp/files
mkdir -p "$d"
cp $good "$d/good"
cp "$kernel" "$d/vmlinuz"
: > "$d/empty"
head -c 100000 /dev/urandom > "$d/garbage"
head -c 3000000 "$kernel" > "$d/truncated-bzimage"
head -c 20000 $good > "$d/truncated-elf"
# One byte in the middle of the payload.
cp "$kernel" "$d/corrupt-xz"
printf '\377\000\377' | dd of="$d/corrupt-xz" bs=1 seek=4000000 conv=notrunc 2>/dev/null
gzip -c $good | head -c -2000 > "$d/truncated-gzip"
gzip -c $good > "$d/corrupt-gzip"
printf 'XXXX' | dd of="$d/corrupt-gzip" bs=1 seek=5000 conv=notrunc 2>/dev/null
cp $good "$d/arm-elf"; printf '\267' | dd of="$d/arm-elf" bs=1 seek=18 conv=notrunc 2>/dev/null
cp $good "$d/elf32"; printf '\001' | dd of="$d/elf32" bs=1 seek=4 conv=notrunc 2>/dev/null
cp /bin/busybox "$d/no-notes"

list=
dom() {     # name, lines of its xl.cfg
    printf '%s\n' "$2" > "$d/$1.cfg"
    list+="\"$1.cfg\", "
}
bad() { dom "$1" "name=\"$1\"
kernel=\"$1\"
memory=${2:-16}"; }
dom healthy 'name="healthy"
kernel="good"
memory=16
extra="forever"
vif=["mac=00:16:3e:00:00:07"]'
bad empty; bad garbage; bad truncated-bzimage; bad truncated-elf; bad corrupt-xz 256
bad truncated-gzip; bad corrupt-gzip; bad arm-elf; bad elf32; bad no-notes; bad missing
dom small 'name="small"
kernel="vmlinuz"
memory=32'
dom huge 'name="huge"
kernel="good"
memory=65536'
dom noramdisk 'name="noramdisk"
kernel="good"
ramdisk="nowhere.img"
memory=16'
dom twin 'name="healthy"
kernel="good"
memory=16'
dom samemac 'name="samemac"
kernel="good"
memory=16
vif=["mac=00:16:3e:00:00:07"]'
dom last 'name="last"
kernel="good"
memory=16'
echo "autostart = [ $list ]" > "$d/host.cfg"

host_start b -machine q35 -m 768 -kernel build/sluice -initrd "$(modules "ip=none" "$d"/*)"
log=$tmp/b.log
wait_for 60 'last: domain [0-9]+ is gone' "$log"
wait_for 60 'corrupt-xz: kernel corrupt-xz: corrupt' "$log"
wait_for 60 'small: memory' "$log"
says() { check "$1" has "^\[[ 0-9.]*\] error: .*$2" "$log"; }
says "an empty file" 'empty: .*file is empty'
says "garbage" 'garbage: .*not a kernel'
says "a truncated bzImage" 'truncated-bzimage: .*truncated'
says "a truncated ELF" 'truncated-elf: .*truncated'
says "a corrupt xz payload" 'corrupt-xz: kernel corrupt-xz: corrupt xz data'
says "a truncated gzip file" 'truncated-gzip: kernel truncated-gzip: truncated: its gzip data'
says "a corrupt gzip file" 'corrupt-gzip: kernel corrupt-gzip: corrupt gzip data'
says "an ELF for another machine" 'arm-elf: .*another machine'
says "a 32-bit ELF" 'elf32: .*not 64-bit'
says "an ELF without Xen notes" 'no-notes: .*no Xen notes'
says "no such kernel" 'missing: kernel "missing": no such file'
says "memory too small for the kernel" 'small: memory=32 is too small for vmlinuz: at least [0-9]+'
says "more memory than the host has" 'huge: not enough memory: 65536 MiB wanted, [0-9]+ MiB free'
says "no such ramdisk" 'noramdisk: ramdisk "nowhere.img": no such file'
says "two domains with one name" 'healthy: a domain of this name exists'
says "two domains with one MAC" 'samemac: vif 0: MAC 00:16:3e:00:00:07 is in use by healthy'
check "one line each, no more" test "$(grep -c '] error: ' "$log")" -eq 16
check "the last of the list ran to its end" has 'last: domain [0-9]+ ended: poweroff' "$log"
check "the healthy one still runs" has 'healthy: domain [0-9]+ started' "$log"
check "  and did not end" test "$(grep -c 'healthy: domain [0-9]* ended' "$log")" -eq 0
[ $bad -eq 0 ] || cat "$log"
finish
