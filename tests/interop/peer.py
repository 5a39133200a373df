# SPDX-License-Identifier: Apache-2.0
"""peer: stock criu, crit and checkpointctl from the tree of a Debian suite, and archives made of criu's images.

runc calls criu as a child of its own, so it is given a small script that starts the tree's criu with the
tree's libraries; everything else runs in the tree (`in-root`).
"""
import json
import os
import subprocess
import time
from pathlib import Path

from lib import host

HERE = Path(__file__).resolve().parent
SUITE = os.environ.get("AMBER_SUITE", "trixie")
ROOT = Path(os.environ.get("AMBER_PEERS", f"/var/cache/amber-tests/{SUITE}"))
OPTIONS = ("--tcp-established", "--file-locks", "--ext-unix-sk")
# Images that are no protobuf: pages, and what ip, iptables and tar wrote.
RAW = ("pages-", "ifaddr-", "route-", "route6-", "rule-", "iptables-", "ip6tables-", "nftables-", "tmpfs-")


def make_root():
    """Make the tree if it is missing; returns None, or why it cannot be had."""
    done = subprocess.run([HERE / "make-root"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def in_root(share, *argv, **kw):
    """Run a command in the tree; the folder `share` is at the same path there."""
    return host.run(HERE / "in-root", *argv, env={**os.environ, "AMBER_SHARE": str(share)}, **kw)


class Criu:
    """Stock criu below runc. Its logs and images lie in `folder`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.images = self.folder / "images"
        self.work = self.folder / "work"
        bin_dir = self.folder / "bin"
        for each in (self.images, self.work, bin_dir):
            each.mkdir(parents=True, exist_ok=True)
        # Packet filters are not needed to hold still a network that is a container's own; files without their
        # name come back by another link.
        (self.folder / "criu.conf").write_text("network-lock skip\nlink-remap\n")
        script = bin_dir / "criu"
        script.write_text("#!/bin/sh\n"
                          f"export CRIU_CONFIG_FILE={self.folder}/criu.conf\n"
                          f"exec {ROOT}/lib64/ld-linux-x86-64.so.2 --library-path {ROOT}/usr/lib/x86_64-linux-gnu "
                          f"{ROOT}/usr/sbin/criu \"$@\"\n")
        script.chmod(0o755)
        self.env = {**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}"}

    def errors(self, log):
        """The error lines of one of criu's logs."""
        try:
            text = (self.work / log).read_text(errors="replace")
        except OSError:
            return "no log"
        return "\n".join(line for line in text.splitlines() if "Error" in line or "Warn" in line)[-3000:]

    def dump(self, box):
        """runc checkpoint: the container is gone afterwards."""
        done = host.run("runc", "checkpoint", *OPTIONS, "--image-path", self.images, "--work-path", self.work, box.name,
                        check=False, env=self.env)
        if done.returncode != 0:
            raise host.Failed(f"runc checkpoint: {done.stderr}\n{self.errors('dump.log')}")
        host.until("the dumped container to be gone", lambda: not host.alive(box.pid), 10)

    def restore(self, box):
        """runc restore into the container's own bundle; returns the pid of the new init."""
        host.run("runc", "delete", "--force", box.name, check=False)
        descriptors = self.images / "descriptors.json"
        if not descriptors.exists():
            descriptors.write_text('["/dev/null","/dev/null","/dev/null"]')
        pidfile = self.folder / "pid"
        with open(self.folder / "restored.log", "ab") as log:
            done = subprocess.run(["runc", "restore", "--detach", *OPTIONS, "--image-path", self.images, "--work-path", self.work,
                                   "--bundle", box.dir, "--pid-file", pidfile, box.name], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log, timeout=60, check=False, env=self.env)
        if done.returncode != 0:
            raise host.Failed(f"runc restore: {(self.folder / 'restored.log').read_text()[-1000:]}\n{self.errors('restore.log')}")
        box.pid = int(pidfile.read_text())
        return box.pid

    def take_from(self, archive):
        """Put the images of one of amber's archives where restore() looks."""
        host.run("tar", "-C", self.folder, "--transform", "s,^\\(\\./\\)*checkpoint,images,", "-xf", archive, "--wildcards", "*checkpoint/*")
        self._network_from_outside()

    def _network_from_outside(self):
        """Say in the images, as an engine's option would have at the dump, that the network namespace is given
        from outside: runc's restore always passes the one of the bundle, and an empty one where none is asked for."""
        script = ("import json, sys, pycriu\n"
                  "for path in sys.argv[1:]:\n"
                  "    image = pycriu.images.load(open(path, 'rb'))\n"
                  "    image['entries'][0]['ext_key'] = 'extRootNetNS'\n"
                  "    pycriu.images.dump(image, open(path, 'wb'))\n")
        in_root(self.folder, "python3", "-c", script, *self.images.glob("netns-*.img"))

    def make_archive(self, box, archive):
        """The tar that an engine would have made of what dump() wrote."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        staging = self.folder / "archive"
        staging.mkdir()
        self.images.rename(staging / "checkpoint")
        (staging / "config.dump").write_text(json.dumps({
            "id": box.name, "name": box.name, "rootfsImage": "box", "rootfsImageRef": "box", "rootfsImageName": "registry.invalid/amber/box:1",
            "runtime": "runc", "createdTime": now, "checkpointedTime": now}))
        (staging / "spec.dump").write_text((box.dir / "config.json").read_text())
        host.run("tar", "-C", box.upper, "-cf", staging / "rootfs-diff.tar", ".")
        (staging / "dump.log").write_text((self.work / "dump.log").read_text(errors="replace"))
        stats = next(p for p in (self.work / "stats-dump", staging / "checkpoint/stats-dump") if p.exists())
        (staging / "stats-dump").write_bytes(stats.read_bytes())
        host.run("tar", "-C", staging, "-cf", archive, ".")


def decodable(folder):
    """The image files that crit ought to understand."""
    return sorted(p for p in Path(folder).glob("*.img") if not p.name.startswith(RAW))
