# SPDX-License-Identifier: Apache-2.0
"""leaks: what is on this machine before and after, of the kinds that amber could leave behind.

Counts only what can be told to be amber's or the tests' own (by name, by executable, by the mark in
the environment), so that other work on the machine does not disturb. While another test run lives here,
what has no owner's name on it (a sandbox, a file in /tmp) may be that one's and is not counted.
"""
import os
import re
from pathlib import Path

from lib import host
from lib.amber import BINARY

FOLDERS = ("/tmp", "/dev/shm", "/run/netns", "/var/lib/amber-t", "/run/runc")
# amber's own folders: everything in them counts, but for the one that stays for the next sandbox.
OWN = ("/run/amber", "/var/lib/amber")
STAYS = "/run/amber/sandboxes"


def processes(mark):
    """amber itself, and everything started (or restored) with our mark."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes()
            exe = os.readlink(entry / "exe")
        except OSError:
            continue
        ours = f"{host.MARK}={mark}".encode() in environ.split(b"\0")
        if ours or (exe == str(BINARY) and f"{host.MARK}=".encode() in environ):
            found.add(f"process {entry.name} {exe}")
    return found


def strangers():
    """Another test run is at work on this machine."""
    names = os.listdir(host.WORK) if host.WORK.exists() else []
    return any(n.startswith(host.PREFIX) and host.owner_alive(n) and owner(n) != os.getpid() for n in names)


def owner(text):
    """The test process whose name is in the text, or None."""
    found = re.search(re.escape(host.PREFIX) + r"(\d+)", text)
    return int(found.group(1)) if found else None


def snapshot(mark):
    """The set of everything of ours that exists now."""
    found = processes(mark)
    found |= {f"mount {m}" for m in host.mounts() if "amber" in m}
    for folder in FOLDERS:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        found |= {f"file {folder}/{n}" for n in names if "amber" in n}
    for own in OWN:
        for top, dirs, files in os.walk(own):
            found |= {f"file {top}/{n}" for n in dirs + files if f"{top}/{n}" != STAYS}
    for top, dirs, _files in os.walk("/sys/fs/cgroup"):
        found |= {f"cgroup {top}/{d}" for d in dirs if d.startswith("amber") and d not in ("amber", "amber-t")}
    return found


class Leaks:
    """Compare the machine with itself: with Leaks(name): ... raises when something was left."""

    def __init__(self, mark, timeout=10):
        self.mark = mark
        self.timeout = timeout
        self.before = None
        self.crowded = False  # somebody else was at work at some time

    def __enter__(self):
        self.before = snapshot(self.mark)
        self.crowded = strangers()
        return self

    def left(self):
        self.crowded = self.crowded or strangers()
        wanted = (os.getpid(),) if self.crowded else (os.getpid(), None)
        return sorted(f for f in snapshot(self.mark) - self.before if f.startswith("process") or owner(f) in wanted)

    def __exit__(self, kind, *_exc):
        if kind is None:
            try:
                host.until("nothing left behind", lambda: not self.left(), self.timeout, 0.2)
            except host.Failed:
                raise AssertionError("left behind:\n" + "\n".join(self.left())) from None
