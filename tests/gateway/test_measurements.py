"""Forecasts are counted by how they came out and what their bars are, a batch like one by one."""

from __future__ import annotations

from dataclasses import replace

import prometheus_client
import pytest

from contracts import ForecastRequest
from errors import UnknownSymbol
from gateway.measurements import ForecastMetrics
from tests.gateway.fakes import forecast_for
from tests.gateway.test_express import Client

FRESH = forecast_for(ForecastRequest("AAPL"))
FRESH = replace(FRESH, data=replace(FRESH.data, provider="files", stale=False), degraded=())
STALE = replace(FRESH, data=replace(FRESH.data, stale=True))
OUTCOMES = [FRESH, FRESH, STALE, replace(FRESH, degraded=("lstm",)), UnknownSymbol("NOPE")]


@pytest.mark.parametrize("together", [True, False])
def test_every_outcome_is_counted_once(together: bool):
    registry = prometheus_client.CollectorRegistry()
    metrics = ForecastMetrics.__wrapped__(Client(registry))
    for some in [OUTCOMES] if together else [[each] for each in OUTCOMES]:
        metrics.count(some)
    text = prometheus_client.generate_latest(registry).decode()
    found = {line for line in text.splitlines() if line.startswith("deepfinance_forecast") and "_created" not in line}
    assert found == {
        'deepfinance_forecasts_total{result="ok"} 3.0',
        'deepfinance_forecasts_total{result="degraded"} 1.0',
        'deepfinance_forecasts_total{result="unknown_symbol"} 1.0',
        'deepfinance_forecast_data_total{source="files",state="fresh"} 3.0',
        'deepfinance_forecast_data_total{source="files",state="stale"} 1.0',
    }
