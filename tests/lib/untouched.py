# SPDX-License-Identifier: Apache-2.0
"""untouched: what a container must look like when amber has gone, however it went.

The one place that knows: what root sees of every process (mappings, their flags, descriptors, limits,
signals, tracer, state, threads) before and after, and what the subject `churn` (tests/tells/churn.c) counts
of itself. tests/tells knows the rest, which can be seen only from inside and while it happens.
"""
import os
import re
import struct
from pathlib import Path

from lib import host

# Of /proc/PID/status: what nobody but the process itself may change.
STEADY = ("TracerPid", "Threads", "FDSize", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "VmSize", "VmLck", "VmPin", "Seccomp",
          "NoNewPrivs", "CapEff", "CapBnd", "Umask")
# Flags of mappings that are registered with a userfaultfd: for write protection, missing pages, minor faults.
REGISTERED = {"uw", "um", "ui"}
# struct blocked_count of tests/tells/blocked.h: name, timeout, ended[4], early[4], rounds[4], late_us[4], error.
BLOCKED = struct.Struct("<24si4x16qi4x")
BLOCKED_MAX = 32
CHURN = ("ready", "processes", "wrong", "ended", "early", "signals", "calls")


def process(pid):
    """What must stay as it is of one process, as a set of texts. A process that has gone has nothing."""
    try:
        proc = Path(f"/proc/{pid}")
        facts = {f"status {line}" for line in (proc / "status").read_text().splitlines() if line.split(":")[0] in STEADY}
        facts |= {f"limits {line}" for line in (proc / "limits").read_text().splitlines()}
        facts |= {f"thread {name}" for name in os.listdir(proc / "task")}
        facts |= {f"descriptor {fd} {os.readlink(proc / 'fd' / fd)}" for fd in os.listdir(proc / "fd")}
        mapping = None
        for line in (proc / "smaps").read_text().splitlines():
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                mapping = " ".join(line.split()[:3] + line.split()[5:])
                facts.add(f"mapping {mapping}")
            elif line.startswith("VmFlags:"):
                facts.add(f"flags {mapping}: {line[8:].strip()}")
        return facts
    except FileNotFoundError:
        return set()


def stopped(pid):
    """The threads that are traced or stand, as texts."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            fields = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            if fields["TracerPid"] != "0" or fields["State"][0] in "Tt":
                found.append(f"{task.name} {fields['Name']} {fields['State']} tracer {fields['TracerPid']}")
    except OSError:
        pass  # it has ended in the meantime
    return found


def registered(pid):
    """Mappings of a process that some userfaultfd watches."""
    found, mapping = [], None
    try:
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                mapping = line
            elif line.startswith("VmFlags:") and REGISTERED & set(line.split()[1:]):
                found.append(mapping)
    except OSError:
        pass
    return found


def tree(pid):
    """A process and all of its descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


class Untouched:
    """All processes below one, as they are now; left() says what is different later."""

    def __init__(self, pid):
        self.pid = pid
        self.before = {each: process(each) for each in tree(pid)}

    def left(self):
        """What is different now, as texts: first what is more, then what is missing."""
        now = {each: process(each) for each in tree(self.pid)}
        found = [f"process {each} is new" for each in now if each not in self.before]
        for each, facts in self.before.items():
            later = now.get(each, set())
            found += [f"{each}: more: {fact}" for fact in sorted(later - facts)]
            found += [f"{each}: missing: {fact}" for fact in sorted(facts - later)]
            found += [f"{each}: stopped: {text}" for text in stopped(each)]
            found += [f"{each}: write-protected: {text}" for text in registered(each)]
        return found

    def check(self, what, timeout=5):
        """Nothing is different, soon."""
        try:
            host.until(what, lambda: not self.left(), timeout)
        except host.Failed:
            raise AssertionError(f"{what}:\n" + "\n".join(self.left()[:40])) from None


class Churn:
    """The counters of a `churn`. path: its status file, as this machine can open it."""

    def __init__(self, path):
        self.path = Path(path)

    def read(self):
        data = self.path.read_bytes()
        head = struct.unpack_from(f"<{len(CHURN) + 8}q", data)
        counts = dict(zip(CHURN, head))
        counts["turns"] = head[len(CHURN):len(CHURN) + counts["processes"]]
        return counts

    def calls(self):
        """The blocking calls that did not go as they should, as texts."""
        data, found = self.path.read_bytes(), []
        for n in range(BLOCKED_MAX):
            name, _timeout, *counts, error = BLOCKED.unpack_from(data, 8 * (len(CHURN) + 8) + n * BLOCKED.size)
            if counts[0] or counts[4]:
                text = os.strerror(error) if error else "success"
                found.append(f"{name.rstrip(bytes(1)).decode()}: {counts[0]} ended ({text}), {counts[4]} early, of {counts[8]}")
        return found

    def ready(self):
        try:
            counts = self.read()
        except (OSError, struct.error):
            return False
        return counts["ready"] == 1 and counts["calls"] > 0 and all(turns > 200 for turns in counts["turns"])

    def check(self):
        """No call has ended, no page was wrong, no signal came; returns the counters."""
        counts = self.read()
        bad = {name: counts[name] for name in ("wrong", "ended", "early", "signals") if counts[name]}
        assert not bad, f"the subject noticed: {bad} {self.calls()}"
        return counts

    def moves_on(self, before, timeout=10):
        """Every process writes on, and calls with a timeout return."""
        def on():
            now = self.check()
            return now["calls"] > before["calls"] and all(a > b for a, b in zip(now["turns"], before["turns"]))
        host.until("every part of the subject to move on", on, timeout)
