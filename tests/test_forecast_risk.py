"""Value at risk from our own forecasts, tested on days that they had not seen."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from scipy.special import ndtri

from contracts import AssetClass, Instrument
from errors import SourceUnavailable, UnknownModel
from features.spec import BARS_NEEDED
from forecast_risk import MOST_DAYS, Asked, forecast_risk
from replay import Replay
from risk.var_backtest import backtest
from tests.ensemble.model_sets import GRID, made_up_set
from tests.features.series import wandering_bars
from tests.own_forecasts import Told, set_fitted_until

BARS = wandering_bars(2000, 7)
DAYS = BARS.times.astype("datetime64[D]")
RETURNS = BARS.close[1:] / BARS.close[:-1] - 1
INSTRUMENT = Instrument("AAPL", AssetClass.EQUITY, "weekdays", "USD")


async def entries(told: Told | None, period: int = 250, levels: tuple[float, ...] = (0.95, 0.99), bars=BARS, horizon=1):
    found = await forecast_risk(Asked(bars, INSTRUMENT, period, horizon, levels), told)
    return found.entries, found.is_whole


async def test_each_level_is_tested_against_the_days_that_followed():
    told = Told(spread=0.012)
    found, is_whole = await entries(told)
    assert is_whole
    assert told.replayed == [len(BARS) - 251]
    for entry, level in zip(found, (0.95, 0.99), strict=True):
        said = 1 - np.exp(0.012 * ndtri(1 - level))  # every day the same
        twin = backtest(RETURNS[-250:], np.full(250, said), level)
        assert entry.backtest.at.tolist() == twin.at.tolist()
        assert entry.backtest.verdict == twin.verdict
        assert entry.window == BARS_NEEDED - 1
        assert not entry.unavailable
        assert entry.scope == (
            f"measured out of sample from {DAYS[-250]} on: each forecast is made from prices before its day, by models "
            "fitted and calibrated on prices up to 2001-12-31"
        )


class Knowing(Told):
    """Says exactly what the next day brings, a little less on the days that are to be exceedances."""

    exceeded = (1700, 1701, 1850, 1998)

    async def replay(self, bars, instrument, first):
        origins = np.arange(first, len(bars) - 1)
        returns = np.log(bars.close[origins + 1] / bars.close[origins])
        lowest = returns + np.where(np.isin(origins, self.exceeded), 1e-9, -1e-9)
        return Replay(origins, lowest[:, None] + np.linspace(0.0, 0.1, len(GRID.levels)), GRID.levels)


async def test_a_forecast_is_held_against_the_very_next_day():
    (entry,), _ = await entries(Knowing(), 400, (0.995,))
    assert entry.tested[entry.backtest.at].tolist() == list(Knowing.exceeded)
    assert [(entry.tested[0], entry.tested[-1])] == [(1599, 1998)]


@pytest.mark.parametrize("shift", [-1, 1])
async def test_a_day_off_is_caught(shift):
    class Off(Knowing):
        async def replay(self, bars, instrument, first):
            honest = await super().replay(bars, instrument, first)
            return Replay(honest.origins, np.roll(honest.quantiles, shift, axis=0), honest.levels)

    (entry,), _ = await entries(Off(), 400, (0.995,))
    assert entry.tested[entry.backtest.at].tolist() != list(Knowing.exceeded)
    assert len(entry.backtest.at) > 20


@pytest.mark.parametrize("place", [1900, 1901])
async def test_only_days_after_the_fit_are_tested(place):
    """The day itself was seen; the forecast made on its evening was not scored by any fit."""
    told = Told(model_set=set_fitted_until(str(DAYS[place])))
    found, _ = await entries(told, 500)
    assert told.replayed == [place]
    for entry in found:
        assert entry.tested[0] == place  # the return from that day to the next
        assert entry.backtest.days == 1999 - place
        assert f"measured out of sample from {DAYS[place + 1]} on" in entry.scope
        assert entry.scope.endswith(
            f"calibrated on prices up to {DAYS[place]}; {1999 - place} of the 500 days asked about"
        )


async def test_a_fit_that_ended_on_a_day_without_trade():
    friday = next(i for i in range(1900, 1910) if DAYS[i].item().weekday() == 4)
    told = Told(model_set=set_fitted_until(str(DAYS[friday] + 1)))
    await entries(told, 500)
    assert told.replayed == [friday]


@pytest.mark.parametrize("kind", list(AssetClass))
async def test_outside_the_stock_market_a_choice_made_later_counts_too(kind):
    bars = wandering_bars(5600, 7)
    days = bars.times.astype("datetime64[D]")
    assert days[-200] < np.datetime64("2022-01-01") < days[-1]
    asked, told = Asked(bars, Instrument("X", kind, "weekdays", "USD"), 1000, 1, (0.95,)), Told()
    (entry,) = (await forecast_risk(asked, told)).entries
    seen = kind in (AssetClass.CRYPTO, AssetClass.CURRENCY)
    first = int(np.searchsorted(days, np.datetime64("2022-01-01"))) if seen else len(bars) - 1000
    assert entry.tested[0] + 1 == first
    assert ("up to 2021-12-31" in entry.scope) is seen


@pytest.mark.parametrize("until", [DAYS[-1].item(), date(2030, 1, 1)])
async def test_where_the_models_have_seen_every_day_there_is_no_test(until):
    told = Told(model_set=set_fitted_until(str(until)))
    found, is_whole = await entries(told)
    assert is_whole
    assert not told.replayed
    for entry in found:
        assert entry.backtest is None
        assert entry.tail is not None
        assert entry.unavailable["backtest"] == (
            f"the models were fitted and calibrated on prices up to {until}, and no day asked about is later"
        )


async def test_a_set_that_does_not_say_what_it_has_seen_is_not_tested():
    found, _ = await entries(Told(model_set=made_up_set()))
    assert {entry.unavailable["backtest"] for entry in found} == {
        "the model set does not say on which days it was fitted"
    }


async def test_of_a_long_period_the_last_five_years_are_tested():
    told = Told()
    found, _ = await entries(told, 1999)
    assert told.replayed == [len(BARS) - 1 - MOST_DAYS]
    assert {entry.backtest.days for entry in found} == {MOST_DAYS}
    assert all(entry.scope.endswith("; 1,250 of the 1,999 days asked about") for entry in found)


async def test_a_series_too_short_for_a_forecast():
    told = Told(error=UnknownModel("x"))
    short = wandering_bars(BARS_NEEDED, 7)
    found, _ = await entries(told, 100, bars=short)
    assert not told.replayed
    assert found[0].unavailable["backtest"] == (
        f"AAPL has {BARS_NEEDED} bars; a forecast of the last of them needs {BARS_NEEDED} before it"
    )
    told = Told(model_set=set_fitted_until("1999-12-31"))
    await entries(told, 100, bars=wandering_bars(BARS_NEEDED + 1, 7))
    assert told.replayed == [BARS_NEEDED - 1]


async def test_where_every_day_would_have_been_refused():
    class Refused(Told):
        async def replay(self, bars, instrument, first):
            return Replay(np.empty(0, np.intp), np.empty((0, len(GRID.levels))), GRID.levels)

    found, _ = await entries(Refused())
    assert found[0].unavailable["backtest"].startswith("on none of these days would a forecast have been made")


@pytest.mark.parametrize(("error", "is_whole"), [(SourceUnavailable("away"), False), (UnknownModel("gone"), True)])
async def test_what_may_pass_is_asked_again(error, is_whole):
    for told in (Told(error=error), Told(error_in_replay=error)):
        found, whole = await entries(told)
        assert whole is is_whole
        assert {entry.unavailable["backtest"] for entry in found} == {f"no forecasts of the past: {error.message}"}


async def test_a_level_beyond_what_forecasts_state_has_neither_estimate_nor_test():
    (entry, beyond), _ = await entries(Told(), levels=(0.995, 0.999))
    assert entry.backtest is not None
    reason = "forecasts are stated for confidence levels up to 0.995"
    assert beyond.unavailable == dict.fromkeys(("value_at_risk", "expected_shortfall", "backtest"), reason)


async def test_a_level_beyond_the_quantiles_of_the_set_is_not_tested():
    class Narrow(Told):
        async def replay(self, bars, instrument, first):
            whole = await super().replay(bars, instrument, first)
            return Replay(whole.origins, whole.quantiles[:, 1:-1], whole.levels[1:-1])

    (usual, rare), _ = await entries(Narrow(), levels=(0.9, 0.99))
    assert usual.backtest is not None
    assert rare.unavailable == {"backtest": "the quantiles of this model set do not reach to a loss that is so rare"}


async def test_over_several_days_the_test_is_of_one():
    one, _ = await entries(Told())
    ten, _ = await entries(Told(), horizon=10)
    assert [entry.backtest.verdict for entry in one] == [entry.backtest.verdict for entry in ten]
    assert {entry.horizon for entry in ten} == {10}
