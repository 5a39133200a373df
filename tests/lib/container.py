# SPDX-License-Identifier: Apache-2.0
"""container: a real runc container on an overlay rootfs, with a network whose other end loads it.

start, stop and close are idempotent, and close also happens at exit and on SIGTERM; what a killed test
leaves behind is removed by `tests/lib/cleanup`.
"""
import json
import os
import subprocess
from pathlib import Path

from lib import host, rootfs, spec
from lib.network import Network

RUNC = "runc"


class Container:
    """One container. self.pid is its init as this machine sees it, self.upper what it changed on disk."""

    def __init__(self, args, files=None, network=True, env=(), **spec_args):
        """args: the command; files: {path inside: bytes, str or Path to copy}; the rest as in spec.make()."""
        self.name = host.unique()
        self.dir = host.WORK / self.name
        self.upper = self.dir / "upper"
        self.root = self.dir / "rootfs"
        self.lower = rootfs.base()
        self.pid = None
        self.undo = host.Undo()
        self.undo.add(host.remove_tree, self.dir)
        for folder in (self.upper, self.dir / "work", self.root):
            folder.mkdir(parents=True)
        host.run("mount", "-t", "overlay", self.name, "-o",
                 f"lowerdir={self.lower},upperdir={self.upper},workdir={self.dir / 'work'}", self.root)
        self.undo.add(host.unmount_below, self.root)
        for inside, content in (files or {}).items():
            self.put(inside, content)
        self.net = None
        if network:
            self.net = Network(self.name)
            self.undo.add(self.net.close)
        mark = f"{host.MARK}={self.name}"
        made = spec.make(self.name, args, self.root, self.net.path if self.net else None, env=[mark, *env], **spec_args)
        (self.dir / "config.json").write_text(json.dumps(made, indent=1))

    def put(self, inside, content):
        """Write one file of the rootfs; a Path is copied with its mode."""
        target = self.root / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            target.write_bytes(content.read_bytes())
            target.chmod(content.stat().st_mode & 0o7777)
        else:
            target.write_bytes(content.encode() if isinstance(content, str) else content)

    def start(self):
        """Create and start it; its output goes to log files through pipes that another process reads, as under a shim."""
        if self.pid:
            return self
        pipes = []
        for stream in ("stdout", "stderr"):
            # The reader ends by itself when the container's ends are closed.
            with open(self.dir / stream, "ab") as log:
                reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log, start_new_session=True)
            pipes.append(reader)
        self.undo.add(self.stop)
        pidfile = self.dir / "pid"
        done = subprocess.run([RUNC, "run", "--detach", "--bundle", str(self.dir), "--pid-file", str(pidfile), self.name],
                              stdin=subprocess.DEVNULL, stdout=pipes[0].stdin, stderr=pipes[1].stdin, timeout=60, check=False)
        for reader in pipes:
            reader.stdin.close()
            self.undo.add(reader.wait, 10)
        if done.returncode != 0:
            raise host.Failed(f"runc run: exit {done.returncode}\n{self.log('stdout')}{self.log('stderr')}")
        self.pid = int(pidfile.read_text())
        # stop() must come before waiting for the readers.
        self.undo.add(self.stop)
        return self

    def log(self, stream="stderr"):
        """What the container wrote so far."""
        return (self.dir / stream).read_text(errors="replace")

    def running(self):
        return self.pid is not None and host.alive(self.pid)

    def inside(self, *argv, check=True, **kw):
        """Run a command in the container's namespaces and root, as a debugging person would."""
        return in_namespaces(self.pid, *argv, check=check, **kw)

    def exec(self, *argv, check=True, **kw):
        """runc exec."""
        return host.run(RUNC, "exec", self.name, *argv, check=check, **kw)

    def stop(self):
        """Kill and delete it; nothing happens when it is gone."""
        if self.pid is None:
            return
        host.run(RUNC, "delete", "--force", self.name, check=False)
        host.until("end of the container's init", lambda: not host.alive(self.pid), 10)
        self.pid = None

    def close(self):
        self.undo.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_exc):
        self.close()


def in_namespaces(pid, *argv, check=True, **kw):
    """Run argv inside the namespaces and the root of another process."""
    return host.run("nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", f"--root=/proc/{pid}/root",
                    f"--wd=/proc/{pid}/root", "--", *argv, check=check, **kw)


def read_inside(pid, path):
    """The bytes of a file as that process would see it."""
    return Path(f"/proc/{pid}/root", path.lstrip("/")).read_bytes()


def cgroup_dirs(name):
    """Folders of a container's cgroup in every hierarchy."""
    found = []
    for top, dirs, _files in os.walk("/sys/fs/cgroup"):
        found += [Path(top, d) for d in dirs if d == name]
        if top.count("/") > 6:
            dirs.clear()
    return found
