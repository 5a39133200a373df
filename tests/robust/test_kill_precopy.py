# SPDX-License-Identifier: Apache-2.0
"""amber dies while it copies memory that is being written: the command, or the process it has at work, or both
at once, at random instants of the whole checkpoint. Afterwards nothing may be left: no write protection, no
mapping, no descriptor, no tracer, no file; no call has ended, and the next checkpoint succeeds.

AMBER_PRECOPY_KILLS (default 20 for each kind of subject) says how often, AMBER_PRECOPY_MIB how much memory.
"""
import os
import random
import signal
import subprocess
import time

import pytest

from lib import amber, host, leaks, untouched
from lib.container import Container

KILLS = int(os.environ.get("AMBER_PRECOPY_KILLS", 20))
MIB = int(os.environ.get("AMBER_PRECOPY_MIB", 192))
PROCESSES = 4
BUILT = os.environ.get("AMBER_TELLS", host.TOP / "build/tests/tells")
PROGRAM = host.Path(BUILT) / "churn"


class Plain:
    """The subject as a process of this machine."""

    def __init__(self):
        self.name = host.unique()
        self.dir = host.WORK / self.name
        self.dir.mkdir(parents=True)
        self.undo = host.Undo()
        self.undo.add(host.remove_tree, self.dir)
        self.process = subprocess.Popen([PROGRAM, self.dir / "status", str(MIB), str(PROCESSES)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.dir,
                                        env={host.MARK: self.name}, start_new_session=True)
        self.undo.add(self._end)
        self.pid = self.process.pid
        self.target = f"pid:{self.pid}"
        self.status = self.dir / "status"

    def _end(self):
        self.process.kill()
        self.process.wait(10)

    def close(self):
        self.undo.close()


class Contained:
    """The subject as the init of a container."""

    def __init__(self):
        self.box = Container(["/churn/churn", "/churn/status", str(MIB), str(PROCESSES)], files={"/churn/churn": PROGRAM}).start()
        self.name, self.pid = self.box.name, self.box.pid
        self.target = f"runc:{self.name}"
        self.status = f"/proc/{self.pid}/root/churn/status"

    def close(self):
        self.box.close()


@pytest.fixture(params=[Plain, Contained], ids=["plain", "runc"])
def subject(request):
    made = request.param()
    yield made
    made.close()


def kill_once(subject, archive, delay, who):
    """One checkpoint that is killed after `delay` seconds; True when there was still something to kill.

    who: "command", "worker" (the process that does the work, if there is one beside the command) or "both".
    """
    with subprocess.Popen([amber.BINARY, "checkpoint", "-o", archive, subject.target], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                          env={**os.environ, host.MARK: subject.name}) as victim:
        time.sleep(delay)
        running = victim.poll() is None
        workers = [pid for pid in untouched.tree(victim.pid) if pid != victim.pid] if running else []
        if running and who == "both":
            os.killpg(victim.pid, signal.SIGKILL)
        elif running and who == "worker" and workers:
            for pid in workers:
                host.kill(pid)
        elif running:
            victim.send_signal(signal.SIGKILL)
        try:
            victim.wait(60)
        finally:
            victim.kill()
    return running


def test_kill_precopy(subject, archive):
    churn = untouched.Churn(subject.status)
    host.until("the subject at work", churn.ready, 30)
    amber.checkpoint(subject.target, archive)  # VmPeak and such have seen one checkpoint
    start = time.monotonic()
    archive.unlink()
    amber.checkpoint(subject.target, archive)
    whole = time.monotonic() - start
    archive.unlink()
    churn.check()
    luck, hits = random.Random(4), 0
    shape = untouched.Untouched(subject.pid)
    with leaks.Leaks(subject.name):
        for turn in range(KILLS):
            before = churn.read()
            who = ("both", "command", "worker")[turn % 3]
            hits += kill_once(subject, archive, luck.uniform(0, whole * 1.05), who)
            shape.check(f"nothing left after kill {turn} of {who}")
            if archive.exists():  # complete or not there at all
                amber.verify(archive)
                archive.unlink()
            assert os.listdir(archive.parent) == [], os.listdir(archive.parent)
            churn.moves_on(before)
    assert hits > KILLS * 0.5, f"only {hits} of {KILLS} kills came in time"
    amber.checkpoint(subject.target, archive)
    amber.verify(archive)
    shape.check("nothing left after the last checkpoint")
    churn.check()
