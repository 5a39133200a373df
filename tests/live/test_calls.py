# SPDX-License-Identifier: Apache-2.0
"""Blocking calls through many checkpoints in a row: none ends early, by EINTR or late.

AMBER_CAPTURES sets how many (10 as a rule). As a program, `test_calls.py [--plain] [SUBJECT]` prints each call's
counts; --plain does not run amber but a stop and continue by ptrace, which repairs nothing, for comparison.
"""
import ctypes
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run as live  # noqa: E402  (needs the path above)
from lib import amber, container, host  # noqa: E402

CAPTURES = int(os.environ.get("AMBER_CAPTURES", "10"))
SUBJECTS = ["calls", "calls-files", "calls-more"]
SLEEP_S = 4
SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


def plain_stop(pid):
    """Stop every thread by ptrace and let it go again, as debuggers do."""
    libc = ctypes.CDLL(None, use_errno=True)
    ptrace = libc.ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    tids = [int(t) for t in os.listdir(f"/proc/{pid}/task")]
    for tid in tids:
        ptrace(SEIZE, tid, None, None)
    for tid in tids:
        ptrace(INTERRUPT, tid, None, None)
    for tid in tids:
        os.waitpid(tid, WALL)
    for tid in tids:
        ptrace(DETACH, tid, None, None)


def checkpoint(running, archive):
    """A whole checkpoint, whose archive is thrown away."""
    amber.checkpoint(running.target, archive)
    Path(archive).unlink()


def captured(running, captures, once):
    """Capture a subject again and again, then ask for its verdict; returns all that it says."""
    verdict = live.Verdict(running.pid, running.verdict_path)
    try:
        assert verdict.wait("^(READY|FAIL.*)$", 20, running.ended) == "READY"
        for _ in range(captures):
            time.sleep(random.uniform(0.1, 0.5))
            once(running)
        host.kill(running.pid, live.signal.SIGUSR1)
        verdict.wait("^(PASS|FAIL.*)$", 20, running.ended)
        return verdict.text()
    finally:
        verdict.close()


@pytest.mark.parametrize("where", [live.OnHost, live.InRunc])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_many_captures(subject, where, archive):
    running = where(subject)
    try:
        said = captured(running, CAPTURES, lambda r: checkpoint(r, archive))
    finally:
        running.close()
    assert "PASS" in said.splitlines(), said


def exit_time(pid):
    """Seconds until a process that is not our child has ended."""
    begin = time.monotonic()
    host.until(f"the end of {pid}", lambda: not host.alive(pid), 30)
    return time.monotonic() - begin


@pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="no busybox")
def test_sleep_sleeps_on(archive):
    """A container whose main process is `sleep` ends when its time is over, not at a checkpoint."""
    box = container.Container(["/busybox", "sleep", str(SLEEP_S)], files={"/busybox": Path("/bin/busybox")})
    try:
        box.start()
        begin = time.monotonic()
        for _ in range(3):
            time.sleep(0.3)
            amber.checkpoint(f"runc:{box.name}", archive)
            Path(archive).unlink()
        exit_time(box.pid)
        took = time.monotonic() - begin
        assert SLEEP_S - 1 < took < SLEEP_S + 2, took
    finally:
        box.close()


def main():
    plain = "--plain" in sys.argv
    for subject in [a for a in sys.argv[1:] if not a.startswith("-")] or SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "x.tar"
            running = live.OnHost(subject)
            try:
                print(captured(running, CAPTURES, lambda r: plain_stop(r.pid) if plain
                               else checkpoint(r, archive)))
            except (subprocess.SubprocessError, amber.Amber) as error:
                sys.exit(str(error))
            finally:
                running.close()


if __name__ == "__main__":
    main()
