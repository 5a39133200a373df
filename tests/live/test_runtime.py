# SPDX-License-Identifier: Apache-2.0
"""Containers are found by id, by the beginning of the id and by name, with processes that were put in from outside."""
import subprocess

import pytest

from lib import amber, host
from lib.container import Container


@pytest.fixture(scope="module")
def box():
    """A container with a child of its init and an exec session with a child."""
    with Container(["/bin/sh", "-c", "sleep 1001 & exec sleep 1000"], network=False) as container:
        session = subprocess.Popen(["runc", "exec", container.name, "sh", "-c", "sleep 2001 & exec sleep 2000"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            host.until("the exec session", lambda: len(host.namespace_pids(container.pid)) == 4, 10)
            yield container
        finally:
            session.kill()
            session.wait()


@pytest.mark.parametrize("cut,form", [(None, "runc:{}"), (None, "{}"), (-1, "{}")], ids=["runtime", "name", "beginning"])
def test_by_name(cut, form, box, archive):
    amber.checkpoint(form.format(box.name[:cut]), archive)
    told = amber.inspect(archive)
    assert told["container"]["id"] == box.name
    assert told["container"]["image"] == "registry.invalid/amber/box:1"
    assert told["problems"] == []
    lines = {p["pid"]: (p["ppid"], " ".join(p["command_line"])) for p in told["processes"]}
    assert sorted(line for _, line in lines.values()) == ["sleep 1000", "sleep 1001", "sleep 2000", "sleep 2001"]
    tops = sorted(line for parent, line in lines.values() if parent == 0)
    assert tops == ["sleep 1000", "sleep 2000"]
    assert sorted(lines) == sorted(host.namespace_pids(box.pid))
    assert [m["mountpoint"] for m in told["mounts"]][0] == "/"
    assert told["namespaces"]["uts"]["hostname"] == "box"


def test_gone(archive):
    with Container(["/bin/sleep", "1000"], network=False) as container:
        name = container.name
    with pytest.raises(amber.Amber) as error:
        amber.checkpoint(name, archive)
    assert error.value.code == 3 and name in error.value.text
