"""The same on a real Ray cluster of two nodes, one of which is killed while it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from engine.local import LocalEngine
from engine.serial import SerialEngine
from tests.engine import asked

# The first is Ray's own name: where it is 0, Ray listens on 127.0.0.1 and nowhere else.
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
# Else what a busy machine keeps waiting for ten seconds counts as dead.
WITH_PATIENCE = {"RAY_health_check_timeout_ms": "120000", "RAY_worker_register_timeout_seconds": "300"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of everything that was asked."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as own:  # paths of sockets must be short
        done = subprocess.run(
            [sys.executable, "-m", "tests.engine.two_nodes", tmp_path_factory.mktemp("there")],
            cwd=ROOT,
            env=os.environ | ON_LOOPBACK | WITH_PATIENCE | {"RAY_TMPDIR": own, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=900,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


def test_results_come_in_the_order_of_the_items(there: dict[str, Any]):
    assert there["nodes"] == 2
    assert there["order"] == [["9", 18], ["2", 4], ["7", 14]]


def test_an_error_names_its_item(there: dict[str, Any]):
    assert there["refused"].startswith("13 failed: Traceback")
    assert there["refused"].endswith("ValueError: thirteen is not doubled")


def test_a_node_that_is_killed_changes_no_number(there: dict[str, Any], tmp_path: Path):
    assert there["nodes_left"] == 1
    assert there["begun"] > len(asked.SLICES)
    assert there["sums"] == asked.sums(SerialEngine(), tmp_path / "here")


def test_walk_forward_scores_are_the_same_to_the_last_bit(there: dict[str, Any]):
    assert json.loads(json.dumps(asked.scores(LocalEngine(1)))) == there["scores"]
    assert there["scores"]["pooled"][0]["skill_vs_garch"] is not None
