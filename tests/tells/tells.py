# SPDX-License-Identifier: Apache-2.0
"""tells: which of the things that the watcher noted are signs of a checkpoint.

A row of ROWS is one tell: the keys that belong to it, the rule that tells noise from a sign, and, where
amber may trip it, the reason. Every key belongs to the first row that matches it; a key that no row
knows counts as a tell that nobody may trip. The two quiet windows say what is natural.
"""
import re
from dataclasses import dataclass, field

AROUND, AFTER = 2, 3


def number(text):
    """The number a value begins with, or None."""
    found = re.match(r"-?\d+", text or "")
    return int(found.group()) if found else None


def quiet(windows):
    return [w for w in windows[:AROUND] if w]


class New:
    """A value that no quiet window showed. only: a pattern of the values that count; strip: one of what
    does not count in a value."""

    def __init__(self, only="", strip="(?!)"):
        self.only, self.strip = re.compile(only), re.compile(strip)

    def __call__(self, windows):
        usual = {self.strip.sub("", value) for w in quiet(windows) for value in w["seen"]}
        return [[v for v in w["seen"] if self.strip.sub("", v) not in usual and self.only.search(v)] if w else []
                for w in windows[AROUND:]]


class Rise:
    """A counter that grew by more in a window than in any quiet one, and `slack`."""

    def __init__(self, slack=0):
        self.slack = slack

    def __call__(self, windows):
        last, grown = None, []
        for w in windows:
            now, first = (number(w["last"]), number(w["first"])) if w else (None, None)
            grown.append(now - (first if last is None else last) if now is not None else 0)
            last = now if now is not None else last
        limit = max(grown[:AROUND]) + self.slack
        return [[f"+{g}, else +{limit - self.slack}"] if g > limit else [] for g in grown[AROUND:]]


class Most:
    """The largest number of a window is more than `factor` times that of the quiet ones, and `slack`."""

    def __init__(self, factor=1.0, slack=0):
        self.factor, self.slack = factor, slack

    def __call__(self, windows):
        most = [max((number(v) or 0 for v in w["seen"]), default=0) if w else 0 for w in windows]
        usual = max(most[:AROUND])
        return [[f"{m}, else {usual}"] if m > usual * self.factor + self.slack else [] for m in most[AROUND:]]


@dataclass
class Row:
    """One tell. may: why amber may trip it; during: it may be there only until the checkpoint is done."""
    name: str
    keys: str
    rule: object
    may: str = ""
    during: bool = False
    pattern: re.Pattern = field(init=False)

    def __post_init__(self):
        self.pattern = re.compile(self.keys)


STILL = "(idle|guarded)"
ALL = "(idle|guarded|writer|watch)"
FAMILY = "(idle|guarded|writer)"
STOPPED = "[tT] \\(|^[tT]$|^[1-9][0-9]{1,8}$|ptrace_stop|freezer|do_signal_stop"  # a number: the exit code of a stop
GAP = "the length of the gap"
WOKEN = "a task must run to be stopped and to go on"
# Pre-copy makes its descriptor in one task after the other while the rest of the container runs.
ARMING = "for less than a millisecond, while pre-copy is begun in this one task"

