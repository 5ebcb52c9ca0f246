"""Every alert fires when its condition is made true on services that run, and none does before.

The expressions are those of deploy/prometheus/rules.yaml, evaluated over what /metrics says while the condition lasts.
A real Prometheus does the same in `python -m chaos.alarms`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from chaos.alarms import faults, observe, table
from chaos.conditions import stand
from tests.deploy.watcher import watched

pytestmark = [pytest.mark.e2e, pytest.mark.long]

TIMES = 30.0
"""How many times faster than the rules say, at most: an hour is two minutes, and more where scraping takes longer."""
PATIENCE = 900.0
"""Seconds that are waited for the alerts of a condition before they are said not to fire."""


def test_every_alert_fires_when_its_condition_is_true():
    # a short folder of its own: the sockets of the databases are in it, and their names may have 100 characters
    with TemporaryDirectory() as folder, stand(Path(folder)) as it, watched(it.servers, TIMES) as watcher:
        quiet, fired = asyncio.run(observe(it, watcher, TIMES, PATIENCE))
    assert not faults(quiet, fired), table(fired, TIMES)
