"""One-day value at risk from the published set's forecasts, over the days that it was not fitted on.

The numbers are those of docs/risk.md."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from forecast_risk import ServedForecasts, past_quantiles
from pipeline import forecast_many
from replay import replayed
from runners.model_set import load_model_set
from tests.ensemble.model_sets import STOCKS
from tests.features.series import first_bars
from tests.in_memory import MemoryMarket, Weekdays
from training.shared import DEFAULT_TARGET
from training.var_of_forecasts import entries_of, ports_of

LEVELS = (1.0 - 0.95, 1.0 - 0.99)
pytestmark = pytest.mark.statistical


@pytest.fixture(scope="module")
def published():
    return load_model_set(DEFAULT_TARGET)


@pytest.fixture(scope="module")
def ports(published):
    return ports_of(published, DEFAULT_TARGET)


@pytest.mark.parametrize(
    ("symbol", "level", "count", "coverage", "alone"),
    [
        ("^GSPC", 0.95, 64, 0.057, 0.15),
        ("^GSPC", 0.99, 14, 0.24, 0.53),
        ("AAPL", 0.95, 52, 0.81, 0.017),
        ("AAPL", 0.99, 9, 0.73, 0.69),
        ("RRC", 0.99, 3, 0.0086, 0.89),
    ],
)
async def test_it_does_as_the_documentation_says(published, ports, symbol, level, count, coverage, alone):
    entries = await entries_of(symbol, ports, published)
    (found,) = (entry.backtest for entry in entries if (entry.method, entry.confidence_level) == ("forecast", level))
    assert (found.days, len(found.at)) == (1006, count)
    assert found.kupiec.p_value == pytest.approx(coverage, rel=0.05)
    assert found.independence.p_value == pytest.approx(alone, rel=0.05)
    assert found.passes == (coverage >= 0.05 and alone >= 0.05)


@pytest.mark.parametrize("symbol", ["^GSPC", "AAPL"])
async def test_the_published_set_replays_what_it_serves_to_the_last_digit(published, ports, symbol):
    bars = await ports.market.bars(symbol, "1d")
    replay = await replayed(bars, STOCKS, len(bars) - 300, ports.runners, published)
    for origin in (len(bars) - 300, len(bars) - 150, len(bars) - 2):
        then = replace(ports, market=MemoryMarket(series={symbol: first_bars(bars, origin + 1)}), calendar=Weekdays())
        work = partial(forecast_many, ports=then, model_set=published, now=datetime(2023, 1, 5, tzinfo=UTC))
        served = await ServedForecasts(work, lambda: (ports, published)).quantiles(symbol, 1, LEVELS)
        said = [past_quantiles(bars, replay, level)[replay.origins == origin].item() for level in LEVELS]
        assert said == served
