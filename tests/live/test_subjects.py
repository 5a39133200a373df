# SPDX-License-Identifier: Apache-2.0
"""The subjects themselves: left alone, each must pass, on the host and in a container."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run as live  # noqa: E402  (needs the path above)


@pytest.mark.parametrize("where", [live.OnHost, live.InRunc])
@pytest.mark.parametrize("subject", live.subjects())
def test_unaided(subject, where):
    running = where(subject)
    try:
        verdict = live.Verdict(running.pid, running.verdict_path)
        assert verdict.wait("^(READY|FAIL.*)$", 20, running.ended) == "READY"
        verdict.close()
        assert live.judge(running.pid, running.verdict_path, running.ended) == "PASS"
    finally:
        running.close()
