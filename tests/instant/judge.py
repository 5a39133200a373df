# SPDX-License-Identifier: Apache-2.0
"""judge: do all places of an archive of tests/live/instant.c hold one instant?

The subject's writes have one strict order. Let T be the number of the last write that had been done: a place that
holds the number n says that T is at least that of its write of n, and less than that of its next write. An archive
shows one instant exactly when one T satisfies every place; two places that contradict each other are named.
"""
import gzip
import io
import struct
import tarfile

from images import Archive, fields

PAGE, SLOTS, STRIDE, QUEUED, LOG_ROUNDS = 4096, 64, 7919, 16, 1 << 17
PRIVATE = {"first": (0x200000000000, 16384, 1000, 1), "second": (0x210000000000, 4096, 250, 1008)}
SHARED, MEMFD = 0x220000000000, 0x230000000000

# The order of writes within a round; private pages take as many steps as there are writes to them.
STEPS = {"register": 0, "shared": 1001, "memfd": 1002, "sysv": 1003, "file": 1004, "log": 1005, "name": 1006, "turn 0": 1007,
         "mapped": 1258, "tmpfs": 1259, "tmpfs mapped": 1260, "pipe in": 1261, "pipe out": 1262, "socket in": 1263, "socket out": 1264,
         "turn 1": 1265}
ROUND = 1266


class Broken(Exception):
    """A place is not even something that the subject could have left."""


def time(n, step):
    return n * ROUND + step


def numbers(data):
    return list(struct.unpack(f"<{len(data) // 8}Q", data))


def slots(data):
    """First word of each page of a file's or segment's content."""
    return {at // PAGE: struct.unpack_from("<Q", data, at)[0] for at in range(0, len(data), PAGE)}


def state(path):
    """What each place of an archive holds: {place: value, or {slot: value}, or [values]}."""
    archive = Archive(path)
    try:
        found = memory(archive)
        found.update(files(archive))
        found.update(queues(archive))
        return found
    finally:
        archive.close()


def memory(archive):
    found = {}
    second = next(m[16:-4] for m in archive.members if m.startswith("checkpoint/core-") and m != "checkpoint/core-1.img")
    for name, pid in (("first", "1"), ("second", second)):
        start, pages, _writes, _step = PRIVATE[name]
        words = archive.words(f"pagemap-{pid}")
        found[name] = {i: words.get(start + i * PAGE, 0) for i in range(pages)}
    registers = fields(fields(archive.entries("core-1")[0][0][2][0])[2][0])
    found["register"] = registers[1][0]
    vmas = [fields(v) for v in archive.entries("mm-1")[0][0][14]]
    shmid = next(v[4][0] for v in vmas if v[1][0] == SHARED)
    words = archive.words(f"pagemap-shmem-{shmid}")
    found["shared"] = {i: words.get(i * PAGE, 0) for i in range(SLOTS)}
    for who in (0, 1):
        found[f"turn {who}"] = words.get((SLOTS + who) * PAGE, 0)
    inode = next(m for m, _ in archive.entries("memfd") if m[1][0] == b"instant")
    words = archive.words(f"pagemap-shmem-{inode[5][0]}")
    found["memfd"] = {i: words.get(i * PAGE, 0) for i in range(SLOTS)}
    (_segment, content), = archive.entries(next(m[11:-4] for m in archive.members if m.startswith("checkpoint/ipcns-shm-")),
                                           lambda m: m[2][0])
    found["sysv"] = slots(content)
    return found


def files(archive):
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive.bytes("rootfs-diff.tar"))) as tar:
        inside = {m.name.rpartition("/")[2]: m for m in tar if m.isfile()}
        found["file"] = slots(tar.extractfile(inside["verdict.file"]).read())
        found["mapped"] = slots(tar.extractfile(inside["verdict.mapped"]).read())
        found["log"] = numbers(tar.extractfile(inside["verdict.log"]).read())
        found["name"] = [int(n.rpartition(".")[2]) for n in inside if n.startswith("verdict.log-name.")]
    for name in archive.members:
        if name.startswith("checkpoint/tmpfs-dev-"):
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.bytes(name)))) as tar:
                inside = {m.name.rpartition("/")[2]: m for m in tar if m.isfile()}
                if "instant-file" in inside:
                    found["tmpfs"] = slots(tar.extractfile(inside["instant-file"]).read())
                    found["tmpfs mapped"] = slots(tar.extractfile(inside["instant-mapped"]).read())
    return found


