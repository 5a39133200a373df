# SPDX-License-Identifier: Apache-2.0
"""Nothing in the container can tell that it was checkpointed, but by what the rows of tells.py allow; and the
test can tell when somebody can."""
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import tells  # noqa: E402  (needs the path above)
import ways  # noqa: E402


def seen(*windows):
    """What the watcher writes of a key: its values in each window."""
    return [{"first": str(w[0]), "last": str(w[-1]), "seen": [str(v) for v in w], "samples": len(w)} for w in windows]


@pytest.mark.parametrize("key, windows, row, tripped", [
    ("idle/status/TracerPid", seen([0], [0], [0, 77, 0], [0]), "TracerPid", "during"),
    ("idle/status/State", seen(["S (sleeping)"], ["S (sleeping)"], ["S (sleeping)", "t (tracing stop)"], ["S (sleeping)"]),
     "state t or T, wchan of a stop", "during"),
    ("writer/smaps/VmFlags", seen(["rd"], ["rd"], ["rd", "uw"], ["rd"]), "smaps flags (uw, sd)", "during"),
    ("writer/smaps/VmFlags", seen(["rd"], ["rd"], ["rd", "uw"], ["uw"]), "smaps flags (uw, sd)", "lasting"),
    ("idle/maps", seen(["a", "b"], ["b", "a"], ["a", "b", "c"], ["a", "b"]), "mappings, VmSize", "during"),
    ("file/tells/data/open/atime", seen([1], [1], [1, 5], [5]), "atime of files", "lasting"),
    ("pid/next", seen([3, 5], [6, 8], [9, 11], [12, 14]), "pids used", ""),
    ("pid/next", seen([3, 5], [6, 8], [10, 12], [13, 15]), "pids used", "lasting"),
    ("call/poll/ended", seen([0], [0], [1], [0]), "blocked calls end with EINTR", "during"),
    ("inotify", seen(["none yet"], ["none yet"], ["/f IN_ACCESS"], ["none yet"]), "inotify: files read", "during"),
    ("inotify", seen(["none yet"], ["none yet"], ["/f IN_ATTRIB"], ["none yet"]), "inotify: files changed", "during"),
    ("never/heard/of/it", seen(["a"], ["a"], ["b"], ["a"]), "anything else", "during"),
    ("loadavg/1", seen(["1"], ["1"], ["9"], ["9"]), "anything else", ""),
])
def test_rules(key, windows, row, tripped):
    results = tells.judge({key: windows})
    assert {name: r["tripped"] for name, r in results.items() if r["tripped"]} == ({row: tripped} if tripped else {})


def test_lasting_protection_is_not_allowed():
    flags = tells.judge({"writer/smaps/VmFlags": seen(["rd"], ["rd"], ["uw"], ["uw"])})["smaps flags (uw, sd)"]
    assert flags["may"] and not tells.allowed(flags)


def noticed(way, folder):
    report, _took = ways.watch(way, folder)
    return tells.judge(report)


@pytest.mark.parametrize("way", ["nothing", "amber", "amber-pid"])
def test_nobody_notices(way, tmp_path):
    results = noticed(way, tmp_path)
    wrong = {name: r["details"] for name, r in results.items() if not tells.allowed(r)}
    assert not wrong, "\n".join(line for details in wrong.values() for line in details)


def test_the_watcher_is_awake(tmp_path):
    """What is done clumsily must be noticed, or the rest means nothing."""
    results = noticed("clumsy", tmp_path)
    for name in ("gap in the clocks", "blocked calls end with EINTR", "signals received", "pids used", "atime of files",
                 "names in directories", "mtime, ctime, links, size of files", "inotify: files read", "inotify: files changed",
                 "context switches, CPU time, last CPU"):
        assert results[name]["tripped"], name
