"""What would have been forecast: to the last digit what was served then, from nothing that came later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import replay as replaying
from contracts import ForecastRequest, kind_of
from corrections import recent_past
from errors import Timeout
from forecast_risk import AT_ONCE, ServedForecasts, past_quantiles
from pipeline import Ports, forecast_many
from replay import ROWS_A_CALL, fitted_until, replayed
from tests.ensemble.model_sets import set_with_ranges
from tests.features.series import first_bars, made_bars, wandering_bars, with_candles
from tests.in_memory import KINDS, MemoryMarket, ReckoningRunner, Weekdays
from tests.own_forecasts import set_fitted_until

SET = set_with_ranges()
NOW = datetime(2005, 3, 1, tzinfo=UTC)
FIRST = 700
SERIES = {
    "AAPL": wandering_bars(1090, 3, "AAPL"),
    "^GSPC": with_candles(wandering_bars(1090, 4, "^GSPC")),
    "BTC-USD": wandering_bars(1090, 5, "BTC-USD"),
}
NEW_YEARS = [int(np.searchsorted(SERIES["AAPL"].times, np.datetime64(f"{year}-01-01"))) for year in (2004, 2005)]
# the first, two in a row, both sides of two New Years, the last whose outcome is known
ORIGINS = (FIRST, FIRST + 1, *(bar + side for bar in NEW_YEARS for side in (-1, 0)), 1088)
LEVELS = tuple(1.0 - level for level in (0.95, 0.99, 0.995))  # as they are asked for, with binary dust


def runners(kind=ReckoningRunner, **errors):
    return {spec.name: kind(spec, errors.get(spec.name)) for spec in SET.members}


async def replay_of(bars, first=FIRST, answering=None, models=SET):
    kind = kind_of(KINDS[bars.symbol], bars.has_ranges)
    return await replayed(bars, kind, first, answering or runners(), models)


async def served_at(bars, origin):
    """The quantiles that the service read off its forecast when ``origin`` was the last bar there was."""
    ports = Ports(MemoryMarket(series={bars.symbol: first_bars(bars, origin + 1)}), Weekdays(), runners())
    forecasts = ServedForecasts(partial(forecast_many, ports=ports, model_set=SET, now=NOW), lambda: (ports, SET))
    return await forecasts.quantiles(bars.symbol, 1, LEVELS)


async def assert_what_is_replayed_was_served(bars):
    found = await replay_of(bars)
    assert_array_equal(found.origins, np.arange(FIRST, len(bars) - 1))
    said = np.stack([past_quantiles(bars, found, level) for level in LEVELS], axis=1)
    for origin in ORIGINS:
        assert said[origin - FIRST].tolist() == await served_at(bars, origin)


@pytest.mark.parametrize("symbol", SERIES)
async def test_what_is_replayed_is_what_was_served_to_the_last_digit(symbol):
    await assert_what_is_replayed_was_served(SERIES[symbol])


async def test_with_adjusted_closes_too():
    bars = SERIES["AAPL"]
    split = np.where(np.arange(len(bars)) < 1000, 4.0, 1.0) * bars.close
    await assert_what_is_replayed_was_served(replace(bars, close=split, adj_close=bars.close.copy(), fingerprint=""))


async def test_forecasts_a_day_late_are_caught(monkeypatch):
    honest = replaying.distribution

    def a_day_late(*args):
        spread = honest(*args)
        return replace(spread, surfaces=np.roll(spread.surfaces, 1, axis=0))

    monkeypatch.setattr(replaying, "distribution", a_day_late)
    with pytest.raises(AssertionError):
        await assert_what_is_replayed_was_served(SERIES["AAPL"])


async def test_a_correction_that_sees_tomorrow_is_caught(monkeypatch):
    def early(*args):
        past = recent_past(*args)
        return replace(past, outcomes=np.roll(past.outcomes, -1, axis=0))

    monkeypatch.setattr(replaying, "recent_past", early)
    with pytest.raises(AssertionError):
        await assert_what_is_replayed_was_served(SERIES["AAPL"])


async def test_a_correction_from_another_day_on_is_caught(monkeypatch):
    monkeypatch.setattr(replaying, "recent_past", lambda bars, grid, first: recent_past(bars, grid, first - 262))
    await assert_what_is_replayed_was_served(SERIES["AAPL"])  # more of the past is not used
    monkeypatch.setattr(replaying, "recent_past", lambda bars, grid, first: recent_past(bars, grid, first + 262))
    with pytest.raises(AssertionError):
        await assert_what_is_replayed_was_served(SERIES["AAPL"])


@pytest.mark.parametrize("symbol", SERIES)
@pytest.mark.parametrize("count", [FIRST + 2, NEW_YEARS[1], NEW_YEARS[1] + 1, 1089])
async def test_without_the_future_the_past_is_the_same(symbol, count):
    whole, cut = await replay_of(SERIES[symbol]), await replay_of(first_bars(SERIES[symbol], count))
    assert_array_equal(cut.origins, whole.origins[: count - 1 - FIRST])
    assert_array_equal(cut.quantiles, whole.quantiles[: count - 1 - FIRST])


async def test_another_future_leaves_the_past_as_it_is():
    bars, cut = SERIES["AAPL"], 1000
    fallen = bars.close.copy()
    fallen[cut:] *= np.linspace(0.9, 0.2, len(bars) - cut)
    one, other = await replay_of(bars), await replay_of(made_bars(fallen))
    assert_array_equal(one.quantiles[: cut - FIRST], other.quantiles[: cut - FIRST])
    assert (one.quantiles[cut - FIRST :] != other.quantiles[cut - FIRST :]).any(axis=1).all()


async def test_from_another_bar_on_the_forecasts_are_the_same():
    bars = SERIES["AAPL"]
    one, other = await replay_of(bars), await replay_of(bars, FIRST + 200)
    assert_array_equal(one.quantiles[200:], other.quantiles)


async def test_where_the_service_would_have_refused_there_is_no_forecast():
    close = SERIES["AAPL"].close.copy()
    close[800:840] = close[800]  # halted for longer than a forecast can be made of
    found = await replay_of(made_bars(close))
    assert set(range(FIRST, 1089)) - set(found.origins.tolist()) == set(range(820, 840))


async def test_where_it_would_always_have_refused_no_model_is_asked():
    close = np.repeat(SERIES["AAPL"].close[::4], 4)  # moves on one day of four
    answering = runners()
    assert not len((await replay_of(made_bars(close), answering=answering)).origins)
    assert not any(each.batches for each in answering.values())


@dataclass
class Slow(ReckoningRunner):
    """Takes a few turns of the loop, and counts what it is asked at the same time."""

    waiting: int = 0
    most: int = 0

    async def predict(self, keys, rows):
        self.waiting += len(keys)
        self.most = max(self.most, self.waiting)
        for _ in range(3):
            await asyncio.sleep(0)
        self.waiting -= len(keys)
        return await super().predict(keys, rows)


async def test_others_wait_for_one_small_call_at_most():
    answering = runners(Slow)
    await replay_of(SERIES["AAPL"], answering=answering)
    asked = [each for each in answering.values() if each.batches]
    assert len(asked) == 3
    assert max(max(each.batches) for each in asked) == max(each.most for each in asked) == ROWS_A_CALL


async def test_a_key_names_the_same_row_whatever_is_replayed():
    """A row under way may answer for another of the same name: of this replay, of another, of a correction."""
    rows = {}

    @dataclass
    class Noting(ReckoningRunner):
        async def predict(self, keys, given):
            for key, row in zip(keys, given, strict=True):
                assert rows.setdefault((self.spec.name, key), row.tobytes()) == row.tobytes()
            return await super().predict(keys, given)

    for first in (FIRST, FIRST + 300):
        await replay_of(SERIES["AAPL"], first, runners(Noting))
    ports = Ports(MemoryMarket(series=dict(SERIES)), Weekdays(), runners(Noting))
    await forecast_many([ForecastRequest("AAPL")], ports=ports, model_set=SET, now=NOW)


@pytest.mark.parametrize("name", ["xgboost", "lstm", "transformer"])
async def test_a_model_that_is_away_is_an_error(name):
    with pytest.raises(Timeout):
        await replay_of(SERIES["AAPL"], answering=runners(**{name: Timeout("it took too long")}))


async def test_a_replay_is_made_once_for_whoever_asks():
    answering, version = runners(), ["1"]
    ports = Ports(MemoryMarket(series=dict(SERIES)), Weekdays(), answering)

    async def nothing(requests):
        return []

    served = ServedForecasts(nothing, lambda: (ports, replace(SET, version=version[0])))
    bars, instrument = SERIES["AAPL"], ports.market.instrument("AAPL")

    async def costs(first=FIRST, bars=bars):
        """How many rows a model is asked for."""
        before = sum(answering["lstm"].batches)
        both = await asyncio.gather(*(served.replay(bars, instrument, first) for _ in range(2)))
        assert both[0] is both[1]
        return sum(answering["lstm"].batches) - before

    alone = await costs()
    assert alone > 1089 - FIRST
    assert await costs() == 0
    assert await costs(FIRST + 1) > 0
    assert await costs(bars=first_bars(bars, 1000)) > 0
    version[0] = "2"
    assert await costs() == alone


async def test_few_replays_go_on_at_once():
    answering = runners(Slow)
    ports = Ports(MemoryMarket(series=dict(SERIES)), Weekdays(), answering)

    async def nothing(requests):
        return []

    served = ServedForecasts(nothing, lambda: (ports, SET))
    instrument = ports.market.instrument("AAPL")
    await asyncio.gather(*(served.replay(SERIES["AAPL"], instrument, FIRST + i) for i in range(5)))
    assert answering["lstm"].most <= AT_ONCE * ROWS_A_CALL


def test_a_set_has_seen_what_it_was_fitted_and_calibrated_on():
    assert fitted_until(set_fitted_until("2003-06-30")) == date(2003, 6, 30)
    assert fitted_until(SET) is None
