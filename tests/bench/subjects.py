# SPDX-License-Identifier: Apache-2.0
"""subjects: what is checkpointed: a plain process, a runc container, or a redis in one; all with a meter.

A subject has .pid (as this machine sees it), .container (or None), .meter, .operations() and close().
The thread that looks at the clock gets a real-time priority from here, where that is permitted: on a
machine of two cores its turn would else come late while tool and workload run, and look like a freeze.
"""
import ctypes
import os
import socket
import subprocess
import threading
from pathlib import Path

from lib import amber, host, kv, network
from lib.container import Container

import meter

PROGRAM = amber.BINARY.parent / "tests/bench/bench-subject"
FIFO_PRIORITY = 20
CLONE_NEWNET = 0x40000000


def allow_realtime(name):
    """Let the container `name` have real-time threads, where each cgroup has to be told so (RT_GROUP_SCHED)."""
    group = Path("/sys/fs/cgroup/cpu/amber-t")
    for path, us in ((group, 800000), (group / name, 300000)):
        try:
            (path / "cpu.rt_runtime_us").write_text(str(us), encoding="ascii")
        except OSError:
            pass  # prefer() will see whether it was needed


def prefer(pid):
    """Give the main thread of `pid` a real-time priority; False where the machine does not let us."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
    except OSError:
        return False
    return True


class Plain:
    """The subject program as an ordinary process of this machine."""

    container = None

    def __init__(self, *words):
        self.undo = host.Undo()
        path = Path("/dev/shm", host.unique("-meter"))
        self.undo.add(path.unlink, missing_ok=True)
        process = subprocess.Popen([PROGRAM, path, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
                                   env={"PATH": os.environ["PATH"], host.MARK: host.unique()})
        self.undo.add(process.wait)
        self.undo.add(process.kill)
        host.until("the subject to take its shape", lambda: meter.ready(path) or process.poll() is not None, 120)
        if process.poll() is not None:
            raise host.Failed(f"subject {' '.join(words)}: exit {process.returncode}")
        self.pid = process.pid
        self.meter = meter.Meter(path)
        self.realtime = prefer(self.pid)

    def operations(self):
        return self.meter.operations()

    def close(self):
        self.undo.close()


class Witness:
    """A bystander on each processor: clocks that nobody captures. What they miss too, the machine did."""

    def __init__(self):
        self.clocks = []
        for cpu in sorted(os.sched_getaffinity(0)):
            self.clocks.append(Plain())
            os.sched_setaffinity(self.clocks[-1].pid, {cpu})

    def gaps(self, since, until):
        return [gap for clock in self.clocks for gap in clock.meter.gaps(since, until)]

    def close(self):
        for clock in self.clocks:
            clock.close()


class Boxed(Plain):
    """The same program as the only process of a runc container."""

    def __init__(self, *words):
        self.undo = host.Undo()
        self.container = Container(["/bench-subject", "/dev/shm/meter", *words], files={"/bench-subject": PROGRAM})
        self.undo.add(self.container.close)
        self.container.start()
        self.pid = self.container.pid
        self._attach(self.pid)

    def _attach(self, clock):
        path = f"/proc/{self.pid}/root/dev/shm/meter"
        host.until("the subject to take its shape", lambda: meter.ready(path), 120)
        self.meter = meter.Meter(path)
        allow_realtime(self.container.name)
        self.realtime = prefer(clock)


class Redis(Boxed):
    """redis-server with MIB of values of 1 KiB, and redis-benchmark on the other end of its network, which sets
    random ones of these keys over CLIENTS connections as fast as it is answered. It runs as root: of another
    user's processes stock criu cannot read the limits on a machine that withholds CAP_SYS_RESOURCE."""

    VALUE = 1024

    def __init__(self, mib, clients=10):
        self.undo = host.Undo()
        start = ("/bench-subject /dev/shm/meter & "
                 "exec /usr/bin/redis-server --bind 0.0.0.0 --protected-mode no --save '' --dir /data")
        self.container = Container(["/bin/sh", "-c", start], files={"/bench-subject": PROGRAM})
        self.undo.add(self.container.close)
        self.container.start()
        self.pid = self.container.pid
        self._attach(host.until("the clock to start", lambda: [
            outer for outer in host.namespace_pids(self.pid).values() if comm(outer) == PROGRAM.name])[0])
        self.server = connect(f"/run/netns/{self.container.net.client}")
        self.undo.add(self.server.close)
        self._fill(mib * 1048576 // self.VALUE)
        argv = ["redis-benchmark", "-h", network.SERVER, "-t", "set", "-r", mib * 1048576 // self.VALUE, "-d", self.VALUE,
                "-n", 2000000000, "-c", clients, "-q"]
        load = subprocess.Popen(self.container.net.as_client(*argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        self.undo.add(load.wait)
        self.undo.add(load.kill)

    def _fill(self, keys):
        """Every key that redis-benchmark can think of, so that it changes and never adds."""
        script = (f"local v = string.rep('x', {self.VALUE}) for i = ARGV[1], ARGV[2] do "
                  "redis.call('SET', string.format('key:%012d', i), v) end")
        for start in range(0, keys, 100000):
            self.server.ask("EVAL", script, 0, start, min(start + 100000, keys) - 1)

    def operations(self):
        text = self.server.ask("INFO", "stats").decode()
        return int(text.split("total_commands_processed:")[1].split()[0])


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def connect(netns):
    """A client of the redis in a test network, made in the namespace `netns`: a socket stays where it was made."""
    made = []

    def inside():
        fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) == 0:
                made.append(host.until("redis to answer", hello))
        finally:
            os.close(fd)

    def hello():
        try:
            return kv.Redis(network.SERVER)
        except (OSError, socket.timeout):
            return None

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if not made:
        raise host.Failed(f"cannot reach redis through {netns}")
    return made[0]
