#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""tcpoutside.py ADDRESS PORT - the peer of a guest's test-tcp: sends what its server would, and checks what it gets."""
import socket, sys, threading
M = (1 << 64) - 1
def stream(seed, total):
    out = bytearray()
    for n in range(total // 8):
        x = (n * 0x9e3779b97f4a7c15 + seed) & M
        x ^= x >> 29; x = x * 0xbf58476d1ce4e5b9 & M; x ^= x >> 32
        out += x.to_bytes(8, "little")
    return bytes(out)
total = 4 << 20
up, down = stream(1, total), stream(2, total)
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(1)
c, _ = s.accept()
threading.Thread(target=lambda: (c.sendall(down), c.shutdown(socket.SHUT_WR)), daemon=True).start()
got = b""
while True:
    d = c.recv(65536)
    if not d: break
    got += d
print("outside:", "all right" if got == up else f"wrong, {len(got)} bytes", flush=True)
