#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kv: small redis and memcached clients, and digests of everything a server holds.

Run as a program it works in the network namespace it is started in (see `elsewhere`):
    kv.py redis fill COUNT SIZE | digest | get KEY... | ping        [--host ADDRESS]
    kv.py memcached fill COUNT SIZE | digest COUNT SIZE | get KEY...
and prints JSON. The filled keys are a function of their number alone, so that a copy can be compared
both with the original and with what it ought to be. The digest adds up one hash a key: order does not matter.
"""
import hashlib
import json
import socket
import subprocess
import sys
from pathlib import Path

PORTS = {"redis": 6379, "memcached": 11211}
LIVE = b"live:"  # keys that clients change all the time; not part of a digest
BATCH = 500


class Wrong(Exception):
    """The server answered something else than it should have, or hung up."""


def value(number, size):
    """What key number `number` holds."""
    seed = hashlib.sha256(b"%d" % number).hexdigest().encode()
    return (seed * (size // len(seed) + 1))[:size]


class Connection:
    """A connection with buffered reading."""

    def __init__(self, host, port, timeout=30):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        text = self.file.readline()
        if not text.endswith(b"\r\n"):
            raise Wrong("connection closed by the server")
        return text[:-2]

    def take(self, count):
        data = self.file.read(count + 2)
        if len(data) != count + 2:
            raise Wrong("connection closed by the server")
        return data[:-2]

    def close(self):
        self.file.close()
        self.socket.close()


class Redis(Connection):
    """Just enough of RESP 2."""

    def __init__(self, host="127.0.0.1", port=PORTS["redis"]):
        super().__init__(host, port)

    @staticmethod
    def packed(*words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    def answer(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if kind == b"$":
            return None if rest == b"-1" else self.take(int(rest))
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        raise Wrong(line.decode(errors="replace"))

    def ask(self, *words):
        self.send(self.packed(*words))
        return self.answer()

    def fill(self, count, size):
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            self.send(b"".join(self.packed("SET", b"key:%d" % n, value(n, size)) for n in numbers))
            for _ in numbers:
                if self.answer() != b"OK":
                    raise Wrong("SET refused")

    def digest(self):
        """All keys but the live ones, in one number, read through SCAN and MGET; and the live ones in clear."""
        total, count, live, cursor = 0, 0, {}, b"0"
        while True:
            cursor, keys = self.ask("SCAN", cursor, "COUNT", 1000)
            if keys:
                for key, held in zip(keys, self.ask("MGET", *keys)):
                    if key.startswith(LIVE):
                        live[key.decode()] = int(held)
                        continue
                    total += int.from_bytes(hashlib.sha256(key + b"=" + (held or b"")).digest()[:16], "big")
                    count += 1
            if cursor == b"0":
                return {"keys": count, "digest": f"{total % (1 << 128):032x}", "live": live}


class Memcached(Connection):
    """The text protocol."""

    def __init__(self, host="127.0.0.1", port=PORTS["memcached"]):
        super().__init__(host, port)

    def get(self, key):
        self.send(b"get %s\r\n" % key)
        line = self.line()
        if line == b"END":
            return None
        held = self.take(int(line.split()[3]))
        if self.line() != b"END":
            raise Wrong("get: no END")
        return held

    def set(self, key, held):
        self.send(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(held), held))
        if self.line() != b"STORED":
            raise Wrong("set refused")

    def incr(self, key):
        self.send(b"incr %s 1\r\n" % key)
        return int(self.line())

    def fill(self, count, size):
        for n in range(count):
            self.set(b"key:%d" % n, value(n, size))

    def digest(self, count, size):
        """How many of the filled keys are there, and how many of these are right."""
        held = [self.get(b"key:%d" % n) for n in range(count)]
        return {"keys": sum(h is not None for h in held), "right": sum(h == value(n, size) for n, h in enumerate(held))}


def elsewhere(pid, *argv):
    """Run this program in the network namespace of process `pid`; its JSON as a value."""
    done = subprocess.run(["nsenter", f"--target={pid}", "--net", "--", "/usr/bin/python3", str(Path(__file__).resolve()),
                           *[str(a) for a in argv]], text=True, capture_output=True, timeout=300, check=False)
    if done.returncode != 0:
        raise Wrong(f"kv {' '.join(map(str, argv))}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main():
    kind, action, *rest = sys.argv[1:]
    client = Redis() if kind == "redis" else Memcached()
    out = True
    if action == "fill":
        client.fill(int(rest[0]), int(rest[1]))
    elif action == "digest":
        out = client.digest(*[int(r) for r in rest])
    elif action == "get" and kind == "redis":
        out = {key: (client.ask("GET", key) or b"").decode() for key in rest}
    elif action == "get":
        out = {key: (client.get(key.encode()) or b"").decode() for key in rest}
    elif action == "ping":
        out = client.ask("PING").decode()
    else:
        sys.exit(f"kv: unknown action {action}")
    print(json.dumps(out))


if __name__ == "__main__":
    main()
