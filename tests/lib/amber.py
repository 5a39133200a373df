# SPDX-License-Identifier: Apache-2.0
"""amber: the command under test, called as a person would call it, its JSON as Python values."""
import json
import os
import subprocess
from pathlib import Path

from lib import host
from lib.container import in_namespaces

SANDBOXES = Path("/run/amber/sandboxes")
BINARY = Path(os.environ.get("AMBER", host.TOP / "build/amber"))


class Amber(Exception):
    """amber failed; .code and .text say how."""

    def __init__(self, argv, done):
        super().__init__(f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr[-4000:]}{done.stdout[-1000:]}")
        self.code = done.returncode
        self.text = done.stderr


def call(*argv, timeout=180, check=True, **kw):
    """Run amber; returns the completed process, raises Amber on failure."""
    argv = [str(BINARY), *[str(a) for a in argv]]
    done = subprocess.run(argv, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False, **kw)
    if check and done.returncode != 0:
        raise Amber(argv, done)
    return done


def checkpoint(target, archive, *options):
    """amber checkpoint --json; returns what it printed."""
    return json.loads(call("checkpoint", "--json", "-o", archive, *options, target).stdout)


def verify(archive):
    return call("verify", archive)


def inspect(archive):
    return json.loads(call("inspect", "--json", archive).stdout)


class Restored:
    """A sandbox brought up from an archive. self.pid is its init as this machine sees it."""

    def __init__(self, archive, *options):
        self.json = json.loads(call("restore", "--detach", "--json", *options, archive).stdout)
        self.name = self.json["name"]
        self.pid = self.json["pid"]
        self.undo = host.Undo()
        self.undo.add(self._end)

    def inside(self, *argv, **kw):
        """Run a command in the sandbox's namespaces."""
        return in_namespaces(self.pid, *argv, **kw)

    def running(self):
        return host.alive(self.pid)

    def _end(self):
        host.kill(self.pid)
        host.until(f"end of sandbox {self.name}", lambda: not host.alive(self.pid), 10)
        host.until(f"sandbox {self.name} to be cleared away", lambda: not list(SANDBOXES.glob(f"{self.name}*")), 10)

    def close(self):
        self.undo.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()
