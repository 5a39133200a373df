#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run: check subject programs by checkpoint: each says itself whether its state is as it was.

Four modes: the subject runs as a plain process of this machine (host) or as the init of a runc container
(runc), and is either left running by the checkpoint (leave) or stopped by it and restored (restore).

usage: run.py [--mode host-leave|host-restore|runc-leave|runc-restore] [--keep FOLDER] [SUBJECT...]
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lib import amber, container, host  # noqa: E402  (needs the path above)

MODES = ("host-leave", "host-restore", "runc-leave", "runc-restore")
BUILT = Path(os.environ.get("AMBER_SUBJECTS", host.TOP / "build/tests/live"))
# These look at namespaces that a plain process shares with the whole machine.
CONTAINER_ONLY = {"sysvipc", "netns"}


def subjects():
    """Names of all subjects, from the build file."""
    listed = re.search(r"subjects = \[(.*?)\]", (Path(__file__).parent / "meson.build").read_text(), re.S)
    return re.findall(r"'([^']+)'", listed.group(1))


# These wait on System V objects of the machine's own namespace, which no copy can have.
NOT_HOST_RESTORE = {"restart", "calls"}
# These wait on what no copy can have yet (asynchronous I/O, POSIX message queues).
NOT_RESTORE = {"calls-more"}


def applies(subject, mode):
    if mode.endswith("restore") and subject in NOT_RESTORE:
        return False
    if mode == "host-restore" and subject in NOT_HOST_RESTORE:
        return False
    return not (subject in CONTAINER_ONLY and mode.startswith("host"))


class OnHost:
    """A subject as a plain process in a session of its own."""

    def __init__(self, subject):
        self.name = host.unique()
        self.dir = host.WORK / self.name
        self.dir.mkdir(parents=True)
        self.undo = host.Undo()
        self.undo.add(host.remove_tree, self.dir)
        self.verdict_path = str(self.dir / "verdict")
        env = {"PATH": os.environ["PATH"], host.MARK: self.name}
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([BUILT / f"subject-{subject}", self.verdict_path], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.dir, env=env, start_new_session=True)
        self.undo.add(self._end)
        self.pid = self.process.pid
        self.inner_pid = self.pid
        self.target = f"pid:{self.pid}"

    def _end(self):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if f"{host.MARK}={self.name}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                        host.kill(int(entry.name))
                except OSError:
                    pass
        self.process.wait(10)

    def ended(self):
        return self.process.poll() is not None

    def close(self):
        self.undo.close()


class InRunc:
    """A subject as the init of a container."""

    def __init__(self, subject):
        self.verdict_path = "/subject/verdict"
        self.container = container.Container(["/subject-program", self.verdict_path],
                                             files={"/subject-program": BUILT / f"subject-{subject}"})
        self.container.start()
        self.pid = self.container.pid
        self.inner_pid = 1
        self.target = f"runc:{self.container.name}"

    def ended(self):
        return not host.alive(self.pid)

    def close(self):
        self.container.close()


class Verdict:
    """The verdict file as the subject sees it; readable even when its mount namespace has died."""

    def __init__(self, pid, path):
        self.root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY)
        self.path = path.lstrip("/")

    def text(self):
        try:
            fd = os.open(self.path, os.O_RDONLY, dir_fd=self.root)
        except FileNotFoundError:
            return ""
        with os.fdopen(fd) as file:
            return file.read()

    def wait(self, pattern, timeout, ended):
        """Wait for a line that matches; a subject that ends without it has failed."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            dead = ended()
            found = re.search(pattern, self.text(), re.M)
            if found:
                return found.group()
            if dead:
                return "died without a verdict"
            time.sleep(0.01)
        return f"no verdict within {timeout} s"

    def close(self):
        os.close(self.root)


def judge(pid, path, ended):
    """Ask the subject for its verdict."""
    verdict = Verdict(pid, path)
    try:
        host.kill(pid, signal.SIGUSR1)
        return verdict.wait("^(PASS|FAIL.*)$", 20, ended)
    finally:
        verdict.close()


def run(subject, mode, archive):
    """One subject in one mode; returns "PASS" or what went wrong."""
    where, how = mode.split("-")
    running = (OnHost if where == "host" else InRunc)(subject)
    try:
        verdict = Verdict(running.pid, running.verdict_path)
        try:
            said = verdict.wait("^(READY|FAIL.*)$", 20, running.ended)
        finally:
            verdict.close()
        if said != "READY":
            return f"before the checkpoint: {said}"
        if how == "leave":
            amber.checkpoint(running.target, archive)
            return judge(running.pid, running.verdict_path, running.ended)
        amber.checkpoint(running.target, archive, "--stop")
        host.until("the stopped subject to be gone", running.ended, 10)
        with amber.Restored(archive) as restored:
            outer = host.namespace_pids(restored.pid).get(running.inner_pid)
            if outer is None:
                return f"no process {running.inner_pid} in the sandbox"
            return judge(outer, running.verdict_path, lambda: not host.alive(outer))
    finally:
        running.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=MODES, action="append")
    parser.add_argument("--keep", type=Path, help="keep the archives in this folder")
    parser.add_argument("subject", nargs="*", help=" ".join(subjects()))
    args = parser.parse_args()
    host.exit_on_sigterm()
    if not amber.BINARY.exists():
        sys.exit(f"run: {amber.BINARY} is not built; run make first")
    folder = args.keep or host.WORK / host.unique()
    folder.mkdir(parents=True, exist_ok=True)
    bad = 0
    for subject in args.subject or subjects():
        for mode in args.mode or MODES:
            if not applies(subject, mode):
                continue
            archive = folder / f"{subject}-{mode}.tar"
            try:
                said = run(subject, mode, archive)
            except (host.Failed, amber.Amber, subprocess.TimeoutExpired) as error:
                said = str(error)
            bad += said != "PASS"
            print(f"{subject:14} {mode:13} {said}", flush=True)
            if not args.keep:
                archive.unlink(missing_ok=True)
    if not args.keep:
        folder.rmdir()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