ROWS = [
    # What nobody in a container can take for a sign, for others cause it, too.
    Row("", "^(loadavg/[1-4]|pressure/|cg2/.*pressure|net/dev|clock/looks|memory/writes$|error/|.*/status/SigQ|cg/memory.stat|"
            "call/[^/]*[^t]/late_us|clock/step_us|watch/(status/(Vm|Rss|.*ctxt)|stat|statm|schedstat|io|maps|smaps/(vmas|uw_kb)|syscall|oom_score$)|"
            "watch/fd|writer/(stat/(3|14|15|35|39)$|schedstat|syscall|status/.*ctxt)|cg2/(stat|cpu.stat)/)", None),
    Row("gap in the clocks", "clock/.*gap", Most(1.5, 8000), GAP),
    Row("timed calls end late", "call/.*/late_us", Most(1.5, 30000), GAP),
    Row("timer expirations missed", "timerfd/ticks", Most(1.5, 3), GAP),
    Row("blocked calls end with EINTR", "call/.*/ended", Most()),
    Row("timed calls end early", "call/.*/early", Most()),
    Row("TracerPid", f"^{ALL}/.*TracerPid", New()),
    Row("state t or T, wchan of a stop", f"^{ALL}/(status/State|threads/.*/State|wchan|stat/(3|35|52)$)", New(STOPPED),
        "seen by a task that is stopped a few microseconds later", during=True),
    Row("", "^(writer|watch)/(status/State|threads/.*/State|wchan|stat/(3|35)$)", None),
    Row("sleeping tasks were awake", f"^{STILL}/(status/State|threads/.*/State|wchan|stat/(3|35)$|syscall)",
        New("^[RD]|^0$|running"), WOKEN, during=True),
    Row("another system call in a task", f"^{STILL}/(status/State|threads/.*/State|wchan|stat/(3|35)$|syscall)", New(),
        ARMING, during=True),
    Row("context switches, CPU time, last CPU", f"^{STILL}/(status/.*ctxt_switches|schedstat/|stat/(14|15|39)$)", Rise(), WOKEN),
    Row("minor faults", f"^{STILL}/stat/(10|12)$|^writer/stat/(10|12)$", Rise(), "pages that were protected, or were not mapped yet"),
    Row("VmPeak", f"^{FAMILY}/status/VmPeak", New(), "the scratch area of a syscall script"),
    Row("VmHWM, resident pages", f"^{FAMILY}/(status/(VmHWM|VmRSS|Rss|VmPTE|VmSwap)|statm/[23]|stat/24$)", New(),
        "the vdso and shared memory are read through the task, and mapped there by it"),
    Row("mappings, VmSize", f"^{FAMILY}/(maps|smaps/vmas|status/(VmSize|VmData|VmStk|VmExe|VmLib|VmLck|VmPin)|statm/[14567]|stat/(23|26|27|28|45|46|47)$)",
        New(), ARMING, during=True),
    Row("smaps flags (uw, sd)", f"^{ALL}/smaps/(VmFlags|uw_kb)", New(), "write protection of pre-copy", during=True),
    Row("AnonHugePages", f"^{ALL}/smaps/AnonHugePages", New(), "a huge page that is written while it is protected is split; khugepaged mends it"),
    Row("locked or swapped pages", f"^{ALL}/smaps/(Locked|Swap)", New()),
    Row("descriptors", f"^{ALL}/(fd|status/FDSize)", New(), ARMING, during=True),
    Row("limits", f"^{ALL}/limits|stat/25$", New()),
    Row("signal masks, pending signals", f"^{ALL}/(status/(Sig|ShdPnd)|threads/.*/Sig|stat/(31|32|33|34)$)", New(), ARMING, during=True),
    Row("signals received", "^signal/", Most()),
    Row("pids used", "^pid/next", Rise()),
    Row("pids used", "^(ns_last_pid|loadavg/5)", Rise(3)),  # looked at when the watcher's own are just being born
    Row("foreign processes", "^(cg|cg2)/pids|^proc/count|procs/count", Most(1, 1)),  # the watcher's own child may be seen or not
    Row("foreign processes", "^(cg|cg2)/procs", New("^0$")),  # of another pid namespace
    Row("", "^proc$|^watch/(children|task)|^(cg|cg2)/procs", None),
    Row("foreign processes", "^[a-z]+/(task|children)", New()),
    Row("I/O accounting of a task", f"^{FAMILY}/io/", Rise()),
    Row("cgroup freezer", "^cg/freezer|^cg2/(freeze|events|stat.local)", New()),
    Row("cgroup memory and CPU limits", "^cg/(memory.failcnt|cpu.stat)|^cg2/memory.events", New()),
    Row("cgroup memory usage", "^cg/memory.usage|^cg2/memory.(current|peak)|^cg2/io", Rise(8 << 20)),
    Row("atime of files", "^file.*/atime", New()),
    Row("mtime, ctime, links, size of files", "^file", New()),
    Row("names in directories", "^names", New()),
    Row("inotify: files opened", "^inotify", New("IN_OPEN|IN_CLOSE_NOWRITE"), "deleted files have no other way to their content"),
    Row("inotify: files read", "^inotify", New("IN_ACCESS")),
    Row("inotify: files changed", "^inotify", New()),
    Row("page cache of files", "^mincore", New(), "files are read to be hashed"),
    Row("System V IPC times and pids", "^ipc/", New()),
    Row("TCP segments sent again, drops", "^net/.*(Retrans|Timeouts|Lost|Drop|Err|RTO|Abort|Fail)|^tcp/.*(retrans|lost|sacked)", Rise()),
    Row("TCP segments", "^net/(snmp|netstat)|^tcp/unsent.*(backoff|probes)", Rise(12)),
    Row("TCP state, repair mode", "^tcp/", New()),
    Row("socket options", "^socket/", New()),
    Row("queues of sockets and pipes", "^queue/", New()),
    Row("packet filters", "^net/(ip_tables|netfilter)", New()),
    Row("sockets in the network namespace", "^net/(unix|netlink|packet|raw)", New(),
        "sockets, addresses and routes are asked through a netlink socket", during=True),
    Row("seccomp traps", "^seccomp", Most()),
    Row("memory or registers wrong", "^memory/wrong", Most()),
    Row("latency of writes to memory", "^memory/(slow_writes|write_max_us)", Most(3, 3000), "the first write to a protected page"),
    Row("process attributes", f"^prctl/|^{ALL}/(timerslack_ns|oom_score|oom_score_adj|personality|coredump_filter|timers|status/)", New()),
    Row("mounts, cgroup, locks", f"^{ALL}/(mountinfo|cgroup)|^locks|^cg/cpuset", New(strip="^\\d+: ")),
    Row("/proc/PID/stat, otherwise", f"^{FAMILY}/stat/", New()),
    Row("anything else", "", New()),
]


