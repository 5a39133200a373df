#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""pyworld: a Python program with a little of everything, which judges itself all the time.

Threads pass numbers round a ring of pipes; a child echoes lines; unix and TCP sockets answer, old
connections and new ones; an asyncio loop, an interval timer and sleeping threads keep time; short-lived
children are born and waited for; files grow, one of them without a name. Raw system calls watch for
EINTR, which Python itself would hide. Every tenth of a second the verdict goes to STATUS as JSON:
{"beats", "errors", "late_ms", "jumps"}. An error is never forgotten. Time that stood still (by a stop or a
restore) is no error but is told: late_ms is the worst lateness, jumps how often it was over a second.

usage: pyworld.py STATUS-FILE
"""
import asyncio
import ctypes
import hashlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

STATUS = sys.argv[1]
SCRATCH = os.path.dirname(STATUS)
LIBC = ctypes.CDLL(None, use_errno=True)
ECHO = "import sys\nfor line in sys.stdin:\n    print(int(line) + 1, flush=True)\n"


class World:
    """What the parts share: counters that must move, errors, and lateness."""

    def __init__(self):
        self.beats = {}
        self.errors = []
        self.late = 0.0
        self.jumps = 0
        self.lock = threading.Lock()

    def beat(self, part):
        self.beats[part] = self.beats.get(part, 0) + 1

    def error(self, part, text):
        with self.lock:
            if len(self.errors) < 20:
                self.errors.append(f"{part}: {text}")

    def expect(self, part, good, text):
        if not good:
            self.error(part, text)

    def slept(self, part, wanted, took):
        """A wait of `wanted` seconds took that long: too short is an error, too long is lateness."""
        self.expect(part, took >= wanted - 0.0005, f"woke after {took:.4f} s instead of {wanted} s")
        with self.lock:
            self.late = max(self.late, took - wanted)
            self.jumps += took - wanted > 1.0


WORLD = World()


def part(fn):
    """A part runs in a thread of its own, with signals left to the main thread; its end is an error."""
    def body():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD})
        try:
            fn()
            WORLD.error(fn.__name__, "ended")
        except Exception as error:  # whatever it is, it belongs into the verdict
            WORLD.error(fn.__name__, f"{type(error).__name__}: {error}")
    return threading.Thread(target=body, name=fn.__name__, daemon=True)


def ring_of_pipes():
    """Four threads; a number goes round and grows by one at each."""
    pipes = [os.pipe() for _ in range(4)]

    def hop(source, target):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD})
        while True:
            number = int.from_bytes(os.read(source, 8), "little")
            os.write(target, (number + 1).to_bytes(8, "little"))

    for i in range(3):
        threading.Thread(target=hop, args=(pipes[i][0], pipes[i + 1][1]), daemon=True).start()
    number = 0
    while True:
        os.write(pipes[0][1], number.to_bytes(8, "little"))
        back = int.from_bytes(os.read(pipes[3][0], 8), "little")
        WORLD.expect("ring_of_pipes", back == number + 3, f"{number} came back as {back}")
        number = back
        WORLD.beat("ring_of_pipes")
        time.sleep(0.005)


def echo_child():
    """A long-lived child process behind two pipes."""
    child = subprocess.Popen([sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    number = 0
    while True:
        child.stdin.write(f"{number}\n")
        back = int(child.stdout.readline())
        WORLD.expect("echo_child", back == number + 1, f"{number} came back as {back}")
        WORLD.expect("echo_child", child.poll() is None, "the child ended")
        number = back
        WORLD.beat("echo_child")
        time.sleep(0.01)


def short_children():
    """Children that live for a moment."""
    number = 0
    while True:
        number = (number + 1) % 100
        done = subprocess.run(["/bin/sh", "-c", f"exit {number}"], check=False)
        WORLD.expect("short_children", done.returncode == number, f"exit {done.returncode} instead of {number}")
        WORLD.beat("short_children")
        time.sleep(0.1)


def serve(listener):
    def answer(peer):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD})
        while data := peer.recv(100):
            peer.sendall(data[::-1])
        peer.close()

    while True:
        peer, _ = listener.accept()
        threading.Thread(target=answer, args=(peer,), daemon=True).start()


def call(listener, family, address):
    """Speak to a server of our own: over a connection as old as the program, and over new ones."""
    name = f"sockets_{family}"
    server = threading.Thread(target=serve, args=(listener,), daemon=True)
    server.start()
    old = socket.socket(family)
    old.connect(address)
    number = 0
    while True:
        number += 1
        fresh = socket.socket(family)
        fresh.connect(address)
        for connection in (old, fresh):
            text = b"%010d" % number
            connection.sendall(text)
            back = connection.recv(100)
            WORLD.expect(name, back == text[::-1], f"{text} came back as {back}")
        fresh.close()
        WORLD.beat(name)
        time.sleep(0.02)


def unix_sockets():
    address = os.path.join(SCRATCH, "pyworld.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(8)
    call(listener, socket.AF_UNIX, address)


def tcp_sockets():
    listener = socket.create_server(("127.0.0.1", 0))
    call(listener, socket.AF_INET, listener.getsockname())


def sleeper():
    while True:
        start = time.monotonic()
        time.sleep(0.05)
        WORLD.slept("sleeper", 0.05, time.monotonic() - start)
        WORLD.beat("sleeper")


def asyncio_loop():
    async def tick():
        while True:
            start = time.monotonic()
            await asyncio.sleep(0.03)
            # The loop's clock has the resolution of a millisecond's epoll timeout.
            WORLD.slept("asyncio_loop", 0.029, time.monotonic() - start)
            WORLD.beat("asyncio_loop")
    asyncio.new_event_loop().run_until_complete(tick())


def raw_epoll():
    """epoll_wait on nothing, below Python's own repeating of interrupted calls."""
    epoll = LIBC.epoll_create1(0)
    room = ctypes.create_string_buffer(64)
    while True:
        start = time.monotonic()
        got = LIBC.epoll_wait(epoll, room, 1, 300)
        errno = ctypes.get_errno()
        WORLD.expect("raw_epoll", got == 0, f"epoll_wait gave {got}, errno {errno}")
        WORLD.slept("raw_epoll", 0.3, time.monotonic() - start)
        WORLD.beat("raw_epoll")


