# SPDX-License-Identifier: MIT
# formats.sh - one mini guest in every form that a kernel file may have. Debian's own bzImages, xz
# and lz4, run in guest.sh.
. "$(dirname "$0")/lib.sh"

make -s --no-print-directory build/guests/hello || exit 1
elf=build/guests/hello
gzip -c $elf > "$tmp/k.gz"
zstd -q -c $elf > "$tmp/k.zst"
xz -c --check=crc32 --x86 --lzma2 $elf > "$tmp/k.xz"
lz4 -q -l -c $elf > "$tmp/k.lz4"

cat > "$tmp/bz.py" <<'PY'
# bz.py PAYLOAD SIZE-OF-ELF: a bzImage around a payload, with the size that kernels append.
import struct, sys
p = open(sys.argv[1], "rb").read() + struct.pack("<I", int(sys.argv[2]))
h = bytearray(5 * 512 + 0x80)
h[0x1f1], h[0x1fe:0x200], h[0x202:0x206] = 4, b"\x55\xaa", b"HdrS"
h[0x206:0x208] = struct.pack("<H", 0x20f)
h[0x248:0x250] = struct.pack("<II", 0x80, len(p))
sys.stdout.buffer.write(bytes(h) + p)
PY
runs() {    # what, kernel, what it says on its console
    tests/run-guest --timeout 60 --memory 16 --log "$tmp/log" "$2" > "$tmp/out" 2> "$tmp/err"
    local rc=$?
    if [ $rc -eq 0 ] && { [ -z "$3" ] || has "$3" "$tmp/out"; }; then pass "$1"; else flunk "$1"; echo "# status $rc"; tail -n 5 "$tmp/log"; fi
}
says="hello: tick 3"
runs "ELF" $elf "$says"
for f in gz zst xz lz4; do
    runs "ELF in $f" "$tmp/k.$f" "$says"
    python3 "$tmp/bz.py" "$tmp/k.$f" "$(stat -c %s $elf)" > "$tmp/bz.$f"
    runs "bzImage with $f" "$tmp/bz.$f" "$says"
done
python3 "$tmp/bz.py" $elf 0 > "$tmp/bz.elf"
runs "bzImage, not compressed" "$tmp/bz.elf" "$says"

gcc -c -o "$tmp/old.o" tests/system/data/oldguest.S &&
    ld -Ttext=0xffffffff80001000 -e _start --build-id=none -z noexecstack -o "$tmp/old" "$tmp/old.o"
check "an image without notes: __xen_guest, hypercall page by number" test -s "$tmp/old"
gzip -c "$tmp/old" > "$tmp/old.gz"
for f in old old.gz; do runs "  it finds all in place ($f)" "$tmp/$f" ''; done
finish
