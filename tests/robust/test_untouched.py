# SPDX-License-Identifier: Apache-2.0
"""What judges "nothing was left" (lib/untouched.py) must see it when something was."""
import signal
import subprocess
import sys
import time

import pytest

from lib import host, untouched

# A process that does what it is told: one line, one statement, and answers.
OBEDIENT = """
import ctypes, mmap, os, signal, sys, threading, time
kept = []
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""
UFFD = ("libc = ctypes.CDLL(None); buffer = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); buffer[0] = 1; "
        "at = ctypes.addressof(ctypes.c_char.from_buffer(buffer)); uffd = libc.syscall(323, 0o2000001); "
        "api = (ctypes.c_uint64 * 3)(0xaa, 1 << 15); assert libc.ioctl(uffd, 0xc018aa3f, api) == 0; "
        "ask = (ctypes.c_uint64 * 4)(at, 4096, 2)")
REGISTER = "assert libc.ioctl(uffd, 0xc020aa00, ask) == 0"


@pytest.fixture
def obedient():
    """The process, and a function that tells it what to do."""
    with subprocess.Popen([sys.executable, "-c", OBEDIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        def tell(line):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
        tell("pass")
        yield process, tell
        host.kill(process.pid, signal.SIGCONT)
        process.kill()


def test_nothing(obedient):
    process, _tell = obedient
    untouched.Untouched(process.pid).check("nothing was done")


@pytest.mark.parametrize("line, says", [
    ("kept.append(os.open('/dev/null', os.O_RDONLY))", "descriptor"),
    ("kept.append(mmap.mmap(-1, 1 << 20))", "mapping"),
    ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])", "SigBlk"),
    ("t = threading.Thread(target=time.sleep, args=(60,), daemon=True); t.start()", "thread"),
    ("kept.append(os.fork() or time.sleep(60))", "is new"),
])
def test_something(obedient, line, says):
    process, tell = obedient
    shape = untouched.Untouched(process.pid)
    tell(line)
    assert any(says in text for text in shape.left()), shape.left()
    for pid in untouched.tree(process.pid)[1:]:
        host.kill(pid)


def test_stopped(obedient):
    process, _tell = obedient
    shape = untouched.Untouched(process.pid)
    host.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.1)
    assert any("stopped" in text for text in shape.left())


@pytest.mark.skipif(not sys.maxsize > 1 << 32 or __import__("platform").machine() != "x86_64", reason="numbers of x86-64")
def test_write_protected(obedient):
    process, tell = obedient
    try:
        tell(UFFD)
    except AssertionError:
        pytest.skip("this kernel has no userfaultfd with asynchronous write protection")
    shape = untouched.Untouched(process.pid)
    assert not shape.left()
    tell(REGISTER)
    assert any("write-protected" in text for text in shape.left())
