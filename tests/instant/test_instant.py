# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is one instant: memory, shared memory, files, tmpfs, queues and registers all of the same.

tests/live/instant.c writes one growing number to all of them, in one strict order, as fast as it can. AMBER_ROUNDS
times in a row it is checkpointed in a runc container and runs on; each time the archive is judged (judge.py), and a
copy is restored and judges itself. Then the judges: an archive with one place of another instant must be found out.
"""
import os
import struct
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "live")]
import run as live  # noqa: E402  (needs the path above)
from judge import PAGE, PRIVATE, judge, state  # noqa: E402
from lib import amber, host  # noqa: E402

ROUNDS = int(os.environ.get("AMBER_ROUNDS", 20))
PLACES = ["first", "second", "register", "shared", "memfd", "sysv", "file", "log", "name", "mapped", "tmpfs", "tmpfs mapped",
          "pipe", "socket", "turn 1"]


@pytest.fixture
def subject():
    running = live.InRunc("instant")
    try:
        verdict = live.Verdict(running.pid, running.verdict_path)
        assert verdict.wait("^(READY|FAIL.*)$", 30, running.ended) == "READY"
        verdict.close()
        yield running
    finally:
        running.close()


def restored_judges_itself(archive):
    with amber.Restored(archive) as restored:
        outer = host.namespace_pids(restored.pid)[1]
        return live.judge(outer, "/subject/verdict", lambda: not host.alive(outer))


def test_one_instant(subject, archive):
    """Every archive, and every copy, AMBER_ROUNDS times; the subject itself runs on through all of them."""
    for i in range(ROUNDS):
        said = amber.checkpoint(subject.target, archive)
        bad = [g for g in said["gaps"] if g["effect"] != "cosmetic"]
        assert not bad, f"round {i}: {bad}"
        wrong = judge(state(archive))
        assert wrong is None, f"round {i}: {wrong}"
        said = restored_judges_itself(archive)
        assert said == "PASS", f"round {i}: {said}"
        archive.unlink()
    assert live.judge(subject.pid, subject.verdict_path, subject.ended) == "PASS"


@pytest.fixture(scope="module")
def two_instants(tmp_path_factory):
    """States of one container, taken one soon after the other."""
    folder = tmp_path_factory.mktemp("instant")
    running = live.InRunc("instant")
    try:
        verdict = live.Verdict(running.pid, running.verdict_path)
        assert verdict.wait("^(READY|FAIL.*)$", 30, running.ended) == "READY"
        verdict.close()
        for name in ("one", "two"):
            amber.checkpoint(running.target, folder / name)
        yield state(folder / "one"), state(folder / "two")
    finally:
        running.close()


@pytest.mark.parametrize("order", ["too late", "too early"])
@pytest.mark.parametrize("place", PLACES)
def test_judge_finds(two_instants, place, order):
    """One place copied after the thaw, or before the stop and never again."""
    one, two = two_instants if order == "too late" else two_instants[::-1]
    assert judge(one) is None and judge(two) is None
    if place == "name" and one[place] == two[place]:
        pytest.skip("the name came round to the same one")
    assert judge({**one, place: two[place]}) is not None


@pytest.mark.parametrize("order", ["too late", "too early"])
@pytest.mark.parametrize("place", [*PRIVATE, "shared", "memfd", "sysv", "file", "mapped", "tmpfs", "tmpfs mapped"])
def test_judge_finds_one_page(two_instants, place, order):
    """One page of many is enough."""
    one, two = two_instants if order == "too late" else two_instants[::-1]
    page = max(one[place]) // 2
    assert judge({**one, place: {**one[place], page: two[place][page]}}) is not None


def test_subject_finds(subject):
    """A page of its memory goes back in time: the subject itself sees that."""
    start, pages, _writes, _step = PRIVATE["first"]
    with open(f"/proc/{subject.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(start + pages // 3 * PAGE)
        count = struct.unpack("<Q", memory.read(8))[0]
        memory.seek(start + pages // 3 * PAGE)
        memory.write(struct.pack("<Q", count - pages))
    said = live.judge(subject.pid, subject.verdict_path, subject.ended)
    assert said.startswith("FAIL") and "private page" in said, said
