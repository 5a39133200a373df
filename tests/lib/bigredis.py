# SPDX-License-Identifier: Apache-2.0
"""bigredis: a redis container of a chosen size under load, with a clock beside it: for demo and bench."""
import time
from pathlib import Path

from lib import host, kv, load, network
from lib.container import Container

CLOCK = host.TOP / "build/tests/live/clock"
VALUE = 1024


class BigRedis:
    """redis-server with MEBIBYTES of values, four counting clients, and the clock as its neighbour."""

    def __init__(self, mebibytes, clients=4, pause_ms=1):
        self.keys = mebibytes * 1024 * 1024 // VALUE
        start = "/clock /tmp/gaps & exec /usr/bin/redis-server --bind 0.0.0.0 --protected-mode no --save '' --dir /data"
        self.box = Container(["/bin/sh", "-c", start], user=(999, 999), files={"/clock": CLOCK}).start()
        host.until("redis to answer", lambda: self.box.inside("redis-cli", "ping", check=False).stdout == "PONG\n")
        kv.elsewhere(self.box.pid, "redis", "fill", self.keys, VALUE)
        self.clients = load.Load(self.box.net, "redis", network.SERVER, clients, pause_ms)
        time.sleep(1)

    @property
    def target(self):
        return f"runc:{self.box.name}"

    def digest(self):
        return kv.elsewhere(self.box.pid, "redis", "digest")

    def gaps(self, since, until):
        """Gaps in ms, longest first, that ended between two moments of time.monotonic()."""
        found = []
        for line in Path(self.box.upper, "tmp/gaps").read_text(encoding="ascii").splitlines():
            end, gap = (int(word) for word in line.split())
            if since <= end / 1e6 <= until:
                found.append(gap / 1000)
        return sorted(found, reverse=True)

    def close(self):
        self.clients.undo.close()
        self.box.close()
