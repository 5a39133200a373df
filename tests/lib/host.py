# SPDX-License-Identifier: Apache-2.0
"""host: this machine as the tests use it: running commands, waiting, names, and taking things away.

Everything a test makes outside its own folder carries a name `amber-t-<pid>-<n>`: <pid> is the test
process that owns it. Whatever belongs to a dead owner may be removed by anyone (see `cleanup`), whatever
belongs to a living one never is: several people may test on one machine at once.
"""
import atexit
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PREFIX = "amber-t-"
WORK = Path("/var/lib/amber-t")
TESTS = Path(__file__).resolve().parent.parent
TOP = TESTS.parent
CACHE = Path(os.environ.get("AMBER_TEST_CACHE", "/var/cache/amber-tests"))
# Set in the environment of everything we start, so that a stray process can be told from a stranger's.
MARK = "AMBER_TEST_RUN"

_counter = itertools.count(1)


class Failed(Exception):
    """A command that had to succeed did not."""


def unique(kind=""):
    """A new name of our own: amber-t-<pid>-<n>[kind]."""
    return f"{PREFIX}{os.getpid()}-{next(_counter)}{kind}"


def owner_alive(name):
    """True when the process in amber-t-<pid>-... still runs (or the name is not one of ours)."""
    try:
        pid = int(name[len(PREFIX):].split("-")[0])
    except ValueError:
        return True
    return Path(f"/proc/{pid}").exists()


def run(*argv, check=True, timeout=120, **kw):
    """Run a command to its end, text in and out; Failed (with all it said) unless it exits with 0."""
    argv = [str(a) for a in argv]
    kw.setdefault("stdin", subprocess.DEVNULL)
    if "input" in kw:
        kw.pop("stdin")
    done = subprocess.run(argv, text=True, capture_output=True, timeout=timeout, check=False, **kw)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done


def until(what, condition, timeout=20.0, step=0.02):
    """Poll until condition() is true and return its value; Failed with `what` when time is up."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {timeout:g} s in vain for: {what}")
        time.sleep(step)


def alive(pid):
    """True when the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def kill(pid, sig=signal.SIGKILL):
    """Send a signal; a process that is gone already is fine."""
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def namespace_pids(pid):
    """All processes of this machine in the pid namespace of `pid`, with their pid inside: {inner: outer}."""
    wanted = os.stat(f"/proc/{pid}/ns/pid").st_ino
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.stat(entry / "ns/pid").st_ino != wanted:
                continue
            status = (entry / "status").read_text()
        except OSError:
            continue
        inner = [line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")]
        found[int(inner[0])] = int(entry.name)
    return found


def mounts():
    """Mount points of this mount namespace."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        points.append(line.split()[4].replace("\\040", " "))
    return points


def unmount_below(path):
    """Unmount everything at or below path, deepest first; lazily, so that it cannot fail half-way."""
    path = str(path)
    mine = [m for m in mounts() if m == path or m.startswith(path + "/")]
    for point in sorted(mine, key=len, reverse=True):
        run("umount", "-l", point, check=False)


class Undo:
    """A stack of things to take back, run once: on close(), at exit, or on SIGTERM."""

    def __init__(self):
        self._steps = []
        atexit.register(self.close)

    def add(self, fn, *args, **kw):
        self._steps.append((fn, args, kw))

    def close(self):
        while self._steps:
            fn, args, kw = self._steps.pop()
            try:
                fn(*args, **kw)
            except Exception as error:  # the other steps must still run
                print(f"cleanup: {fn.__name__}: {error}", file=sys.stderr)
        atexit.unregister(self.close)


def exit_on_sigterm():
    """Make SIGTERM and SIGHUP end Python the ordinary way, so that atexit and finally run."""
    def leave(signum, _frame):
        sys.exit(128 + signum)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


def remove_tree(path):
    """Remove a folder of ours, never through a mount point."""
    unmount_below(path)
    shutil.rmtree(path, ignore_errors=True)
