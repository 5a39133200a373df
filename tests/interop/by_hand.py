#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""by_hand: a table of what amber and stock criu do with each other's images (docs/interop.md).

Subjects and programs run as plain processes of this machine (in a network of their own) or in runc
containers, all as root: criu reads no limits of other users' processes without CAP_SYS_RESOURCE. The peers'
suite is AMBER_SUITE (sid: criu 4.2). Prints a line for each: where, name, direction, result.

usage: by_hand.py [--where plain|runc] [--way alone|to-criu|to-amber] NAME...
"""
import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parent / "live"), str(HERE.parent / "programs")]
import peer  # noqa: E402  (needs the path above)
import run as live  # noqa: E402
import subjects  # noqa: E402

from lib import amber, host, kv  # noqa: E402

WAYS = ("alone", "to-criu", "to-amber")
PLAIN_OPTIONS = ("--shell-job", "--link-remap", "--network-lock", "skip", *peer.OPTIONS)
PR_SET_CHILD_SUBREAPER = 36
PARTS = subjects.Python.parts


def own_network():
    """Go on in a network namespace of our own, as a parent that reaps whatever is left over."""
    if os.environ.get("AMBER_OWN_NET") != "1":
        os.environ["AMBER_OWN_NET"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    host.run("ip", "link", "set", "lo", "up")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap():
    """Wait for children that were killed; a pid must be free before criu makes it again."""
    for _ in range(50):
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
        except ChildProcessError:
            return


def check(good, what):
    if not good:
        raise host.Failed(what)


class Plain:
    """A process of this machine, with a folder of its own."""

    def __init__(self, folder, argv):
        self.folder = folder
        with open(folder / "log", "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        self.pid = self.process.pid

    def gone(self):
        self.process.wait(10)
        reap()

    def close(self):
        """Whatever still works in the folder, restored processes too."""
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and Path(os.readlink(entry / "cwd")).is_relative_to(self.folder):
                    host.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                pass
        reap()


def plain_redis(folder):
    process = Plain(folder, ["/usr/bin/redis-server", "--save", "", "--dir", folder])
    host.until("redis to answer", lambda: host.run("redis-cli", "ping", check=False).stdout == "PONG\n")
    kv.elsewhere(process.pid, "redis", "fill", subjects.KEYS, subjects.SIZE)
    redis = subjects.Redis()
    before = redis.instant(process)
    return process, lambda pid: redis.judge(pid, before, before)


def plain_memcached(folder):
    memcached = subjects.Memcached()
    process = Plain(folder, ["/usr/bin/memcached", "-u", "root", "-m", "64", "-t", "4", "-l", "127.0.0.1"])
    host.until("memcached to answer", lambda: memcached._up(process.pid))
    kv.elsewhere(process.pid, "memcached", "fill", 5000, subjects.SIZE)
    before = memcached.instant(process)
    return process, lambda pid: memcached.judge(pid, before, before)


def plain_nginx(folder):
    (folder / "hello").write_text("hello from nginx\n")
    (folder / "conf").write_text(
        f"user root; daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/errors; events {{}}\n"
        f"http {{ access_log off; server {{ listen 8080; root {folder}; }} }}\n")
    client = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/hello', timeout=5).read().decode(), end='')"

    def answers(pid):
        done = host.run("nsenter", f"--target={pid}", "--net", "--", sys.executable, "-c", client, check=False)
        return done.stdout == "hello from nginx\n"

    def workers(pid):
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def judge(pid):
        old = workers(pid)
        check(answers(pid) and len(old) == 2, "nginx does not answer with two workers")
        host.kill(pid, signal.SIGHUP)
        host.until("new workers", lambda: len(workers(pid)) == 2 and not workers(pid) & old, 15)
        check(answers(pid), "nginx does not answer after a reload")

    process = Plain(folder, ["/usr/sbin/nginx", "-c", folder / "conf"])
    host.until("nginx to answer", lambda: answers(process.pid))
    return process, judge


def plain_python(folder):
    shutil.copy(HERE.parent / "programs/pyworld.py", folder)
    status = folder / "status"

    def read(pid):
        try:
            return json.loads(Path(f"/proc/{pid}/root{status}").read_text())
        except FileNotFoundError:
            return {}

    def judge(pid):
        time.sleep(1)
        first = read(pid)
        time.sleep(2)
        now = read(pid)
        check(not now["errors"], str(now["errors"]))
        stuck = [part for part, beats in first["beats"].items() if part != "user_signal" and now["beats"][part] <= beats]
        check(not stuck, f"stand still: {stuck}")

    process = Plain(folder, ["/usr/bin/python3", folder / "pyworld.py", status])
    host.until("all parts of pyworld at work", lambda: len(read(process.pid).get("beats", {})) == PARTS, 30)
    return process, judge


def plain_subject(name, folder):
    verdict = folder / "verdict"
    process = Plain(folder, [live.BUILT / f"subject-{name}", verdict])
    host.until("the subject to be ready", lambda: verdict.exists() and "READY" in verdict.read_text())

    def judge(pid):
        said = live.judge(pid, str(verdict), lambda: not host.alive(pid))
        check(said == "PASS", said)
    return process, judge


PLAIN = {"redis": plain_redis, "memcached": plain_memcached, "nginx": plain_nginx, "python": plain_python}


def stock(action, images, *args):
    """criu with its own libraries, in this machine's mounts; its errors when it fails."""
    done = host.run(peer.ROOT / "lib64/ld-linux-x86-64.so.2", "--library-path", peer.ROOT / "usr/lib/x86_64-linux-gnu",
                    peer.ROOT / "usr/sbin/criu", action, "-D", images, "-o", f"{action}.log", "-v4", *args, *PLAIN_OPTIONS, check=False)
    if done.returncode != 0:
        text = (images / f"{action}.log").read_text(errors="replace")
        raise host.Failed(f"criu {action}: " + "\n".join(line for line in text.splitlines() if "Error" in line)[-800:])


