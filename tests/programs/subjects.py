# SPDX-License-Identifier: Apache-2.0
"""subjects: the real programs: how each is started, loaded, and asked whether it is itself.

A row knows nothing of checkpoints. `judge(pid, known)` looks at a running copy, the original or a
restored one, and asserts; `known` is what was true of the original at the instant (see `instant`).
"""
import json
import time
from pathlib import Path

from lib import host, kv, load, network
from lib.container import Container, in_namespaces, read_inside

KEYS, SIZE = 20000, 300


class Redis:
    """redis-server as its own user, with four counting clients."""

    def start(self):
        args = ["/usr/bin/redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", "/data"]
        box = Container(args, user=(999, 999), seccomp=True).start()
        host.until("redis to answer", lambda: in_namespaces(box.pid, "redis-cli", "ping", check=False).stdout == "PONG\n")
        kv.elsewhere(box.pid, "redis", "fill", KEYS, SIZE)
        return box

    def load(self, box):
        return [load.Load(box.net, "redis", network.SERVER)]

    def instant(self, box):
        return kv.elsewhere(box.pid, "redis", "digest")

    def judge(self, pid, before, after):
        """Every key the same; each counter between what it was before the checkpoint and after it."""
        now = kv.elsewhere(pid, "redis", "digest")
        assert (now["keys"], now["digest"]) == (before["keys"], before["digest"])
        assert now["keys"] == KEYS
        for key, count in now["live"].items():
            assert before["live"][key] <= count <= after["live"][key], key
        assert in_namespaces(pid, "redis-cli", "set", "written:after", "yes").stdout == "OK\n"
        assert in_namespaces(pid, "redis-cli", "get", "written:after").stdout == "yes\n"
        assert in_namespaces(pid, "redis-cli", "del", "written:after").stdout == "1\n"


class Memcached:
    """memcached with its worker threads."""

    def start(self):
        box = Container(["/usr/bin/memcached", "-u", "nobody", "-m", "64", "-t", "4"]).start()
        host.until("memcached to answer", lambda: self._up(box.pid))
        kv.elsewhere(box.pid, "memcached", "fill", 5000, SIZE)
        return box

    @staticmethod
    def _up(pid):
        try:
            return kv.elsewhere(pid, "memcached", "get", "nothing") == {"nothing": ""}
        except kv.Wrong:
            return False

    def load(self, box):
        return [load.Load(box.net, "memcached", network.SERVER)]

    def instant(self, box):
        live = kv.elsewhere(box.pid, "memcached", "get", *[f"live:{n}" for n in range(4)])
        return {key: int(held or 0) for key, held in live.items()}

    def judge(self, pid, before, after):
        assert kv.elsewhere(pid, "memcached", "digest", 5000, SIZE) == {"keys": 5000, "right": 5000}
        now = kv.elsewhere(pid, "memcached", "get", *before)
        for key, held in now.items():
            assert before[key] <= int(held or 0) <= after[key], key


class Nginx:
    """nginx, master and two workers, under wrk: on kept connections, on new ones, and watched by exact clients."""

    def start(self):
        box = Container(["/usr/sbin/nginx", "-g", "daemon off;"]).start()
        host.until("nginx to listen", lambda: self._get(box.pid, "/hello") == "hello from nginx\n")
        return box

    @staticmethod
    def _get(pid, path):
        """A page by busybox's own client, inside."""
        request = f"GET {path} HTTP/1.0\\r\\nHost: box\\r\\n\\r\\n"
        out = in_namespaces(pid, "sh", "-c", f"printf '{request}' | nc 127.0.0.1 8080", check=False, timeout=20).stdout
        return out.partition("\n\n")[2] or out.partition("\r\n\r\n")[2]

    def load(self, box):
        return [load.Wrk(box.net, network.SERVER, keep=True), load.Wrk(box.net, network.SERVER, keep=False),
                load.Load(box.net, "http", network.SERVER, 2, 5), load.Load(box.net, "http-close", network.SERVER, 2, 5)]

    def instant(self, box):
        return len(host.namespace_pids(box.pid))

    def judge(self, pid, before, after):
        assert before == after == len([p for p in host.namespace_pids(pid) if p < 100000])
        assert self._get(pid, "/hello") == "hello from nginx\n"
        assert self._get(pid, "/index.html").count("amber") == 500
        # The master still is one: told to reload, it replaces its workers.
        workers = set(host.namespace_pids(pid)) - {1}
        in_namespaces(pid, "kill", "-HUP", "1")
        host.until("new workers", lambda: len(set(host.namespace_pids(pid)) - {1} - workers) == 2, 15)
        assert self._get(pid, "/hello") == "hello from nginx\n"


class Python:
    """pyworld.py, which judges itself; it needs no load from outside."""

    parts = 12

    def start(self):
        program = Path(__file__).parent / "pyworld.py"
        box = Container(["/usr/bin/python3", "/home/app/pyworld.py", "/home/app/status"], user=(1000, 1000), seccomp=True,
                        cwd="/home/app", files={"/home/app/pyworld.py": program})
        box.start()
        host.until("all parts of pyworld at work", lambda: len(self._status(box.pid).get("beats", {})) == self.parts, 30)
        return box

    @staticmethod
    def _status(pid):
        try:
            return json.loads(read_inside(pid, "/home/app/status"))
        except FileNotFoundError:
            return {}

    def load(self, _box):
        return []

    def instant(self, box):
        return self._status(box.pid)

    def judge(self, pid, before, after):
        """No error, every part moves on, no more lateness than one jump a part (the time it was no process)."""
        first = self._status(pid)
        in_namespaces(pid, "kill", "-USR1", "1")
        time.sleep(2)
        now = self._status(pid)
        assert now["errors"] == []
        for part, beats in before["beats"].items():
            assert first["beats"][part] >= beats, part
            assert now["beats"][part] > first["beats"][part], part
        assert now["beats"]["user_signal"] == before["beats"].get("user_signal", 0) + 1
        assert now["jumps"] <= before["jumps"] + self.parts
        assert abs(now["tasks"] - before["tasks"]) <= 2  # threads that answer new connections come and go

    def judge_original(self, box):
        """The container itself: nothing was late enough to notice."""
        status = self._status(box.pid)
        assert status["errors"] == [] and status["jumps"] == 0, status


SUBJECTS = {"redis": Redis, "memcached": Memcached, "nginx": Nginx, "python": Python}
