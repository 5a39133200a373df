# SPDX-License-Identifier: Apache-2.0
"""Pre-copy as its options and the record show it: rounds, what was left to the stop, a budget kept or missed."""
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from lib import amber

MIB = 64
# Pages that are never written again, and as many that are written all the time when told so.
PROGRAM = f"""
import sys
still, busy = bytearray(b"s" * {MIB} * 1048576), bytearray(b"b" * {MIB} * 1048576)
print("ready", flush=True)
while sys.argv[1] == "busy":
    for at in range(0, len(busy), 4096):
        busy[at] = (busy[at] + 1) & 255
sys.stdin.read()
"""


@pytest.fixture
def program(request):
    """The program above, as busy as the test asks."""
    with subprocess.Popen(["/usr/bin/python3", "-c", PROGRAM, request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout.readline() == "ready\n"
            yield running
            assert running.poll() is None
        finally:
            running.kill()


def record(archive):
    with tarfile.open(archive) as tar:
        return json.load(tar.extractfile("amber.json"))["memory"]


def registered(pid):
    return [line for line in Path(f"/proc/{pid}/smaps").read_text().splitlines() if line.startswith("VmFlags:") and " uw" in line]


@pytest.mark.parametrize("program", ["idle"], indirect=True)
def test_rest_of_an_idle_program_is_small(program, archive):
    said = amber.checkpoint(f"pid:{program.pid}", archive)
    assert said["tracker"] == "uffd-wp" and said["rounds"] >= 2 and said["max_freeze_kept"]
    assert said["memory_bytes"] > 2 * MIB << 20
    assert said["last_bytes"] < 4 << 20
    told = record(archive)
    assert (told["tracker"], told["rounds"], told["last_bytes"]) == ("uffd-wp", said["rounds"], said["last_bytes"])
    assert told["copied_bytes"] >= 2 * MIB << 20 and "max_freeze_ns" not in told
    assert not registered(program.pid)


@pytest.mark.parametrize("program", ["busy"], indirect=True)
def test_only_what_is_written_is_left_to_the_stop(program, archive):
    said = amber.checkpoint(f"pid:{program.pid}", archive)
    assert said["last_bytes"] < (MIB + 8) << 20
    assert not registered(program.pid)


@pytest.mark.parametrize("program", ["idle"], indirect=True)
def test_without(program, archive):
    said = amber.checkpoint(f"pid:{program.pid}", archive, "--no-precopy")
    assert (said["tracker"], said["rounds"]) == ("none", 0)
    assert said["last_bytes"] == said["memory_bytes"] > 2 * MIB << 20
    amber.verify(archive)


@pytest.mark.parametrize("program,budget,kept", [("idle", 10000, True), ("busy", 1, False)], indirect=["program"])
def test_budget(program, budget, kept, archive):
    said = amber.checkpoint(f"pid:{program.pid}", archive, "--max-freeze", budget)
    assert said["max_freeze_kept"] == kept
    assert (said["freeze_ns"] <= budget * 1000000) == kept
    told = record(archive)
    assert told["max_freeze_ns"] == budget * 1000000 and told["max_freeze_kept"] == kept
    if not kept:
        assert said["rounds"] > 2  # it has tried
        archive.unlink()
        text = amber.call("checkpoint", "-o", archive, "--max-freeze", budget, f"pid:{program.pid}").stdout
        assert "longer than --max-freeze" in text
