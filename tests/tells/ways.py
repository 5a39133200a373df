# SPDX-License-Identifier: Apache-2.0
"""ways: the watcher in a container, and the ways to take a checkpoint of it that leaves it running."""
import json
import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "interop")]
import peer  # noqa: E402  (needs the path above)

from lib import amber, host  # noqa: E402
from lib.container import Container  # noqa: E402

WINDOWS = 4
AROUND = 2
BUILT = Path(os.environ.get("AMBER_TELLS", host.TOP / "build/tests/tells"))
SECONDS = float(os.environ.get("AMBER_TELLS_SECONDS", 3))
CRIU_OPTIONS = ("--tcp-established", "--file-locks", "--ext-unix-sk", "--link-remap")


class Watched:
    """A container whose init is the watcher; window() steps on, report() is what it saw."""

    def __init__(self):
        self.box = Container(["/tells/watch"], files={"/tells/watch": BUILT / "watch"}, cgroup=True, plain=True)
        self.box.start()
        host.until("the watcher to be ready", lambda: self._path("ready").exists() or not self.box.running(), 30)
        if not self.box.running():
            raise host.Failed(f"the watcher ended: {self.box.log('stderr')}{self.box.log('stdout')}")
        self.window = 0

    def _path(self, name):
        return Path(f"/proc/{self.box.pid}/root/tells/{name}")

    def next(self):
        """Begin the next window, or end the last one."""
        self.window += 1
        self._path(f"window-{self.window}").touch()

    def report(self):
        host.until("the report", lambda: self._path("report.json").exists(), 30)
        text = self._path("report.json").read_text()
        merged, at, decoder = {}, 0, json.JSONDecoder()
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            part, at = decoder.raw_decode(text, at)
            for key, windows in part.items():
                merged[key] = together(merged[key], windows) if key in merged and windows else windows
        del merged["/"]
        return merged

    def close(self):
        self.box.close()


def together(one, two):
    """What two threads saw under the same key."""
    both = []
    for a, b in zip(one, two):
        if a and b:
            seen = a["seen"] + [v for v in b["seen"] if v not in a["seen"]]
            both.append({"first": a["first"], "last": b["last"], "samples": a["samples"] + b["samples"], "seen": seen})
        else:
            both.append(a or b)
    return both


def nothing(_box, _folder):
    """No checkpoint at all: the test of the test."""


def by_amber(box, folder):
    return amber.checkpoint(f"runc:{box.name}", folder / "a.tar")


def by_amber_pid(box, folder):
    """The same tree as a process of the machine, without what the runtime knows."""
    return amber.checkpoint(f"pid:{box.pid}", folder / "a.tar")


def stock_criu(folder):
    """criu as an engine has it: with its network lock (that of nftables needs no other program)."""
    stock = peer.Criu(folder)
    (folder / "criu.conf").write_text("network-lock nftables\nlink-remap\nforce-irmap\n"
                                       "irmap-scan-path /tells\nirmap-scan-path /tmp\nirmap-scan-path /dev/shm\n")
    return stock


def by_runc(box, folder):
    """runc checkpoint --leave-running, which has criu use the freezer and lock the network."""
    stock = stock_criu(folder)
    done = host.run("runc", "checkpoint", "--leave-running", *CRIU_OPTIONS[:3], "--image-path", stock.images,
                    "--work-path", stock.work, box.name, check=False, env=stock.env)
    if done.returncode != 0:
        raise host.Failed(f"runc checkpoint: {done.stderr}\n{stock.errors('dump.log')}")


def by_criu(box, folder):
    """criu dump by hand: no freezer."""
    stock = stock_criu(folder)
    net = os.stat(f"/proc/{box.pid}/ns/net").st_ino
    done = host.run(stock.folder / "bin/criu", "dump", "-t", box.pid, "-D", stock.images, "-W", stock.work, "-o", "dump.log",
                    "-v4", "--leave-running", "--manage-cgroups=ignore", "--external", "mnt[]:m", "--external", f"net[{net}]:net",
                    *CRIU_OPTIONS, check=False, env=stock.env)
    if done.returncode != 0:
        raise host.Failed(f"criu dump: {done.stderr}\n{stock.errors('dump.log')}")


def clumsily(box, _folder):
    """No checkpoint, but what a clumsy one would do: for the test that the watcher is awake."""
    pids = list(host.namespace_pids(box.pid).values())
    for pid in pids:
        host.kill(pid, signal.SIGSTOP)
    time.sleep(0.3)
    for pid in reversed(pids):
        host.kill(pid, signal.SIGCONT)
    data = Path(f"/proc/{box.pid}/root/tells/data")
    (data / "plain").read_bytes()
    (data / "link_remap.1").touch()
    host.run("nsenter", f"--target={box.pid}", "--pid", "--mount", "--net", "--", "/bin/true")


WAYS = {"nothing": nothing, "amber": by_amber, "amber-pid": by_amber_pid, "runc-criu": by_runc, "criu": by_criu}
TEST_OF_THE_TEST = {"clumsy": clumsily}


def watch(way, folder):
    """Run the watcher around one checkpoint; returns (what it saw, seconds the checkpoint took)."""
    folder.mkdir(parents=True, exist_ok=True)
    watched = Watched()
    try:
        took = 0.0
        for window in range(WINDOWS):
            start = time.monotonic()
            if window == AROUND:
                time.sleep(SECONDS / 4)
                start_of = time.monotonic()
                {**WAYS, **TEST_OF_THE_TEST}[way](watched.box, folder)
                took = time.monotonic() - start_of
                time.sleep(SECONDS / 4)
            time.sleep(max(0.0, SECONDS - (time.monotonic() - start)))
            watched.next()
        return watched.report(), took
    finally:
        watched.close()
