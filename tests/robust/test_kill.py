# SPDX-License-Identifier: Apache-2.0
"""amber dies: kill -9 at random instants of a checkpoint. The container must work on every time, with
nothing left behind, and the next checkpoint must succeed.

AMBER_KILLS (default 200) says how often.
"""
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lib import amber, host, leaks, load, network
from lib.container import Container, read_inside

KILLS = int(os.environ.get("AMBER_KILLS", 200))
WORLD = host.TESTS / "programs/pyworld.py"


def tracers(box):
    """Tasks of the container that somebody traces or that are stopped."""
    found = []
    for outer in host.namespace_pids(box.pid).values():
        try:
            for task in Path(f"/proc/{outer}/task").iterdir():
                status = (task / "status").read_text()
                fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
                if fields["TracerPid"] != "0" or fields["State"][0] in "Tt":
                    found.append(f"{task.name} {fields['Name']} {fields['State']} tracer {fields['TracerPid']}")
        except OSError:
            continue  # it has ended in the meantime
    return found


def maps(box):
    """The executable mappings of the container's init, where a forgotten scratch page would show."""
    text = Path(f"/proc/{box.pid}/maps").read_text()
    return sorted(line.split()[0] for line in text.splitlines() if "x" in line.split()[1])


def beats(box):
    """All counters of pyworld, and its errors."""
    import json
    status = json.loads(read_inside(box.pid, "/home/app/status"))
    assert status["errors"] == [], status["errors"]
    return status["beats"]


def works_on(box, before):
    """Every part of the program moves on."""
    host.until("every part to beat again", lambda: all(beats(box)[part] > n for part, n in before.items()), 10)


@pytest.fixture(scope="module")
def box():
    """pyworld (threads, children, timers, raw system calls), and a client-counted redis beside it in time."""
    inside = "/home/app/pyworld.py"
    box = Container(["/usr/bin/python3", inside, "/home/app/status"], user=(1000, 1000), seccomp=True, cwd="/home/app",
                    files={inside: WORLD}).start()
    yield box
    box.close()


def duration(box, archive):
    """How long a whole checkpoint takes (the middle of three)."""
    took = []
    for _ in range(3):
        start = time.monotonic()
        amber.checkpoint(f"runc:{box.name}", archive)
        took.append(time.monotonic() - start)
        archive.unlink()
    return sorted(took)[1]


def kill_once(target, archive, delay, mark, everything=False):
    """Start a checkpoint, kill it after `delay` seconds; True when it was still running.

    everything: not only the command but also the process it has at work is killed at that instant.
    """
    with subprocess.Popen([amber.BINARY, "checkpoint", "-o", archive, target], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                          env={**os.environ, host.MARK: mark}) as victim:
        time.sleep(delay)
        running = victim.poll() is None
        if everything and running:
            os.killpg(victim.pid, signal.SIGKILL)
        victim.send_signal(signal.SIGKILL)
        victim.wait(20)
    return running


def test_kill_at_random_instants(box, archive):
    host.until("pyworld at work", lambda: (box.upper / "home/app/status").exists() and len(beats(box)) == 12, 30)
    whole = duration(box, archive)
    shape = maps(box)
    luck = random.Random(1)
    hits = 0
    with leaks.Leaks(box.name):
        for turn in range(KILLS):
            before = beats(box)
            hits += kill_once(f"runc:{box.name}", archive, luck.uniform(0, whole * 1.05), box.name)
            host.until(f"nothing stopped after kill {turn}", lambda: not tracers(box), 5)
            if archive.exists():  # complete or not there at all
                amber.verify(archive)
                archive.unlink()
            if turn % 10 == 0:
                works_on(box, before)
        works_on(box, beats(box))
    left = [name for name in os.listdir(archive.parent) if name != archive.name]
    assert not left, left
    assert maps(box) == shape
    assert hits > KILLS * 0.6, f"only {hits} of {KILLS} kills came in time"
    amber.checkpoint(f"runc:{box.name}", archive)
    amber.verify(archive)


def test_kill_under_load(archive):
    """A server whose clients count: no request may fail while amber dies again and again."""
    args = ["/usr/bin/redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", "/data"]
    box = Container(args, user=(999, 999)).start()
    try:
        host.until("redis to answer", lambda: box.inside("redis-cli", "ping", check=False).stdout == "PONG\n")
        clients = load.Load(box.net, "redis", network.SERVER)
        whole = duration(box, archive)
        luck = random.Random(2)
        for _ in range(max(KILLS // 5, 1)):
            kill_once(f"runc:{box.name}", archive, luck.uniform(0, whole), box.name, everything=True)
            host.until("nothing stopped", lambda: not tracers(box), 5)
            archive.unlink(missing_ok=True)
        seen = clients.stop()
        assert seen["failed"] == 0 and seen["requests"] > 100, seen
    finally:
        box.close()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_polite_end(box, archive, sig):
    """Ctrl-C and SIGTERM: amber ends soon, and nothing is left."""
    whole = duration(box, archive)
    for part in (0.2, 0.5, 0.8):
        with subprocess.Popen([amber.BINARY, "checkpoint", "-o", archive, f"runc:{box.name}"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as victim:
            time.sleep(whole * part)
            victim.send_signal(sig)
            victim.communicate(timeout=20)
        assert not tracers(box)
        if archive.exists():
            amber.verify(archive)
            archive.unlink()
        assert os.listdir(archive.parent) == []
    works_on(box, beats(box))


@pytest.mark.parametrize("turn", range(5))
def test_kill_restore(box, archive, tmp_path, turn):
    """kill -9 in the middle of a restore: no process, mount or network namespace stays behind, and what it
    noted in /run/amber is swept away by the next restore."""
    amber.checkpoint(f"runc:{box.name}", archive)
    with leaks.Leaks(box.name):
        with subprocess.Popen([amber.BINARY, "restore", "--detach", archive], stdin=subprocess.DEVNULL, start_new_session=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, host.MARK: box.name}) as victim:
            time.sleep(0.004 + turn * 0.007)
            running = victim.poll() is None
            victim.send_signal(signal.SIGKILL)
            victim.wait(20)
        if not running:
            for pid in copies(box):
                host.kill(pid)
            pytest.skip("the restore was done before the kill")
        host.until("the end of all its processes", lambda: not copies(box), 10)
        amber.Restored(archive).close()


def copies(box):
    """Processes with the container's mark that are not in its pid namespace: those of restored copies."""
    mine, found = set(host.namespace_pids(box.pid).values()), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in mine:
            try:
                environ = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"{host.MARK}={box.name}".encode() in environ and host.alive(int(entry.name)):
                found.append(int(entry.name))
    # A child of the container that was born after the first look is none of a copy.
    return [pid for pid in found if pid not in host.namespace_pids(box.pid).values() and host.alive(pid)]