def judge(report):
    """{tell: {tripped ("", "during", "lasting"), details, may, during}} for what the watcher saw."""
    results = {row.name: {"tell": row.name, "tripped": "", "details": [], "may": row.may, "during": row.during}
               for row in ROWS if row.name}
    for key, windows in sorted(report.items()):
        if not isinstance(windows, list):
            continue
        row_of_key(key, windows, results)
    return results


def row_of_key(key, windows, results):
    """The rows of a key. What a row with a narrow rule does not take is left to the next one."""
    for row in ROWS:
        if not row.pattern.search(key):
            continue
        if row.rule is None:
            return
        around, after = row.rule(windows)
        if around or after:
            result = results[row.name]
            lasts = bool(after) or isinstance(row.rule, Rise)
            result["tripped"] = "lasting" if lasts or result["tripped"] == "lasting" else "during"
            result["details"] += [f"{key}: {value[:160]}" for value in (around or after)[:6]]
        only = row.rule.only if isinstance(row.rule, New) else None
        if only is None or not only.pattern:
            return
        windows = [w and {**w, "seen": [v for v in w["seen"] if not only.search(v)]} for w in windows]


def allowed(result):
    """A tell that amber may trip, in the way it did."""
    return not result["tripped"] or bool(result["may"] and not (result["during"] and result["tripped"] == "lasting"))


def table(by_way, ways, markdown=False):
    """The rows as text: what each way tripped."""
    head = ["tell", *ways, "why amber may"]
    lines = [[name, *[by_way[w][name]["tripped"] or "-" for w in ways], may]
             for name, may in {row.name: row.may for row in ROWS if row.name}.items()]
    if markdown:
        return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]) + "\n"
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [head, *lines]) + "\n"