def raw_read():
    """A blocked read that must not be interrupted; it gets a byte twice a second."""
    source, target = os.pipe()

    def feed():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD})
        while True:
            time.sleep(0.5)
            os.write(target, b"x")

    threading.Thread(target=feed, daemon=True).start()
    room = ctypes.create_string_buffer(1)
    while True:
        got = LIBC.read(source, room, 1)
        WORLD.expect("raw_read", got == 1, f"read gave {got}, errno {ctypes.get_errno()}")
        WORLD.beat("raw_read")


def files():
    """A log that only grows, a file without a name, a shared mapping."""
    log = open(os.path.join(SCRATCH, "log"), "a+", encoding="ascii")
    nameless = tempfile.TemporaryFile(dir=SCRATCH)
    mapped = mmap.mmap(-1, 8192)
    number = 0
    while True:
        number += 1
        log.write(f"{number}\n")
        log.flush()
        nameless.seek(0)
        nameless.write(b"%012d" % number)
        nameless.flush()
        mapped[4096:4108] = b"%012d" % number
        nameless.seek(0)
        WORLD.expect("files", nameless.read(12) == mapped[4096:4108], "the nameless file and the mapping disagree")
        if number % 50 == 0:
            log.seek(0)
            lines = log.read().split()
            WORLD.expect("files", lines == [str(n) for n in range(1, number + 1)], "a line of the log is missing")
        if number == 2000:
            log.truncate(0)
            number = 0
        WORLD.beat("files")
        time.sleep(0.01)


def memory():
    """Fifty thousand objects that never change."""
    held = {n: hashlib.md5(b"%d" % n).hexdigest() for n in range(50000)}
    first = hash(tuple(held.values()))
    while True:
        WORLD.expect("memory", hash(tuple(held.values())) == first, "objects have changed")
        WORLD.beat("memory")
        time.sleep(0.3)


PARTS = [ring_of_pipes, echo_child, short_children, unix_sockets, tcp_sockets, sleeper, asyncio_loop, raw_epoll, raw_read,
         files, memory]


def main():
    ticks = [0]

    def on_alarm(_sig, _frame):
        ticks[0] += 1
        WORLD.beat("interval_timer")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGUSR1, lambda *_: WORLD.beat("user_signal"))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    running = [part(fn) for fn in PARTS]
    for thread in running:
        thread.start()
    while True:
        time.sleep(0.1)
        for thread in running:
            WORLD.expect("main", thread.is_alive(), f"thread {thread.name} is gone")
        with WORLD.lock:
            text = json.dumps({"beats": WORLD.beats, "errors": WORLD.errors, "late_ms": round(WORLD.late * 1000, 1),
                               "jumps": WORLD.jumps, "tasks": len(os.listdir("/proc/self/task"))})
        with open(STATUS + ".new", "w", encoding="ascii") as out:
            out.write(text)
        os.replace(STATUS + ".new", STATUS)


if __name__ == "__main__":
    main()
