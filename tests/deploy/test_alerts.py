"""Every alert fires when its condition is made true on services that run, and none does before.

The expressions are those of deploy/prometheus/rules.yaml, evaluated over what /metrics says while the condition lasts.
A real Prometheus does the same in `python -m chaos.alarms`. All conditions are made true in one run, or only those of
the tests that were chosen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from chaos.alarms import Fired, alerts, observe, table
from chaos.conditions import stand
from tests.deploy.watcher import watched

pytestmark = [pytest.mark.e2e, pytest.mark.long]

TIMES = 60.0
"""How many times faster than the rules say, at most: an hour is a minute, and more where scraping takes longer."""
PATIENCE = 400.0
"""Seconds that are waited for the alerts of a condition before they are said not to fire."""


@dataclass(frozen=True)
class Seen:
    """``quiet``: what fired while nothing was wrong."""

    quiet: list[str]
    fired: dict[str, Fired]


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest) -> Seen:
    chosen = [getattr(it, "callspec", None) for it in request.session.items if it.path == request.path]
    wanted = {it.params["alert"] for it in chosen if it is not None}
    # a short folder of its own: the sockets of the databases are in it, and their names may have 100 characters
    with TemporaryDirectory() as folder, stand(Path(folder)) as it, watched(it.servers, TIMES) as watcher:
        quiet, fired = asyncio.run(observe(it, watcher, TIMES, PATIENCE, wanted))
    print(table(fired, TIMES))  # noqa: T201 (shown where a test fails)
    return Seen(quiet, {it.alert: it for it in fired})


def test_no_alert_fires_while_nothing_is_wrong(seen: Seen):
    assert seen.quiet == []


@pytest.mark.parametrize("alert", alerts())
def test_it_fires_when_its_condition_is_true(seen: Seen, alert: str):
    assert alert in seen.fired, f"nothing makes {alert} true"
    it = seen.fired[alert]
    assert it.after < float("inf"), f"it did not fire although {it.what} {it.summary}"