def plain(name, way, folder):
    home, images = folder / "home", folder / "checkpoint"
    home.mkdir()
    images.mkdir()
    process, judge = PLAIN[name](home) if name in PLAIN else plain_subject(name, home)
    try:
        if way == "to-criu":
            amber.checkpoint(f"pid:{process.pid}", folder / "a.tar", "--stop")
            host.run("tar", "-C", folder, "-xf", folder / "a.tar")
        else:
            stock("dump", images, "-t", process.pid)
        process.gone()
        if way == "to-amber":
            with amber.Restored(images) as restored:
                judge(host.namespace_pids(restored.pid)[process.pid])
        else:
            stock("restore", images, "-d")
            judge(process.pid)
    finally:
        process.close()


def contained(name):
    """A program or a subject as root in a container: the container, its judge, what to close."""
    if name not in subjects.SUBJECTS:
        running = live.InRunc(name)
        verdict = live.Verdict(running.pid, running.verdict_path)
        said = verdict.wait("^(READY|FAIL.*)$", 20, running.ended)
        verdict.close()
        check(said == "READY", said)

        def judge(pid):
            said = live.judge(pid, running.verdict_path, lambda: not host.alive(pid))
            check(said == "PASS", said)
        return running.container, judge, running
    program = subjects.SUBJECTS[name]()
    box = program.start()
    before = program.instant(box)
    return box, lambda pid: program.judge(pid, before, before), box


def in_runc(name, way, folder):
    box, judge, running = contained(name)
    criu = peer.Criu(folder / "criu")
    try:
        if way == "to-criu":
            amber.checkpoint(f"runc:{box.name}", folder / "a.tar", "--stop")
            criu.take_from(folder / "a.tar")
        else:
            criu.dump(box)
        if way == "to-amber":
            criu.make_archive(box, folder / "a.tar")
            with amber.Restored(folder / "a.tar", "--rootfs", box.lower) as restored:
                judge(host.namespace_pids(restored.pid)[1])
        else:
            judge(criu.restore(box))
    finally:
        running.close()


def as_root():
    """Containers of the programs without users of their own."""
    container = subjects.Container

    def rooted(args, **kw):
        kw.pop("user", None)
        swap = {"nobody": "root", "daemon off;": "daemon off; user root;"}
        return container([swap.get(arg, arg) for arg in args], **kw)
    subjects.Container = rooted


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--where", choices=("plain", "runc"), action="append")
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("name", nargs="+", help=" ".join([*subjects.SUBJECTS, *live.subjects()]))
    args = parser.parse_args()
    own_network()
    host.exit_on_sigterm()
    reason = peer.make_root()
    if reason:
        sys.exit(f"by_hand: {reason}")
    as_root()
    bad = 0
    for name in args.name:
        for where in args.where or ("plain", "runc"):
            for way in args.way or WAYS:
                folder = host.WORK / host.unique()
                folder.mkdir(parents=True)
                folder.chmod(0o755)
                said = "PASS"
                try:
                    {"plain": plain, "runc": in_runc}[where](name, way, folder)
                except (host.Failed, amber.Amber, AssertionError, subprocess.TimeoutExpired, OSError, KeyError) as error:
                    said = f"FAIL {type(error).__name__} {error}"
                    bad += 1
                print(f"{where:6} {name:12} {way:9} {said}", flush=True)
                host.remove_tree(folder)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
