# SPDX-License-Identifier: Apache-2.0
"""table: the rows of a bench as lines of text: on a terminal while it runs, and as Markdown afterwards."""
import statistics
import sys

import cases

HEAD = ("case", "bar ms", "amber ms", "max", "all", "it says", "criu ms", "ratio", "wall ms", "criu", "kept", "criu", "RSS MiB",
        "criu", "peak MiB", "criu", "size MiB", "criu", "verdict")
WIDTH = (16, 7, 9, 7, 7, 8, 9, 7, 8, 8, 6, 6, 8, 7, 9, 8, 9, 8, 18)


def number(value):
    """Three digits that count."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percent(value):
    return "-" if value is None else f"{value * 100:.0f}%"


def verdict(row):
    """Whether every bar is met: "met", or which are not."""
    amber = row.get("amber")
    if not amber or row.get("bar_ms") is None:
        return ""
    missed = []
    if amber["freeze_ms"] > row["bar_ms"]:
        missed.append("ms")
    if row.get("bar_ratio") and row.get("ratio") is not None and row["ratio"] < row["bar_ratio"]:
        missed.append(f"{row['bar_ratio']}x")
    if row.get("bar_kept") and amber["kept"] < row["bar_kept"]:
        missed.append("kept")
    return f"over: {' '.join(missed)}" if missed else "met"


def cells(row):
    """The texts below HEAD."""
    none = dict.fromkeys(("freeze_ms", "freeze_max_ms", "all_ms", "said_ms", "wall_ms", "kept", "rss_mib", "charged_mib",
                          "size_mib"))
    a, c = row.get("amber", none), row.get("criu", none)
    made = [row["case"], number(row.get("bar_ms"))]
    made += [number(a[key]) for key in ("freeze_ms", "freeze_max_ms", "all_ms", "said_ms")]
    made += [number(c["freeze_ms"]), number(row.get("ratio")), number(a["wall_ms"]), number(c["wall_ms"])]
    made += [percent(a["kept"]), percent(c["kept"])]
    for key in ("rss_mib", "charged_mib", "size_mib"):
        made += [number(a[key]), number(c[key])]
    return made + [verdict(row)]


def line(texts):
    print(texts[0].ljust(WIDTH[0]) + "".join(t.rjust(w) for t, w in zip(texts[1:], WIDTH[1:])), file=sys.stderr, flush=True)


def head():
    line(HEAD)


def row(made):
    if made["series"] == "restore":
        print(f"{made['case']:16} a copy answers after {made['restore_ms']:.0f} ms; freeze {made['freeze_ms']:.1f} ms, "
              f"checkpoint {made['wall_ms']:.0f} ms; longest of {made['requests']} requests {made['longest_request_ms']:.1f} ms",
              file=sys.stderr, flush=True)
    else:
        line(cells(made))


def slope(rows, series, tool):
    """(us that one more costs, ms of none) of a series by least squares; None with less than three points."""
    points = [(r["x"], r[tool]["freeze_ms"]) for r in rows if r["series"] == series and tool in r]
    if len(points) < 3:
        return None
    fit = statistics.linear_regression(*zip(*points))
    return fit.slope * 1000, fit.intercept


def growth(rows):
    """One sentence for each series that was measured whole."""
    for series, unit in cases.GROWS.items():
        fits = [(tool, slope(rows, series, tool)) for tool in ("amber", "criu")]
        said = [f"{tool} {number(max(fit[0], 0))} us (+ {fit[1]:.1f} ms)" for tool, fit in fits if fit]
        if said:
            yield f"each {unit}: " + ", ".join(said)
