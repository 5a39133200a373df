# SPDX-License-Identifier: Apache-2.0
"""meter: what a subject says of itself, read from the file that both have mapped: its gaps and its work.

Reading never stops or slows the subject: it is memory of our own. The layout is that of subject.c.
"""
import mmap
import os
import struct

HEAD = struct.Struct("<4Q")  # ready, looks, operations, gaps ever
GAP = struct.Struct("<2Q")   # end, length; ns of CLOCK_MONOTONIC
RING = 32768  # as in subject.c
SIZE = HEAD.size + RING * GAP.size
FLOOR_MS = 0.2  # shorter gaps are not told
SHARED_NS = 300000  # what may be missing of a gap in another that is the same one


class Meter:
    def __init__(self, path):
        fd = os.open(path, os.O_RDONLY)
        try:
            self.map = mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(fd)

    def operations(self):
        return HEAD.unpack_from(self.map)[2]

    def looks(self):
        """How often the clock was looked at: it goes up as long as the subject lives."""
        return HEAD.unpack_from(self.map)[1]

    def gaps(self, since, until):
        """(start, end) in ns of each gap that overlaps [since, until] (seconds of time.monotonic())."""
        found = []
        for i in range(min(HEAD.unpack_from(self.map)[3], RING)):
            end, length = GAP.unpack_from(self.map, HEAD.size + i * GAP.size)
            if end >= since * 1e9 and end - length <= until * 1e9:
                found.append((end - length, end))
        return found

    def longest_ms(self, since, until, witness=None):
        """The longest gap; FLOOR_MS when none was told. Leaves out those that one of the `witness` clocks had as well."""
        others = witness.gaps(since, until) if witness else []
        own = [end - start for start, end in self.gaps(since, until)
               if all(end - start - min(end, e) + max(start, s) > SHARED_NS for s, e in others)]
        return max([FLOOR_MS * 1e6, *own]) / 1e6


def ready(path):
    """True when the file is there and its subject has taken its shape."""
    try:
        with open(path, "rb") as file:
            return file.read(8) == b"\1" + bytes(7) and os.fstat(file.fileno()).st_size >= SIZE
    except OSError:
        return False
