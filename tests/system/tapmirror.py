# SPDX-License-Identifier: MIT
"""
tapmirror.py INTERFACE MAC - sends every frame that comes to MAC out of a tap device back through it, whole: segments of up to 64 KiB
and blank checksums stay as they are. Prints now and then how many there were, and the longest. Needs root.
"""
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, SO_RCVBUFFORCE, VNET_HDR = 263, 15, 33, 10

interface, mac = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", ""))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
s.bind((interface, 0))
print("mirror: ready", flush=True)
frames, longest, when = 0, 0, 0
while True:
    f = s.recv(70000)
    head, f = f[:VNET_HDR], f[VNET_HDR:]
    if f[:6] != mac:
        continue
    s.send(head + f[6:12] + f[:6] + f[12:])
    frames += 1
    if len(f) > longest or time.monotonic() - when > 0.2:
        longest = max(longest, len(f))
        when = time.monotonic()
        print("mirror: %d frames, longest %d" % (frames, longest), flush=True)
