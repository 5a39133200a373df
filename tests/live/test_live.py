# SPDX-License-Identifier: Apache-2.0
"""Every subject program in every mode (see run.py): it says itself whether it is as it was."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run as live  # noqa: E402  (needs the path above)

CASES = [(s, m) for s in live.subjects() for m in live.MODES if live.applies(s, m)]


@pytest.mark.parametrize("subject, mode", CASES, ids=[f"{s}-{m}" for s, m in CASES])
def test_subject(subject, mode, archive):
    assert live.run(subject, mode, archive) == "PASS"
