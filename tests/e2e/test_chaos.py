"""All that the service depends on dies and comes back while clients ask: a short run of ``python -m chaos.run``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from chaos.run import observe
from chaos.stack import stack
from chaos.verdict import faults, table

pytestmark = pytest.mark.e2e

LONGEST = 25.0
"""Seconds. The long run allows 5; this one shares its machine with other tests. A client waits for 30."""
CLIENTS = 12


def test_every_request_is_answered_and_every_forecast_stored(model_set_dir: Path):
    # a short folder of its own: the sockets of the databases are in it, and their names may have 100 characters
    with TemporaryDirectory() as folder, stack(Path(folder), model_set_dir) as it:
        seen = asyncio.run(observe(it, seconds=16, count=CLIENTS, pause=0.3))
        before, traceback, after = it.server.log.read_text(errors="replace").partition("Traceback")
    wrong = "\n".join(faults(seen, LONGEST))
    assert not wrong, f"{wrong}\n{table(seen)}"
    assert len(seen.samples) > 5 * CLIENTS, table(seen)
    assert not traceback, before[-1000:] + traceback + after[:3000]
