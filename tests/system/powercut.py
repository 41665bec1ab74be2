# SPDX-License-Identifier: MIT
"""
powercut.py IMAGE LOG EPOCH - does the image hold every write that blkverify saw flushed?

LOG is the guest's console: "blkverify: flushed N" says that the writes numbered up to N were answered before
a flush was sent, and that the flush was answered. Each sector of the image says which write put it
there (tests/guests/blkverify/pattern.h). A later write than the one that is owed is fine; an
earlier one, or a sector that is torn or of another run, is not.

Prints a line; the exit status is 0 when nothing is lost, 1 when something is, 2 when there was nothing to lose.
"""
import re
import struct
import sys

M = (1 << 64) - 1
MAGIC = 0x566B6C4200000000
SECTORS, UNIT = 128, 8                  # of a place; lengths are multiples of UNIT


def pattern_hash(magic, seq, sector):
    h = ((magic ^ seq * 0x9E3779B97F4A7C15 ^ sector * 0xC2B2AE3D27D4EB4F) & M) * 0xFF51AFD7ED558CCD & M
    return h ^ h >> 32


def length(epoch, seq):
    return UNIT * (pattern_hash(epoch, seq, 0) % 16 + 1)


def owed(places, epoch, flushed):
    """For each place and unit of it: the last write, of those that were flushed, which covered it."""
    need = [[0] * (SECTORS // UNIT) for _ in range(places)]
    for seq in range(1, flushed + 1):
        units = need[seq % places]
        for u in range(length(epoch, seq) // UNIT):
            units[u] = seq
    return need


def main(image, log, epoch):
    text = open(log, "rb").read()
    flushed = [int(n) for n in re.findall(rb"blkverify: flushed (\d+)\r?\n", text)]
    last = max(flushed, default=0)
    if not last:
        print("nothing was flushed")
        return 2
    data = open(image, "rb").read()
    magic, lost, newest = MAGIC | epoch, [], 0
    need = owed(len(data) // 512 // SECTORS, epoch, last)
    for place, units in enumerate(need):
        for u, least in enumerate(units):
            for sector in range(place * SECTORS + u * UNIT, place * SECTORS + (u + 1) * UNIT):
                at = sector * 512
                m, seq, where, h = struct.unpack_from("<4Q", data, at)
                if not (m or seq or where or h) and not least:
                    continue
                end, = struct.unpack_from("<Q", data, at + 504)
                good = m == magic and where == sector and h == end == pattern_hash(magic, seq, sector)
                newest = max(newest, seq if good else 0)
                if not good or seq < least:
                    lost.append((sector, least, seq if good else "nothing of this run"))
    print("%d flushes, up to write %d; the image holds writes up to %d; %d sectors lost%s" % (
        len(flushed), last, newest, len(lost),
        ": sector %d owes write %d, holds %s" % lost[0] if lost else ""))
    return 1 if lost else 0


sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
