# SPDX-License-Identifier: Apache-2.0
"""cases: what is measured: a table of subjects, each with the bar that it must stay below.

A case with quick=True is in the run that `make bench` does by default; all of them are in AMBER_BENCH=all.
"""
from dataclasses import dataclass

import subjects


@dataclass(frozen=True)
class Case:
    name: str
    what: str                # for the table of docs/BENCHMARKS.md
    make: object             # () -> subject
    bar_ms: float = None     # of the freeze
    bar_ratio: float = None  # at least so many times less than criu's
    bar_kept: float = None   # of the throughput meanwhile; only where a core is free for the tool
    quick: bool = False
    works: bool = False      # there is a throughput
    series: str = None       # the picture or fit that it is a point of
    x: float = None          # where it stands there


def plain(*words):
    return lambda: subjects.Plain(*words)


def boxed(*words):
    return lambda: subjects.Boxed(*words)


def rate(pages):
    words = ["mib=1024", *([f"write={pages}"] if pages else [])]
    return Case(f"rate-{pages}", f"1 GiB, a thread writes {pages} random pages/s", plain(*words), works=pages > 0,
                series="rate", x=pages)


def size(mib, **kw):
    return Case(f"size-{mib}", f"{mib} MiB, idle", plain(f"mib={mib}"), series="size", x=mib, **kw)


def growth(kind, unit, count, word=None, **kw):
    return Case(f"{kind}-{count}", f"{count} {unit}", plain("mib=1", f"{word or kind}={count}"), series=kind, x=count, **kw)


CASES = [
    Case("idle", "1 GiB, idle", plain("mib=1024"), 4, 100, quick=True, series="size", x=1024),
    Case("reader", "1 GiB, a thread reads random pages", plain("mib=1024", "read=1"), 4, 100, .75, quick=True, works=True),
    Case("writer", "1 GiB, a thread writes random pages at full speed", plain("mib=1024", "write=max"), 40, 10, .75, quick=True,
         works=True, series="rate"),
    Case("redis", "redis of 1 GiB in runc, SETs of random keys at full speed", lambda: subjects.Redis(1024), 8, 50, quick=True,
         works=True),
    size(4096, bar_ms=10),
    Case("small-container", "16 MiB in runc, idle", boxed("mib=16"), 3, quick=True),
    Case("small", "16 MiB, idle", plain("mib=16"), 2, quick=True, series="size", x=16),
    size(64), size(256),
    rate(1000), rate(10000), rate(100000),
    growth("threads", "threads", 50), growth("threads", "threads", 150),
    growth("threads", "threads", 500, bar_ms=15, quick=True),
    growth("fds", "descriptors of eight kinds", 200), growth("fds", "descriptors of eight kinds", 600),
    growth("fds", "descriptors of eight kinds", 2000, bar_ms=15, quick=True),
    growth("processes", "processes of 1 MiB", 6), growth("processes", "processes of 1 MiB", 20),
    growth("processes", "processes of 1 MiB", 60, bar_ms=20, quick=True),
    growth("mappings", "mappings", 100), growth("mappings", "mappings", 1000), growth("mappings", "mappings", 5000),
]

# What one more of them costs: slope of a line through the cases of the series.
GROWS = {"threads": "thread", "fds": "descriptor", "processes": "process", "mappings": "mapping", "size": "MiB"}

