# SPDX-License-Identifier: Apache-2.0
"""What every Python test starts from: the path to lib, SIGTERM that still cleans up, one image."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

pytest.register_assert_rewrite("subjects")  # its asserts are to say what they compared

from lib import amber, host  # noqa: E402  (needs the path above)

host.exit_on_sigterm()


def pytest_collection_modifyitems(items):
    """Tests that touch containers need root and the built command; say so once, clearly."""
    for item in items:
        if "checks/" in str(item.fspath):
            continue
        if os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        elif not amber.BINARY.exists():
            pytest.exit(f"{amber.BINARY} is not built; run make first", 2)


@pytest.fixture(scope="session", autouse=True)
def nothing_stale():
    """Start from a machine without leftovers of runs that were killed."""
    if os.geteuid() == 0:
        host.run(host.TESTS / "lib/cleanup", check=False)
    yield


@pytest.fixture
def archive(tmp_path):
    """Where a test puts its archive."""
    return tmp_path / "checkpoint.tar"
