# SPDX-License-Identifier: Apache-2.0
"""images: a checkpoint archive read by nothing of amber: tar, framing, protobuf, page-runs.

Knows only what the judge of instants needs; field numbers are those of src/image/schema. A second, independent
reader is the point: a mistake that amber makes both in writing and in reading does not hide here.
"""
import mmap
import struct
import tarfile


def fields(message):
    """A protobuf message as {field number: [values]}; nested messages stay bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            value = varint()
        elif kind == 2:
            size = varint()
            value, at = message[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = int.from_bytes(message[at:at + size], "little"), at + size
        found.setdefault(number, []).append(value)
    return found


class Archive:
    """An archive, mapped. Members are found by their name without a leading "./"."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with tarfile.open(path) as tar:
            self.members = {m.name.removeprefix("./"): (m.offset_data, m.size) for m in tar if m.isfile()}

    def close(self):
        self.map.close()

    def bytes(self, name):
        at, size = self.members[name]
        return self.map[at:at + size]

    def entries(self, name, extra=None):
        """Messages of an image, as [(fields, bytes behind it)]; extra(fields) says how many those are."""
        data, at, found = self.bytes(f"checkpoint/{name}.img"), 8, []
        while at < len(data):
            size = struct.unpack_from("<I", data, at)[0]
            message = fields(data[at + 4:at + 4 + size])
            at += 4 + size
            more = extra(message) if extra else 0
            found.append((message, data[at:at + more]))
            at += more
        return found

    def pages(self, name):
        """{address of a page: where its bytes lie in self.map} of a pagemap image."""
        (head, _), *runs = self.entries(name)
        at = self.members[f"checkpoint/pages-{head[1][0]}.img"][0]
        found = {}
        for run, _ in runs:
            count = run[5][0] if 5 in run else run[2][0]
            if run[4][0] & 4:
                for address in range(run[1][0], run[1][0] + count * 4096, 4096):
                    found[address] = at
                    at += 4096
        return found

    def words(self, name):
        """{address of a page: its first eight bytes as a number} of a pagemap image."""
        return {address: struct.unpack_from("<Q", self.map, at)[0] for address, at in self.pages(name).items()}
