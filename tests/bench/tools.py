# SPDX-License-Identifier: Apache-2.0
"""tools: amber and stock criu, each taking one checkpoint of a subject that runs on, and what that took.

Each takes it into a new folder below `folder`, on one and the same file system, and removes it. Each runs
in a memory cgroup of its own, whose peak is everything that was charged for it: its own memory and the page
cache that its output filled.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from lib import amber, host

os.environ.setdefault("AMBER_SUITE", "sid")  # criu 4.2
sys.path.insert(0, str(host.TESTS / "interop"))
import peer  # noqa: E402  (needs the two lines above)

MEMORY_V1 = Path("/sys/fs/cgroup/memory")
MIB = 1048576
LIMIT_S = 300


class MemoryGroup:
    """A memory cgroup for one run; peak() is None where the machine has no such controller."""

    def __init__(self):
        self.path = None
        for top, peak in ((MEMORY_V1, "memory.max_usage_in_bytes"), (Path("/sys/fs/cgroup"), "memory.peak")):
            path = top / host.unique("-bench")
            try:
                path.mkdir()
            except OSError:
                continue
            if (path / peak).exists():
                self.path, self.file = path, path / peak
                return
            path.rmdir()

    def enter(self):
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    def peak(self):
        return int(self.file.read_text(encoding="ascii")) if self.path else None

    def close(self):
        if self.path:
            self.path.rmdir()


def run(argv, subject, out, env=None):
    """Run a tool to its end; {start, end (time.monotonic()), operations (of the subject, at the end), rss_mib, charged_mib}.
    It is killed when it takes too long."""
    undo = host.Undo()
    group = MemoryGroup()
    undo.add(group.close)
    try:
        with open(out, "wb") as stdout, open(f"{out}.err", "wb") as stderr:
            start = time.monotonic()
            process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=env,
                                       preexec_fn=group.enter)
            undo.add(process.wait)
            undo.add(process.kill)  # nothing, once it has ended
            limit = threading.Timer(LIMIT_S, process.kill)
            undo.add(limit.cancel)
            limit.start()
            _pid, status, usage = os.wait4(process.pid, 0)
            end = time.monotonic()
            done = subject.operations()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said = Path(f"{out}.err").read_text(encoding="utf-8", errors="replace")
            raise host.Failed(f"{argv[0]}: exit {process.returncode}: {said[-2000:]}")
        peak = group.peak()
    finally:
        undo.close()
    return {"start": start, "end": end, "operations": done, "rss_mib": usage.ru_maxrss / 1024,
            "charged_mib": None if peak is None else peak / MIB}


def durable(folder):
    """Bring every file of a folder to the disk; how long that took, in ms."""
    start = time.monotonic()
    for path in [*folder.iterdir(), folder]:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    return (time.monotonic() - start) * 1000


class Amber:
    name = "amber"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.archive = self.folder / "amber.tar"

    def checkpoint(self, subject):
        """Also said_ms (the freeze by its own account), size_mib, sync_ms (0: it ends with the archive on the disk)
        and steps: {step of the capture: ms}."""
        target = f"runc:{subject.container.name}" if subject.container else f"pid:{subject.pid}"
        out = self.folder / "amber.json"
        seen = run([amber.BINARY, "checkpoint", "--json", "-o", self.archive, target], subject, out)
        said = json.loads(out.read_text(encoding="utf-8"))
        if not said["restorable"]:
            raise host.Failed(f"amber: not restorable: {said['gaps']}")
        return {**seen, "said_ms": said["freeze_ns"] / 1e6, "size_mib": self.archive.stat().st_blocks * 512 / MIB,
                "sync_ms": 0, "steps": self._steps()}

    def _steps(self):
        steps = {}
        log = host.run("tar", "-xOf", self.archive, "dump.log").stdout
        for name, took in re.findall(r" debug: (\D+): ([\d.]+) ms$", log, re.M):
            steps[name] = steps.get(name, 0) + float(took)
        return steps

    def clear(self):
        self.archive.unlink(missing_ok=True)


class Criu:
    name = "criu"

    def __init__(self, folder):
        self.folder = Path(folder, "criu")

    def checkpoint(self, subject):
        """Also said_ms (freezing and frozen time of its stats-dump), size_mib, and sync_ms: what it takes to have
        the images on the disk."""
        stock = peer.Criu(self.folder)
        common = ["--leave-running", *peer.OPTIONS, "--work-path" if subject.container else "--work-dir", stock.work]
        if subject.container:
            argv = ["runc", "checkpoint", *common, "--image-path", stock.images, subject.container.name]
        else:
            argv = [self.folder / "bin/criu", "dump", "--tree", subject.pid, *common, "--images-dir", stock.images, "--log-file",
                    "dump.log"]
        try:
            seen = run(argv, subject, self.folder / "out", stock.env)
        except host.Failed as error:
            raise host.Failed(f"{error}\n{stock.errors('dump.log')}") from None
        size = sum(f.stat().st_blocks * 512 for f in stock.images.iterdir()) / MIB
        return {**seen, "said_ms": frozen_us(stock) / 1000, "size_mib": size, "sync_ms": durable(stock.images)}

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def frozen_us(stock):
    """freezing_time + frozen_time of criu's stats-dump: two magics, a length, StatsEntry{1: DumpStatsEntry{1, 2}}."""
    data = next(p for p in (stock.work / "stats-dump", stock.images / "stats-dump") if p.exists()).read_bytes()
    length = struct.unpack_from("<I", data, 8)[0]
    dump = fields(fields(data[12:12 + length])[1])
    return dump[1] + dump[2]


def fields(data):
    """The last value of each field of a protobuf message made of numbers and messages."""
    found, pos = {}, 0

    def varint():
        nonlocal pos
        value = shift = 0
        while True:
            byte = data[pos]
            pos += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while pos < len(data):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            value, pos = data[pos:pos + value], pos + value
        found[tag >> 3] = value
    return found
