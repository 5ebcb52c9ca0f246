"""The specification holds: a short run of schemathesis over every route, the same cases each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.run import check, served
from tests.e2e.server import KEY

pytestmark = pytest.mark.e2e

SHORT = ("--phases", "examples,fuzzing", "--max-examples", "4", "--generation-deterministic", "--no-shrink")


def test_what_is_served_is_what_is_specified(tmp_path: Path):
    """`python -m tests.contract.run` is the long run, with another phase and cases made up anew."""
    with served(tmp_path / "home") as server:
        for key, fewest in ((KEY, 100), (None, 100)):
            outcome = check(server, tmp_path, key=key, options=SHORT)
            assert outcome.passed, outcome.text
            assert outcome.cases > fewest
        assert "Traceback" not in server.log.read_text(errors="replace")
