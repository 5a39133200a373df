# SPDX-License-Identifier: Apache-2.0
"""Bad input and bad circumstances: amber says what is wrong and what to do, exits non-zero (never by a
signal), and neither loses nor leaves anything.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from lib import amber, host, leaks
from lib.container import Container

CUTS = int(os.environ.get("AMBER_CUTS", 60))
FLIPS = int(os.environ.get("AMBER_FLIPS", 120))


@pytest.fixture(scope="module")
def box():
    with Container(["/bin/sh", "-c", "while true; do sleep 1; done"]) as running:
        yield running
    running.close()


@pytest.fixture(scope="module")
def good(box, tmp_path_factory):
    """A sound archive."""
    path = tmp_path_factory.mktemp("good") / "good.tar"
    amber.checkpoint(f"runc:{box.name}", path)
    return path


def refused(*argv, code=None, says=None, **kw):
    """amber must fail properly: an exit code of its own, an error in words; returns the words."""
    done = amber.call(*argv, check=False, **kw)
    assert done.returncode > 0, f"exit {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}"
    assert done.returncode < 100, f"exit {done.returncode}: {done.stderr[-2000:]}"  # 99: a sanitizer, 128+: a signal
    assert done.stderr.strip(), "no word of explanation"
    if code is not None:
        assert done.returncode == code, done.stderr
    if says is not None:
        assert re.search(says, done.stderr, re.I), done.stderr
    return done.stderr


def survives(*argv):
    """amber may succeed or fail on damaged evidence, but never crash or hang."""
    done = amber.call(*argv, check=False, timeout=60)
    assert 0 <= done.returncode < 99, f"exit {done.returncode} of {argv}: {done.stderr[-3000:]}"
    return done


def test_sound_archive(good):
    for command in ("show", "inspect", "verify"):
        amber.call(command, good)
    assert good.stat().st_mode & 0o777 == 0o600


def test_cut_anywhere(good, tmp_path):
    """Cut at tar block borders, in between, in the first and in the last kilobyte."""
    size = good.stat().st_size
    luck = random.Random(3)
    cuts = [0, 1, 511, 512, 513, 1024, size - 1, size - 512, size - 1024, size - 1025]
    cuts += [luck.randrange(size) // 512 * 512 for _ in range(CUTS // 2)] + [luck.randrange(size) for _ in range(CUTS // 2)]
    cut = tmp_path / "cut.tar"
    for length in cuts:
        shutil.copyfile(good, cut)
        os.truncate(cut, length)
        for command in ("show", "inspect"):
            survives(command, cut)
        done = survives("verify", cut)
        # What is missing may be nothing but the zeros that end a tar.
        assert done.returncode != 0 or length >= size - 10240, f"verify accepts an archive cut at {length} of {size}"
    cut.unlink()


def test_flipped_bits(good, tmp_path):
    """One bit anywhere: verify notices (unless it is padding that belongs to no member), nothing crashes."""
    size = good.stat().st_size
    luck = random.Random(4)
    flipped = tmp_path / "flipped.tar"
    shutil.copyfile(good, flipped)
    missed = 0
    with open(flipped, "r+b") as file:
        for turn in range(FLIPS):
            # Half of the flips hit the first part, where headers and metadata lie.
            place = luck.randrange(size if turn % 2 else min(size, 200_000))
            file.seek(place)
            old = file.read(1)
            file.seek(place)
            file.write(bytes([old[0] ^ (1 << luck.randrange(8))]))
            file.flush()
            for command in ("show", "inspect"):
                survives(command, flipped)
            missed += survives("verify", flipped).returncode == 0
            file.seek(place)
            file.write(old)
            file.flush()
    assert missed <= FLIPS * 0.1, f"verify missed {missed} of {FLIPS} flipped bits"
    amber.verify(flipped)


def test_flipped_page_is_named(good, tmp_path):
    """verify says which member differs."""
    flipped = tmp_path / "flipped.tar"
    shutil.copyfile(good, flipped)
    listing = subprocess.run(["tar", "-tvRf", flipped], capture_output=True, text=True, check=True).stdout
    block, name = re.search(r"^block (\d+): .* (\S*pages-1\.img)$", listing, re.M).groups()
    with open(flipped, "r+b") as file:
        # The member's data begin after its header; 100 bytes into them at most one header further.
        file.seek(int(block) * 512 + 512 + 4096)
        old = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([old[0] ^ 1]))
    assert name.rsplit("/", 1)[-1] in refused("verify", flipped, code=5)


def test_damaged_archive_does_not_restore(good, tmp_path):
    """A cut archive brings up nothing and leaves nothing."""
    size = good.stat().st_size
    for length in (0, 1024, size // 3, size // 2, size * 9 // 10):
        cut = tmp_path / "cut.tar"
        shutil.copyfile(good, cut)
        os.truncate(cut, length)
        with leaks.Leaks("bad-input"):
            refused("restore", "--detach", cut, env={**os.environ, host.MARK: "bad-input"})


@pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100, bytes(10240), b"\x1f\x8b" + bytes(2000)],
                         ids=["empty", "text", "zeros", "gzip"])
def test_no_archive(tmp_path, content):
    path = tmp_path / "odd"
    path.write_bytes(content)
    for command in ("show", "inspect", "verify", "restore"):
        refused(command, path)


def test_missing_archive(tmp_path):
    for command in ("show", "inspect", "verify", "restore"):
        refused(command, tmp_path / "nowhere.tar", code=3, says="nowhere.tar")


def test_no_such_container(archive):
    assert "amber-t-nobody" in refused("checkpoint", "-o", archive, "runc:amber-t-nobody", code=3)
    assert "amber-t-nobody" in refused("checkpoint", "-o", archive, "amber-t-nobody", code=3)
    assert not archive.exists()


def test_no_such_process(archive):
    refused("checkpoint", "-o", archive, "pid:4194303", code=3, says="4194303")
    for nonsense in ("pid:", "pid:x", "pid:-1", "pid:0", "pid:99999999999999999999"):
        refused("checkpoint", "-o", archive, nonsense)
    assert not archive.exists()


@pytest.mark.parametrize("argv", [["nonsense"], ["checkpoint"], ["checkpoint", "--no-such-option", "pid:1"], ["restore"],
                                  ["show"], ["inspect"], ["verify"]])
def test_usage(argv):
    refused(*argv, code=2)


def test_not_root(box, archive):
    """Without privileges: refused with the reason; reading archives needs none."""
    archive.parent.chmod(0o777)
    plain = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    # The folders above may be root's alone, so the command is copied to where anybody reaches it.
    binary = host.WORK / host.unique("-bin")
    shutil.copy(amber.BINARY, binary)
    binary.chmod(0o755)
    try:
        done = subprocess.run([*plain, binary, "checkpoint", "-o", "/var/tmp/amber-t-no.tar", f"pid:{box.pid}"],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 4, done.stderr
        assert re.search("root|privilege|capab|permission", done.stderr, re.I)
        assert not os.path.exists("/var/tmp/amber-t-no.tar")
    finally:
        binary.unlink()


def test_reading_needs_no_root(good):
    """show, inspect and verify as nobody."""
    binary, copy = host.WORK / host.unique("-bin"), host.WORK / host.unique("-tar")
    shutil.copy(amber.BINARY, binary)
    shutil.copy(good, copy)
    copy.chmod(0o644)
    binary.chmod(0o755)
    try:
        for command in ("show", "inspect", "verify"):
            host.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, command, copy)
    finally:
        binary.unlink()
        copy.unlink()


def test_full_disk(box):
    """Onto a file system that is too small: an error that says so, and no half archive."""
    small = host.WORK / host.unique("-small")
    small.mkdir(parents=True)
    host.run("mount", "-t", "tmpfs", "-o", "size=64k", "amber-t", small)
    try:
        refused("checkpoint", "-o", small / "x.tar", f"runc:{box.name}", code=6, says="space|full")
        assert os.listdir(small) == []
        assert box.running()
    finally:
        host.remove_tree(small)


def test_unwritable_place(box):
    refused("checkpoint", "-o", "/proc/x.tar", f"runc:{box.name}")
    refused("checkpoint", "-o", "/nowhere/at/all/x.tar", f"runc:{box.name}", says="/nowhere/at/all")
    assert box.running()


def test_earlier_archive_survives(box, good, tmp_path):
    """A checkpoint that fails does not touch the archive of that name which is already there."""
    old = tmp_path / "x.tar"
    shutil.copyfile(good, old)
    refused("checkpoint", "-o", old, "runc:amber-t-nobody")
    assert old.read_bytes() == good.read_bytes()


def test_target_dies(archive):
    """Processes that come and go while they are captured, and a target that is killed in the middle."""
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1):
        victim = subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/true; done"], stdin=subprocess.DEVNULL,
                                  env={**os.environ, host.MARK: "dies"}, start_new_session=True)
        try:
            time.sleep(0.05)
            with subprocess.Popen([amber.BINARY, "checkpoint", "-o", archive, f"pid:{victim.pid}"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as taker:
                time.sleep(delay)
                os.killpg(victim.pid, signal.SIGKILL)
                _out, err = taker.communicate(timeout=60)
            assert 0 <= taker.returncode < 99, err
            if taker.returncode == 0:
                amber.verify(archive)
                archive.unlink()
            else:
                assert err.strip() and not archive.exists()
        finally:
            host.kill(victim.pid)
            victim.wait(10)


def test_busy_forker(archive):
    """A tree in which processes are born all the time is captured, and goes on."""
    victim = subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/true; done"], stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(10):
            amber.checkpoint(f"pid:{victim.pid}", archive)
            amber.verify(archive)
            archive.unlink()
            assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait(10)


def test_two_at_once(box, tmp_path):
    """Two checkpoints of one container at the same time: each succeeds or is refused in words; it runs on."""
    takers = [subprocess.Popen([amber.BINARY, "checkpoint", "-o", tmp_path / f"{n}.tar", f"runc:{box.name}"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for n in range(2)]
    for n, taker in enumerate(takers):
        _out, err = taker.communicate(timeout=60)
        assert 0 <= taker.returncode < 99, err
        if taker.returncode == 0:
            amber.verify(tmp_path / f"{n}.tar")
        else:
            assert err.strip() and not (tmp_path / f"{n}.tar").exists()
    assert box.running()
    amber.checkpoint(f"runc:{box.name}", tmp_path / "after.tar")


def test_check():
    """amber check tells what this node can do, as text and as JSON."""
    import json
    assert amber.call("check", check=False).stdout.strip()
    assert json.loads(amber.call("check", "--json", check=False).stdout)
