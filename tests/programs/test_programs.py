# SPDX-License-Identifier: Apache-2.0
"""Real programs in runc, checkpointed under load again and again: no request fails, nothing behaves
differently, and each copy restored from an archive does the right thing.

AMBER_ROUNDS (default 10) is the number of checkpoints in a row; every one of them is restored.
"""
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from subjects import SUBJECTS  # noqa: E402  (needs the path above)

from lib import amber, host, leaks  # noqa: E402

ROUNDS = int(os.environ.get("AMBER_ROUNDS", 10))


def tasks(box):
    """Process and thread ids of the container, which a checkpoint must not change."""
    return {inner: sorted(os.listdir(f"/proc/{outer}/task")) for inner, outer in host.namespace_pids(box.pid).items()}


def one_round(subject, box, archive):
    """Checkpoint, restore beside the running original, judge the copy, end it."""
    before = subject.instant(box)
    made = amber.checkpoint(f"runc:{box.name}", archive)
    after = subject.instant(box)
    assert box.running()
    amber.verify(archive)
    with amber.Restored(archive) as copy:
        subject.judge(copy.pid, before, after)
        assert copy.running()
    return made


@pytest.mark.parametrize("name", SUBJECTS)
def test_under_load(name, archive):
    subject = SUBJECTS[name]()
    box = subject.start()
    try:
        workers = subject.load(box)
        time.sleep(0.5)
        shape = tasks(box)
        with leaks.Leaks(box.name):
            for _ in range(ROUNDS):
                one_round(subject, box, archive)
                archive.unlink()
                time.sleep(0.2)
        if name != "python":  # whose short-lived children and connections come and go
            assert tasks(box) == shape
        else:
            subject.judge_original(box)
        for worker in workers:
            seen = worker.stop()
            assert seen["failed"] == 0, seen
            assert seen["requests"] > 100, seen
        assert box.running()
    finally:
        box.close()


@pytest.mark.parametrize("name", SUBJECTS)
def test_unaided(name):
    """The judge itself: the original passes when nothing is done to it."""
    subject = SUBJECTS[name]()
    box = subject.start()
    try:
        workers = subject.load(box)
        time.sleep(0.5)
        before = subject.instant(box)
        time.sleep(0.5)
        for worker in workers:
            assert worker.stop()["failed"] == 0
        subject.judge(box.pid, before, subject.instant(box))
    finally:
        box.close()
