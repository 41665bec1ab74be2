# SPDX-License-Identifier: MIT
"""
wirepeer.py SOCKET BYTE HOLD - what is at the other end of a host's network card (QEMU's -netdev stream over a Unix socket):

  00:16:3e:00:BYTE:fe   sends every frame back
  00:16:3e:00:BYTE:fd   checks what `frames` guests send (tests/guests/frames): each byte, checksums, that cut TCP frames are
                        whole and in order; gives credits and tallies as a sink does

While the file HOLD exists it reads nothing, so that the card cannot send. Prints now and then how many frames there were.
"""
import os
import select
import socket
import struct
import sys
import time

MAGIC, MSS = 0x736c6963, 1448
DATA_FULL, DATA, PING, PONG, CREDIT, END, TALLY = range(1, 8)
MASK = (1 << 64) - 1

path, byte, hold = sys.argv[1], int(sys.argv[2]), sys.argv[3]
me = bytes([0, 0x16, 0x3e, 0, byte])
frames = bad = 0
sources = {}


def csum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return s


def word(seq, n):
    return struct.pack("<Q", (seq * 0x9e3779b97f4a7c15 + n * 0xbf58476d1ce4e5b9) & MASK)


def right(data, seq, everything):
    """Is this what a source with that number puts behind its message?"""
    if everything:
        want = b"".join(word(seq, n) for n in range((len(data) + 7) // 8))
        return data == want[:len(data)]
    for page in range(0, len(data), 4096):
        here = min(len(data) - page, 4096)
        places = [page] if here >= 8 else []
        if here >= 16:
            places.append(page + here // 8 * 8 - 8)
        if any(data[at:at + 8] != word(seq, at // 8) for at in places):
            return False
    return True


class Source:
    def __init__(self):
        self.next = self.good = self.bad = self.lost = self.owed = 0
        self.parts = b""


def reply(f, kind, seq=0, value=0):
    ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 50, 0, 0, 64, 17, 0, f[30:34], f[26:30]))
    struct.pack_into("!H", ip, 10, ~csum(bytes(ip)) & 0xffff)
    out = f[6:12] + f[:6] + b"\x08\0" + bytes(ip) + struct.pack("!HHHH", 9, 9, 30, 0)
    out += struct.pack("<IHHII", MAGIC, kind, 0, seq, value)
    send(out.ljust(64, b"\0"))


def complain(what, f):
    global bad
    bad += 1
    if bad < 20:
        print("peer %d: %s: %d bytes %s" % (byte, what, len(f), f[:80].hex()), flush=True)
    return False


def message(f, s, head, data):
    """A whole frame to the sink: its headers were right."""
    magic, kind, window, seq, value = struct.unpack_from("<IHHII", data)
    if magic != MAGIC:
        return
    if kind == PING:
        reply(f, PONG, seq)
    elif kind == END:
        reply(f, TALLY, s.bad + s.lost + value - s.next, s.good)
    elif kind in (DATA_FULL, DATA):
        if seq == 0:
            s.__init__()
        ok = seq >= s.next and right(data[16:], seq, kind == DATA_FULL)
        if not ok:
            complain("frame %d, after %d, or its bytes" % (seq, s.next), head + data)
        s.lost += max(seq - s.next, 0)
        s.next = seq + 1
        s.good += ok
        s.bad += not ok
        s.owed += 1
        if s.owed >= max(window // 2, 1):
            s.owed = 0
            reply(f, CREDIT, s.next)


def sink(f):
    s = sources.setdefault(f[6:12], Source())
    length = struct.unpack_from("!H", f, 16)[0]
    if csum(f[14:34]) != 0xffff or length > len(f) - 14:
        return complain("IP header", f)
    if f[23] == 17:
        message(f, s, f[:42], f[42:14 + length])
        return True
    pseudo = f[26:34] + struct.pack("!HH", 6, length - 20)
    if csum(pseudo + f[34:14 + length]) != 0xffff:
        return complain("TCP checksum", f)
    at = struct.unpack_from("!I", f, 38)[0]
    if at != len(s.parts):
        s.parts = b""
        return complain("segment at %d, not at %d" % (at, len(s.parts)), f)
    s.parts += f[54:14 + length]
    if length - 40 < MSS:
        data, s.parts = s.parts, b""
        message(f, s, f[:54], data)
    return True


def receive(f):
    global frames
    frames += 1
    if f[:5] != me or f[12:14] != b"\x08\0":
        return
    if f[5] == 0xfe:
        send(f[6:12] + f[:6] + f[12:])
    elif f[5] == 0xfd:
        sink(f)


out = b""


def send(f):
    global out
    out += struct.pack("!I", len(f)) + f


listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path)
listener.listen(1)
print("peer %d: ready" % byte, flush=True)
s, _ = listener.accept()
s.setblocking(False)
buf, said, when = b"", -1, 0
while True:
    if os.path.exists(hold):
        time.sleep(0.05)
        continue
    r, w, _ = select.select([s], [s] if out else [], [], 0.3)
    if w:
        try:
            out = out[s.send(out):]
        except BlockingIOError:
            pass
    if frames != said and time.monotonic() - when > 0.2:
        said, when = frames, time.monotonic()
        print("peer %d: %d frames, %d bad" % (byte, frames, bad), flush=True)
    if not r:
        continue
    try:
        piece = s.recv(65536)
    except BlockingIOError:
        continue
    except ConnectionError:
        break
    if not piece:
        break
    buf += piece
    at = 0
    while len(buf) - at >= 4:
        n = struct.unpack_from("!I", buf, at)[0]
        if len(buf) - at - 4 < n:
            break
        receive(buf[at + 4:at + 4 + n])
        at += 4 + n
    buf = buf[at:]