def queues(archive):
    queued = {}
    for message, data in archive.entries("pipes-data", lambda m: m[2][0]):
        if data:
            queued.setdefault("pipe", []).extend(numbers(data))
    for _message, data in archive.entries("sk-queues", lambda m: m[2][0]):
        queued.setdefault("socket", []).extend(numbers(data))
    return queued


def bounds_private(place, held):
    """What the private pages of a process say: (a name for people, least T, first T that is too late)."""
    _start, pages, writes, step = PRIVATE[place]

    def when(count):
        return time((count - 1) // writes + 1, step + (count - 1) % writes)

    for page, count in held.items():
        if count * STRIDE % pages != page or not count:
            raise Broken(f"page {page} of the {place} process holds {count}")
        yield f"page {page} of the {place} process ({count})", when(count), when(count + pages)


def bounds_slots(place, held):
    for slot, n in held.items():
        if n % SLOTS != slot or not n:
            raise Broken(f"slot {slot} of {place} holds {n}")
        yield f"slot {slot} of {place} ({n})", time(n, STEPS[place]), time(n + SLOTS, STEPS[place])


def bounds_queue(place, held):
    first, last = held[0], held[-1]
    if held != list(range(first, last + 1)) or len(held) not in (QUEUED, QUEUED + 1):
        raise Broken(f"the {place} holds {held}")
    yield f"what was put into the {place} ({last})", time(last, STEPS[place + " in"]), time(last + 1, STEPS[place + " in"])
    taken = first - 1 + QUEUED
    yield f"what was taken from the {place} ({first})", time(taken, STEPS[place + " out"]), time(taken + 1, STEPS[place + " out"])


def bounds_single(place, n):
    yield f"{place} ({n})", time(n, STEPS[place]), time(n + 1, STEPS[place])


def bounds(held):
    """Everything that a state says about T."""
    near = held["turn 0"]
    for place, value in held.items():
        if place in PRIVATE:
            yield from bounds_private(place, value)
        elif isinstance(value, dict):
            yield from bounds_slots(place, value)
        elif place in ("pipe", "socket"):
            yield from bounds_queue(place, value)
        elif place == "log":
            if value != list(range(value[0], value[0] + len(value))) if value else False:
                raise Broken("the log has a hole")
            if value and (value[0] - 1) % LOG_ROUNDS:
                raise Broken(f"the log begins with {value[0]}")
            if value:
                yield from bounds_single(place, value[-1])
        elif place == "name":
            if len(value) != 1:
                raise Broken(f"{len(value)} of the names exist: {value}")
            yield from bounds_single(place, near + (value[0] - near + SLOTS // 2) % SLOTS - SLOTS // 2)
        else:
            yield from bounds_single(place, value)


def judge(held):
    """None when a state is of one instant, else a sentence that names what contradicts each other."""
    missing = {"first", "second", "pipe", "socket", *(s for s in STEPS if not s.startswith(("pipe", "socket")))} - held.keys()
    if missing:
        return f"not in the archive: {', '.join(sorted(missing))}"
    try:
        said = list(bounds(held))
    except Broken as broken:
        return str(broken)
    least = max(said, key=lambda b: b[1])
    most = min(said, key=lambda b: b[2])
    if least[1] < most[2]:
        return None
    return f"{most[0]} was copied {least[1] - most[2] + 1} writes ({(least[1] - most[2]) // ROUND} rounds) before {least[0]}"
