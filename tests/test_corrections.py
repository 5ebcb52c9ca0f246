"""A series' correction as it is served: the evaluation's to the last digit, from nothing but its own past, once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import sleep

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import corrections as served
from contracts import Forecast, ForecastRequest, kind_of
from corrections import AT_ONCE, AT_ONCE_FOR_ONE, CorrectionMemory, corrections_of, recent_past
from ensemble.distribution import distribution, recent_corrections
from ensemble.online import Correction, no_correction
from ensemble.surface import at_level
from errors import RunnerUnavailable, Timeout
from features.build import history_inputs
from figures import SHOWN_LEVELS
from pipeline import Ports, forecast, forecast_many
from tests.ensemble.model_sets import GRID, NAMES, STOCKS, set_with_ranges
from tests.features.guards import assert_same_rows
from tests.features.series import first_bars, made_bars, wandering_bars, weekdays, with_candles
from tests.in_memory import KINDS, MemoryMarket, ReckoningRunner, Weekdays
from training.evidence import correction_at, forecasts_at
from training.history import History, history_of

SET = set_with_ranges()
NOW = datetime(2005, 3, 1, tzinfo=UTC)
SERIES = {
    "AAPL": wandering_bars(1090, 3, "AAPL"),
    "^GSPC": with_candles(wandering_bars(1090, 4, "^GSPC")),
    "BTC-USD": wandering_bars(1090, 5, "BTC-USD"),
}
DAYS = weekdays(1090).astype("datetime64[D]")
NEW_YEAR_2005 = int(np.searchsorted(DAYS, np.datetime64("2005-01-01")))
NEW_YEAR_2004 = int(np.searchsorted(DAYS, np.datetime64("2004-01-01")))
# the first forecast, one with fewer outcomes than the longest horizon, both sides of two New Years, the last bar
ORIGINS = (314, 330, NEW_YEAR_2004 - 1, NEW_YEAR_2004, 900, NEW_YEAR_2005 - 1, NEW_YEAR_2005, 1089)


@dataclass
class BusyRunner(ReckoningRunner):
    """Takes a few turns of the loop and counts how many replays are on their way at once."""

    under_way: int = 0
    most_under_way: int = 0

    async def predict(self, keys, rows):
        self.under_way += len(keys) > 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            return await super().predict(keys, rows)
        finally:
            self.under_way -= len(keys) > 1


def ports(series=None, runner=ReckoningRunner, **errors_in_replay):
    market = MemoryMarket(series=dict(series or SERIES))
    runners = {spec.name: runner(spec, error_in_replay=errors_in_replay.get(spec.name)) for spec in SET.members}
    return Ports(market, Weekdays(), runners)


async def ask(bars, horizon=20, through=None, **request) -> Forecast:
    asked = ForecastRequest(bars.symbol, horizon, **request)
    return await forecast(asked, ports=through or ports({bars.symbol: bars}), model_set=SET, now=NOW)


async def answers_of(history: History):
    """What the members answer for every row of a history, of those that serve its kind."""
    names = SET.weighted(kind_of(history.asset_class, history.bars.has_ranges))
    runners = {spec.name: ReckoningRunner(spec) for spec in SET.members if spec.name in names}
    keys = [""] * len(history.rows)
    return {name: await each.predict(keys, history.matrix.rows_for(each.spec.takes)) for name, each in runners.items()}


def rows_of(history, *origins):
    """Where a history holds these bars."""
    rows = np.searchsorted(history.rows, origins)
    assert_array_equal(history.rows[rows], origins)
    return rows


async def assert_served_is_evaluated(bars, origins):
    """Forecasts from the bars there were, and the rows of the evaluation, which knows all that followed."""
    history = history_of(bars, GRID.horizons[-1])
    answers = await answers_of(history)
    evaluated = forecasts_at(history, rows_of(history, *origins), answers, SET, tuple(answers))
    for surface, probability, origin in zip(evaluated.surfaces, evaluated.probability_up, origins, strict=True):
        got = await ask(first_bars(bars, origin + 1))
        for step in got.path:
            twin = [float(np.exp(at_level(surface[step.step - 1], GRID.levels, each))) for each in (0.05, 0.5, 0.95)]
            assert [step.lower, step.median, step.upper] == [got.current_price * each for each in twin]
        for level in SHOWN_LEVELS:
            assert got.quantiles[f"{level:g}"] == got.current_price * float(
                np.exp(at_level(surface[19], GRID.levels, level))
            )
        assert got.probability_up == probability[19]


@pytest.mark.parametrize("symbol", SERIES)
async def test_what_is_served_is_what_was_evaluated_to_the_last_digit(symbol):
    await assert_served_is_evaluated(SERIES[symbol], ORIGINS)


async def test_it_is_a_correction_that_is_compared():
    history = history_of(SERIES["AAPL"], GRID.horizons[-1])
    found = correction_at(history, rows_of(history, *ORIGINS), await answers_of(history), SET)
    assert not found.shift[0].any()  # nothing of the first forecast is known yet
    assert (np.abs(found.shift[1:]).max(axis=(1, 2)) > 0.01).all()


async def test_a_correction_is_of_the_series_whoever_answers():
    bars, asked = SERIES["AAPL"], {"lstm": 1.0, "xgboost": 3.0}
    history = history_of(bars, GRID.horizons[-1])
    answers, last = await answers_of(history), np.array([len(history.rows) - 1])
    learned = recent_corrections(SET, STOCKS, answers, history.z(GRID), history.origins, last)
    now = {name: z[last] for name, z in answers.items()}
    spread = distribution(SET, STOCKS, now, history.matrix.take(last), asked, learned)
    got = await ask(bars, weights=asked)
    for level in SHOWN_LEVELS:
        value = float(np.exp(at_level(spread.surfaces[0, 19], GRID.levels, level)))
        assert got.quantiles[f"{level:g}"] == got.current_price * value


async def test_outcomes_a_bar_early_in_the_service_are_caught(monkeypatch):
    honest = served.log_returns_ahead

    def a_bar_early(closes, rows, horizons):
        return honest(closes, np.minimum(rows + 1, len(closes) - 1), horizons)

    monkeypatch.setattr(served, "log_returns_ahead", a_bar_early)
    with pytest.raises(AssertionError):
        await assert_served_is_evaluated(SERIES["AAPL"], ORIGINS)


async def test_outcomes_a_bar_early_in_the_evaluation_are_caught(monkeypatch):
    honest = History.z
    monkeypatch.setattr(History, "z", lambda history, grid: np.roll(honest(history, grid), -1, axis=0))
    with pytest.raises(AssertionError):
        await assert_served_is_evaluated(SERIES["AAPL"], ORIGINS)


async def test_a_replay_from_another_day_is_caught(monkeypatch):
    monkeypatch.setattr(served, "anchor", lambda origin: origin.astype("datetime64[D]") - 365)
    with pytest.raises(AssertionError):
        await assert_served_is_evaluated(SERIES["AAPL"], ORIGINS)


def after(bars, last, factor):
    """The same prices up to a bar, and others afterwards."""
    close = bars.close.copy()
    close[last + 1 :] *= factor
    return made_bars(close, bars.symbol)


async def assert_the_future_of_an_origin_does_not_move_its_correction():
    for origin in ORIGINS[1:-1]:
        found = []
        for factor in (1.0, 0.5, np.linspace(1.0, 3.0, 1090 - origin - 1)):
            history = history_of(after(SERIES["AAPL"], origin, factor), GRID.horizons[-1])
            found.append(correction_at(history, rows_of(history, origin), await answers_of(history), SET))
        for other in found[1:]:
            assert_array_equal(other.shift, found[0].shift)
            assert_array_equal(other.log_scale, found[0].log_scale)


async def test_the_future_of_an_origin_does_not_move_its_correction():
    await assert_the_future_of_an_origin_does_not_move_its_correction()


async def test_a_correction_that_sees_tomorrow_is_caught(monkeypatch):
    honest = History.z
    monkeypatch.setattr(History, "z", lambda history, grid: np.roll(honest(history, grid), -1, axis=0))
    with pytest.raises(AssertionError):
        await assert_the_future_of_an_origin_does_not_move_its_correction()


@pytest.mark.parametrize("symbol", SERIES)
def test_the_recent_past_holds_every_bar_since_the_anchor_and_what_followed(symbol):
    bars = SERIES[symbol]
    past = recent_past(bars, GRID)
    matrix, rows = history_inputs(bars)
    since = rows[DAYS[rows] >= np.datetime64("2004-01-01")]
    assert_array_equal(past.origins, DAYS[since])
    assert_same_rows(past.matrix, matrix.take(np.flatnonzero(rows >= since[0])))
    for i in (0, 100, len(since) - 3, len(since) - 1):
        for j, horizon in enumerate(GRID.horizons):
            end = since[i] + horizon
            if end >= len(bars):
                assert np.isnan(past.outcomes[i, j])
            else:
                z = np.log(bars.close[end] / bars.close[since[i]]) / (past.matrix.sigma[i] * horizon**0.5)
                assert past.outcomes[i, j] == pytest.approx(z, rel=1e-9)


async def test_adjusted_closes_are_what_outcomes_are_measured_in():
    bars = SERIES["AAPL"]
    split = np.where(np.arange(1090) < 1000, 4.0, 1.0) * bars.close
    adjusted = replace(bars, close=split, adj_close=bars.close.copy(), fingerprint="")
    plain, other = await ask(bars), await ask(adjusted)
    assert [step.upper for step in other.path] == [step.upper for step in plain.path]


async def test_bars_left_out_of_a_history_are_left_out_of_its_correction_too():
    """More than a year without a move: serving and evaluation skip the same bars."""
    close = SERIES["AAPL"].close.copy()
    close[330:650] = close[330]
    bars = made_bars(close)
    assert np.diff(history_inputs(bars)[1]).max() > 100
    await assert_served_is_evaluated(bars, (NEW_YEAR_2005 - 1, NEW_YEAR_2005, 1089))
    since = recent_past(first_bars(bars, NEW_YEAR_2005), GRID).origins
    assert np.diff(since).max() > np.timedelta64(100, "D")


@pytest.mark.parametrize("error", [RunnerUnavailable("it is away"), Timeout("it took too long")])
async def test_where_a_model_fails_in_the_replay_the_forecast_goes_uncorrected_and_says_so(error):
    bars = SERIES["AAPL"]
    got = await ask(bars, through=ports(lstm=error))
    nothing = {kind: replace(each, rates=np.zeros(2)) for kind, each in SET.calibration.items()}
    static = await forecast(
        ForecastRequest("AAPL", 20), ports=ports(), model_set=replace(SET, calibration=nothing), now=NOW
    )
    assert_allclose(list(got.quantiles.values()), list(static.quantiles.values()), rtol=1e-13)
    note = "Not corrected by recent outcomes: a model could not say what it would have forecast."
    assert note in got.notes
    assert note not in static.notes
    assert got.degraded == ()
    whole = await ask(bars)
    assert note not in whole.notes
    assert whole.forecast_id != got.forecast_id
    assert whole.quantiles != got.quantiles


async def test_a_replay_that_failed_is_tried_again():
    through = ports(lstm=RunnerUnavailable("it is away"))
    first = await ask(SERIES["AAPL"], through=through)
    through.runners["lstm"].error_in_replay = None
    assert (await ask(SERIES["AAPL"], through=through)) == await ask(SERIES["AAPL"]) != first


async def test_a_series_that_cannot_be_replayed_costs_the_others_of_a_batch_nothing():
    short = wandering_bars(320, symbol="MSFT")
    through = ports(SERIES | {"MSFT": short})

    async def but_one(keys, rows, honest=through.runners["lstm"].predict):
        if keys[0].startswith(f"{short.fingerprint}@"):
            raise Timeout("too slow")
        return await honest(keys, rows)

    through.runners["lstm"].predict = but_one
    requests = [ForecastRequest(symbol, 20) for symbol in ("AAPL", "MSFT")]
    got = await forecast_many(requests, ports=through, model_set=SET, now=NOW)
    assert [any("Not corrected" in note for note in each.notes) for each in got] == [False, True]
    assert got[0] == await ask(SERIES["AAPL"])


async def test_an_answer_is_remembered_by_all_that_it_depends_on():
    through = ports()
    replayed = through.runners["lstm"].batches

    async def costs(**request):
        """How many rows a request asks of the model beyond its own."""
        before = sum(replayed)
        await ask(SERIES["AAPL"], through=through, **request)
        return sum(replayed) - before - 1

    n_past = len(recent_past(SERIES["AAPL"], GRID).origins)
    assert await costs() == n_past > 250
    assert await costs() == await costs(horizon=3, confidence_level=0.5) == 0
    assert await costs(models=("lstm",)) == await costs(weights={"lstm": 1.0, "xgboost": 2.0}) == 0
    through.market.series["AAPL"] = first_bars(SERIES["AAPL"], 1089)
    assert await costs() == n_past - 1
    before = sum(replayed)
    newer = replace(SET, version="20230101-newer")
    await forecast(ForecastRequest("AAPL"), ports=through, model_set=newer, now=NOW)
    assert sum(replayed) - before == n_past


def found(number):
    return replace(no_correction(GRID), log_scale=np.full((1, len(GRID.horizons)), float(number)))


async def recalled(memory, key, number=None, log=None):
    async def work():
        if log is not None:
            log.append(key)
        await asyncio.sleep(0)
        return None if number is None else found(number)

    return await memory.recall(key, work)


async def test_the_memory_gives_the_same_object_again():
    memory = CorrectionMemory()
    first = await recalled(memory, "a", 1)
    assert first is await recalled(memory, "a", 2)
    assert (await recalled(memory, "b", 2)).log_scale[0, 0] == 2.0


async def test_the_memory_forgets_what_was_not_used_for_longest():
    memory, log = CorrectionMemory(kept=3), []
    for number, key in enumerate("abc"):
        await recalled(memory, key, number, log)
    await recalled(memory, "a", 9, log)  # used, so that b is the oldest now
    await recalled(memory, "d", 3, log)
    log.clear()
    for key in "acd":
        assert await recalled(memory, key, 5, log) is not None
    assert log == []
    assert (await recalled(memory, "b", 7, log)).log_scale[0, 0] == 7.0


async def test_the_memory_does_not_keep_a_failure():
    memory, log = CorrectionMemory(), []
    assert await recalled(memory, "a", None, log) is None
    assert await recalled(memory, "a", 1, log) is not None
    assert log == ["a", "a"]


async def test_an_error_reaches_all_who_wait_and_is_not_kept():
    memory = CorrectionMemory()

    async def broken():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    outcomes = await asyncio.gather(*(memory.recall("a", broken) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [ZeroDivisionError] * 3
    assert (await recalled(memory, "a", 1)).log_scale[0, 0] == 1.0


async def test_two_requests_for_the_same_new_symbol_share_one_replay():
    through = ports(runner=BusyRunner)
    both = await asyncio.gather(*(ask(SERIES["AAPL"], through=through) for _ in range(2)))
    assert both[0] == both[1] == await ask(SERIES["AAPL"])
    n_past = len(recent_past(SERIES["AAPL"], GRID).origins)
    for name in NAMES:
        assert sorted(through.runners[name].batches) == [1, 1, n_past]


async def test_a_caller_who_gives_up_does_not_take_the_answer_from_the_other():
    memory, begun, go_on = CorrectionMemory(), [], asyncio.Event()

    async def work():
        begun.append(1)
        await go_on.wait()
        return found(4)

    first, second = (asyncio.create_task(memory.recall("a", work)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert (await second).log_scale[0, 0] == 4.0
    assert first.cancelled()
    assert begun == [1]


@pytest.fixture
def newcomers(monkeypatch):
    """Bars of some symbols that nobody has asked for."""
    symbols = [f"S{i}" for i in range(12)]
    for symbol in symbols:
        monkeypatch.setitem(KINDS, symbol, KINDS["AAPL"])
    return {
        symbol: replace(first_bars(SERIES["AAPL"], 340 + i), symbol=symbol, fingerprint="")
        for i, symbol in enumerate(symbols)
    }


async def ask_for(series, through):
    got = await forecast_many([ForecastRequest(each) for each in series], ports=through, model_set=SET, now=NOW)
    assert all(isinstance(each, Forecast) for each in got)
    return got


@pytest.mark.parametrize("at_once", [1, 2])
async def test_no_more_than_so_many_replays_go_on_at_once(at_once, newcomers):
    through = replace(ports(newcomers, BusyRunner), corrections=CorrectionMemory(at_once=at_once))
    calls = [ask_for([symbol], through) for symbol in newcomers]
    await asyncio.gather(*calls)
    assert through.runners["lstm"].most_under_way <= at_once
    assert len(through.runners["lstm"].batches) == 24


async def test_a_batch_of_new_symbols_leaves_room_for_whoever_comes_later(newcomers):
    """While the replays of a batch are under way, and the rest of it waits, another symbol is answered."""
    through, begun, few, go_on = ports(newcomers | SERIES), [], asyncio.Event(), asyncio.Event()
    slow, honest = {bars.fingerprint for bars in newcomers.values()}, through.runners["lstm"].predict

    async def held_up(keys, rows):
        name, _, place = keys[0].partition("@")
        if place and name in slow:
            begun.append(name)
            if len(begun) == AT_ONCE_FOR_ONE:
                few.set()
            await go_on.wait()
        return await honest(keys, rows)

    through.runners["lstm"].predict = held_up
    batch = asyncio.create_task(ask_for(newcomers, through))
    await few.wait()
    (other,) = await asyncio.wait_for(ask_for(["AAPL"], through), 20)
    assert other == await ask(SERIES["AAPL"], horizon=5)
    assert len(begun) == AT_ONCE_FOR_ONE < AT_ONCE
    go_on.set()
    await batch
    assert len(begun) == len(set(begun)) == len(newcomers)


async def test_what_is_remembered_is_one_row():
    """Not a view that keeps two years of rows alive."""
    runners = {spec.name: ReckoningRunner(spec) for spec in SET.members}
    (got,) = await corrections_of([SERIES["AAPL"]], STOCKS, runners, SET, CorrectionMemory())
    assert isinstance(got, Correction)
    for part in (got.log_scale, got.shift):
        assert len(part) == 1
        assert part.base is None or part.base.nbytes <= 2 * part.nbytes


async def test_the_event_loop_turns_while_a_replay_is_worked_out(monkeypatch):
    """The recursion is tens of milliseconds of pure Python."""
    honest, turns, seen = served.recent_corrections, [0], []

    def watched(*arguments):
        before = turns[0]
        for _ in range(400):
            if turns[0] > before:
                break
            sleep(0.005)
        seen.append(turns[0] > before)
        return honest(*arguments)

    async def clock():
        while True:
            turns[0] += 1
            await asyncio.sleep(0.001)

    monkeypatch.setattr(served, "recent_corrections", watched)
    ticking = asyncio.create_task(clock())
    await ask(SERIES["AAPL"])
    ticking.cancel()
    assert seen == [True]
