#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""load: steady clients that notice everything: a lost or doubled request, a wrong answer, a hang-up.

As a program it runs until SIGTERM and then prints what it saw as JSON; the class Load starts it on the
client's side of a container's network. The number of clients and their pace are bounded, and the whole
ends by itself after AMBER_LOAD_SECONDS (default 900).

usage: load.py redis|memcached|http|http-close ADDRESS [CLIENTS [PAUSE_MS]]
"""
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lib import host  # noqa: E402  (needs the path above)
from lib.kv import Connection, Memcached, Redis, Wrong  # noqa: E402


class RedisClient:
    """One counter a client: each INCR must return exactly one more."""

    def __init__(self, address, number):
        self.server = Redis(address)
        self.key = b"live:%d" % number
        self.count = 0
        self.server.ask("SET", self.key, 0)

    def step(self):
        self.count += 1
        if self.server.ask("INCR", self.key) != self.count:
            raise Wrong("INCR did not return the next number")


class MemcachedClient:
    """The same with incr."""

    def __init__(self, address, number):
        self.server = Memcached(address)
        self.key = b"live:%d" % number
        self.count = 0
        self.server.set(self.key, b"0")

    def step(self):
        self.count += 1
        if self.server.incr(self.key) != self.count:
            raise Wrong("incr did not return the next number")


class HttpClient:
    """GET /hello over one connection that is never closed."""

    keep = True

    def __init__(self, address, _number):
        self.address = address
        self.server = None
        self.count = 0

    def step(self):
        if self.server is None:
            self.server = Connection(self.address, 8080)
        how = b"keep-alive" if self.keep else b"close"
        self.server.send(b"GET /hello HTTP/1.1\r\nHost: box\r\nConnection: %s\r\n\r\n" % how)
        status, length = self.server.line(), None
        while True:
            line = self.server.line()
            if not line:
                break
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = self.server.file.read(length or 0)
        if not status.startswith(b"HTTP/1.1 200") or body != b"hello from nginx\n":
            raise Wrong(f"answer {status!r} {body!r}")
        self.count += 1
        if not self.keep:
            self.server.close()
            self.server = None


class HttpCloseClient(HttpClient):
    """GET /hello over a new connection each time."""

    keep = False


KINDS = {"redis": RedisClient, "memcached": MemcachedClient, "http": HttpClient, "http-close": HttpCloseClient}


class Worker(threading.Thread):
    """One client; stops at its first failure, for a client that has failed proves nothing any more."""

    def __init__(self, kind, address, number, pause):
        super().__init__(daemon=True)
        self.client = KINDS[kind](address, number)
        self.pause = pause
        self.over = False
        self.failure = None
        self.longest = 0.0
        self.last = time.monotonic()

    def run(self):
        while not self.over:
            start = time.monotonic()
            try:
                self.client.step()
            except (OSError, Wrong, ValueError) as error:
                self.failure = f"{type(error).__name__}: {error}"
                return
            self.last = time.monotonic()
            self.longest = max(self.longest, self.last - start)
            time.sleep(self.pause)


def main():
    kind, address = sys.argv[1:3]
    clients = int(sys.argv[3]) if len(sys.argv) > 3 else 4
    pause = float(sys.argv[4]) / 1000 if len(sys.argv) > 4 else 0.001
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    workers = [Worker(kind, address, n, pause) for n in range(clients)]
    for worker in workers:
        worker.start()
    print("started", flush=True)
    over.wait(float(os.environ.get("AMBER_LOAD_SECONDS", 900)))
    for worker in workers:
        worker.over = True
    for worker in workers:
        worker.join(35)
    failures = [w.failure for w in workers if w.failure] + ["client hangs" for w in workers if w.is_alive()]
    print(json.dumps({"requests": sum(w.client.count for w in workers), "failed": len(failures), "failures": failures,
                      "longest_ms": round(max(w.longest for w in workers) * 1000, 3)}))


class Load:
    """Clients at work against one container."""

    def __init__(self, network, kind, address, clients=4, pause_ms=1):
        self.process = subprocess.Popen(
            network.as_client("/usr/bin/python3", Path(__file__).resolve(), kind, address, clients, pause_ms),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.undo = host.Undo()
        self.undo.add(self._end)
        if self.process.stdout.readline() != "started\n":
            raise host.Failed(f"load {kind}: did not start")

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self):
        """End it and return what it saw."""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=60)
        self.undo.close()
        return json.loads(out)


class Wrk:
    """wrk at full speed, on keep-alive or on fresh connections."""

    def __init__(self, network, address, keep=True):
        header = [] if keep else ["-H", "Connection: close"]
        self.process = subprocess.Popen(
            network.as_client("wrk", "-t", 1, "-c", 8, "-d", "900s", "--timeout", "10s", *header, f"http://{address}:8080/"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.undo = host.Undo()
        self.undo.add(self._end)

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self):
        """End it and return what it reports."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=60)
        self.undo.close()
        numbers = {"requests": 0, "failed": 0, "failures": []}
        for line in out.splitlines():
            if "requests in" in line:
                numbers["requests"] = int(line.split()[0])
            if "Socket errors" in line or "Non-2xx" in line:
                numbers["failed"] += sum(int(w.strip(",")) for w in line.split() if w.strip(",").isdigit())
                numbers["failures"].append(line.strip())
        return numbers


if __name__ == "__main__":
    main()
