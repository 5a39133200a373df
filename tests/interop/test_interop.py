# SPDX-License-Identifier: Apache-2.0
"""amber and stock CRIU: what one dumps the other restores, and checkpointctl and crit read our archives.

The subjects are those of tests/live that stock criu itself dumps and restores correctly here (4.1 cannot
dump inet sockets on this kernel, for one); a subject says itself whether it is as it was. docs/interop.md
has the whole table, with the reason for each that is not listed here.
"""
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "live"), str(HERE.parent / "programs")]
import peer  # noqa: E402  (needs the path above)
import run as live  # noqa: E402
from subjects import SUBJECTS  # noqa: E402

from lib import amber, host  # noqa: E402

BOTH_WAYS = ["cwd", "deleted", "device", "epoll", "fd-shared", "fifo", "futex", "identity", "itimer", "locks", "memfd", "memory", "netlink",
             "pty", "regs", "rseq", "seccomp", "session", "shm-fork", "signalfd", "sigstate", "sysvipc", "threads", "unix-pair",
             "untouched", "vma", "zombie"]
# What stock criu cannot dump here but can restore.
ONLY_TO_CRIU = ["creds", "inotify", "netns", "posix-timer", "restart", "timerfd"]
(ONLY_TO_CRIU if peer.SUITE == "trixie" else BOTH_WAYS).extend(["tcp", "udp"])


@pytest.fixture(scope="module", autouse=True)
def tree():
    reason = peer.make_root()
    if reason:
        pytest.skip(f"no trixie tree: {reason}")


@pytest.fixture
def criu(tmp_path):
    return peer.Criu(tmp_path / "criu")


def ready(subject):
    """A subject that has set itself up, as a container's init."""
    running = live.InRunc(subject)
    verdict = live.Verdict(running.pid, running.verdict_path)
    said = verdict.wait("^(READY|FAIL.*)$", 20, running.ended)
    verdict.close()
    assert said == "READY"
    return running


@pytest.mark.parametrize("subject", BOTH_WAYS)
def test_criu_alone(subject, criu):
    """The ground to stand on: criu restores what criu dumped, and the subject is content."""
    running = ready(subject)
    try:
        criu.dump(running.container)
        pid = criu.restore(running.container)
        assert live.judge(pid, running.verdict_path, lambda: not host.alive(pid)) == "PASS"
    finally:
        running.close()


@pytest.mark.parametrize("subject", BOTH_WAYS + ONLY_TO_CRIU)
def test_amber_to_criu(subject, criu, archive):
    running = ready(subject)
    try:
        amber.checkpoint(running.target, archive, "--stop")
        criu.take_from(archive)
        pid = criu.restore(running.container)
        assert live.judge(pid, running.verdict_path, lambda: not host.alive(pid)) == "PASS"
    finally:
        running.close()


@pytest.mark.parametrize("subject", BOTH_WAYS)
def test_criu_to_amber(subject, criu, archive):
    running = ready(subject)
    try:
        criu.dump(running.container)
        criu.make_archive(running.container, archive)
        with amber.Restored(archive, "--rootfs", running.container.lower) as restored:
            outer = host.namespace_pids(restored.pid)[1]
            assert live.judge(outer, running.verdict_path, lambda: not host.alive(outer)) == "PASS"
    finally:
        running.close()


@pytest.mark.parametrize("name", SUBJECTS)
def test_program_to_criu(name, criu, archive):
    """A real program: it knows all that it knew, and it answers."""
    subject = SUBJECTS[name]()
    box = subject.start()
    try:
        before = subject.instant(box)
        amber.checkpoint(f"runc:{box.name}", archive, "--stop")
        criu.take_from(archive)
        subject.judge(criu.restore(box), before, before)
    finally:
        box.close()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Archives of real programs, made once: {name: path}."""
    folder = tmp_path_factory.mktemp("shelf")
    made = {}
    for name, kind in SUBJECTS.items():
        box = kind().start()
        try:
            made[name] = folder / f"{name}.tar"
            amber.checkpoint(f"runc:{box.name}", made[name])
        finally:
            box.close()
    return made


@pytest.mark.parametrize("name", SUBJECTS)
def test_crit_decodes(name, shelf, tmp_path):
    """crit, which knows CRIU's own schema, understands every image."""
    criu = peer.Criu(tmp_path / "criu")
    criu.take_from(shelf[name])
    images = peer.decodable(criu.images)
    assert len(images) > 15
    loop = 'bad=0; for f in "$@"; do crit decode -i "$f" >/dev/null || { echo "$f"; bad=1; }; done; exit $bad'
    peer.in_root(tmp_path, "sh", "-c", loop, "sh", *images)


@pytest.mark.parametrize("name", SUBJECTS)
def test_checkpointctl(name, shelf):
    """show, inspect --all and memparse read our archive."""
    path = shelf[name]
    shown = peer.in_root(path.parent, "checkpointctl", "show", path).stdout
    assert "registry.invalid/amber/box" in shown and "runc" in shown
    inspected = peer.in_root(path.parent, "checkpointctl", "inspect", "--all", path).stdout
    for word in ("Process tree", "[1]", "Overview of mounts", "Open files"):
        assert word in inspected
    program = {"redis": "redis-server", "memcached": "memcached", "nginx": "nginx", "python": "python3"}[name]
    assert program in inspected
    memory = peer.in_root(path.parent, "checkpointctl", "memparse", path).stdout
    assert program in memory
    found = peer.in_root(path.parent, "checkpointctl", "memparse", "--pid", "1", "--search", "PATH=/usr/local/sbin", path).stdout
    assert "PATH=/usr/local/sbin" in found


def test_amber_reads_criu(criu, archive):
    """show and inspect of an archive that stock criu's images are in."""
    running = ready("threads")
    try:
        criu.dump(running.container)
        criu.make_archive(running.container, archive)
    finally:
        running.close()
    assert running.container.name[:12] in amber.call("show", archive).stdout
    told = amber.call("inspect", archive).stdout
    for word in ("subject-program", "worker-3"):
        assert word in told
    assert amber.inspect(archive)
