# SPDX-License-Identifier: MIT
#
# parts.sh - what a benchmark's guest does, one function for each bench=NAME.

part_boot() { :; }

part_cpu() {
    /bench cpu "${scale:-4}"
    # Debian's tcc compiles 600 functions; the first run warms the page cache.
    i=0
    while [ $i -lt 600 ]; do
        echo "static int f$i(int a, int b) { int s = 0; for (int i = 0; i < a; i++)" \
            "{ s += b * i + $i; if (s & 1) s ^= a << 3; else s -= b >> 1;" \
            "while (s > b) { s -= a & 7; a = (s + $i) * 3; if (!a) break; }" \
            "switch (s & 3) { case 0: b++; break; case 1: b += a; break; default: s = -s; } }" \
            "return s; }"
        i=$((i + 1))
    done > /tmp/f.c
    echo "int main(void) { return f0(1, 2); }" >> /tmp/f.c
    /bench time warm /bin/tcc -c -o /tmp/f.o /tmp/f.c > /dev/null
    /bench time tcc /bin/tcc -c -o /tmp/f.o /tmp/f.c
}
