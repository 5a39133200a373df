# SPDX-License-Identifier: Apache-2.0
"""restore: how soon a copy of a redis answers, and whether one of its clients noticed the checkpoint.

amber only: stock CRIU restores a container in the place of the one that it ended, never a copy beside it.
"""
import statistics
import time

from lib import amber, host
from lib.bigredis import BigRedis

SIZES = {"restore-16": 16, "restore-128": 128, "restore-512": 512}
NAMES = list(SIZES)
WHAT = "redis in runc, four clients that count every answer: time until a copy answers"


def once(redis, archive):
    start = time.monotonic()
    amber.checkpoint(redis.target, archive)
    end = time.monotonic()
    time.sleep(0.1)
    gaps = redis.gaps(start, end + 0.05)
    begun = time.monotonic()
    try:
        with amber.Restored(archive) as copy:
            host.until("the copy to answer", lambda: copy.inside("redis-cli", "ping", check=False).stdout == "PONG\n")
            restored = time.monotonic() - begun
    finally:
        archive.unlink(missing_ok=True)
    return {"freeze_ms": gaps[0] if gaps else 2.0, "wall_ms": (end - start) * 1000, "restore_ms": restored * 1000}


def measure(name, folder, rounds):
    redis = BigRedis(SIZES[name])
    try:
        runs = [once(redis, folder / "restore.tar") for _ in range(rounds)]
        seen = redis.clients.stop()
    finally:
        redis.close()
    if seen["failed"]:
        raise host.Failed(f"{name}: {seen['failed']} requests of {seen['requests']} failed")
    row = {key: round(statistics.median(run[key] for run in runs), 1) for key in runs[0]}
    return {"case": name, "what": f"{SIZES[name]} MiB of {WHAT}", "series": "restore", "x": SIZES[name], "rounds": rounds, **row,
            "longest_request_ms": seen["longest_ms"], "requests": seen["requests"]}
