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
from corrections import OF_ONE_CALL, SERIES_A_PASS, CorrectionMemory, InTurns, corrections_of, recent_past
from ensemble.distribution import distribution, recent_corrections
from ensemble.online import Correction, no_correction
from ensemble.surface import at_level
from errors import RunnerUnavailable, Timeout
from features.build import history_inputs, latest_inputs
from figures import SHOWN_LEVELS
from inputs import InputMemory
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


class Replays:
    """Finds of (key, number) the number, None where it is None; notes the keys of each pass, and can be held up."""

    def __init__(self, is_held_up=False):
        self.passes: list[list[str]] = []
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        if not is_held_up:
            self.go_on.set()

    async def __call__(self, asked):
        self.passes.append([key for key, _ in asked])
        self.begun.set()
        await self.go_on.wait()
        await asyncio.sleep(0)
        return [None if number is None else found(number) for _, number in asked]


async def recalled(memory, key, number=None):
    return await memory.recall(key, (key, number))


async def test_the_memory_gives_the_same_object_again():
    memory = CorrectionMemory(replay=Replays())
    first = await recalled(memory, "a", 1)
    assert first is await recalled(memory, "a", 2)
    assert (await recalled(memory, "b", 2)).log_scale[0, 0] == 2.0


async def test_the_memory_forgets_what_was_not_used_for_longest():
    replays = Replays()
    memory = CorrectionMemory(3, replays)
    for number, key in enumerate("abc"):
        await recalled(memory, key, number)
    await recalled(memory, "a", 9)  # used, so that b is the oldest now
    await recalled(memory, "d", 3)
    replays.passes.clear()
    for key in "acd":
        assert await recalled(memory, key, 5) is not None
    assert replays.passes == []
    assert (await recalled(memory, "b", 7)).log_scale[0, 0] == 7.0


async def test_the_memory_does_not_keep_a_failure():
    replays = Replays()
    memory = CorrectionMemory(replay=replays)
    assert await recalled(memory, "a", None) is None
    assert await recalled(memory, "a", 1) is not None
    assert replays.passes == [["a"], ["a"]]


async def test_an_error_reaches_all_who_wait_and_is_not_kept():
    broken = [True]

    async def replay(asked):
        await asyncio.sleep(0)
        return [1 / 0 if broken else found(number) for _, number in asked]

    memory = CorrectionMemory(replay=replay)
    outcomes = await asyncio.gather(*(recalled(memory, "a", 1) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [ZeroDivisionError] * 3
    broken.clear()
    assert (await recalled(memory, "a", 1)).log_scale[0, 0] == 1.0


async def test_who_comes_while_a_pass_is_under_way_goes_with_all_others_in_the_next():
    replays = Replays(is_held_up=True)
    memory = CorrectionMemory(replay=replays)
    first = asyncio.create_task(recalled(memory, "first", 0))
    await replays.begun.wait()
    others = [asyncio.create_task(recalled(memory, f"S{i}", i)) for i in range(SERIES_A_PASS + 3)]
    again = asyncio.create_task(recalled(memory, "S1", 1))
    await asyncio.sleep(0.01)
    assert replays.passes == [["first"]]
    replays.go_on.set()
    assert [each.log_scale[0, 0] for each in await asyncio.gather(*others)] == list(range(SERIES_A_PASS + 3))
    assert (await first).log_scale[0, 0] == 0.0
    assert (await again).log_scale[0, 0] == 1.0
    assert [len(each) for each in replays.passes] == [1, SERIES_A_PASS, 3]


async def test_of_one_call_only_a_part_of_a_pass_is_so_that_whoever_comes_later_is_in_the_next():
    replays = Replays(is_held_up=True)
    memory = CorrectionMemory(replay=replays)
    batches = [InTurns(memory) for _ in range(2)]
    works = [asyncio.create_task(recalled(batch, f"{i}-{j}", j)) for i, batch in enumerate(batches) for j in range(40)]
    await replays.begun.wait()
    late = asyncio.create_task(recalled(InTurns(memory), "late", 1))
    replays.go_on.set()
    assert (await late).log_scale[0, 0] == 1.0
    assert len(replays.passes[0]) == 2 * OF_ONE_CALL <= SERIES_A_PASS
    assert replays.passes[1][0] == "late"
    await asyncio.gather(*works)
    assert sum(map(len, replays.passes)) == 81


async def test_two_requests_for_the_same_new_symbol_share_one_replay():
    through = ports(runner=BusyRunner)
    both = await asyncio.gather(*(ask(SERIES["AAPL"], through=through) for _ in range(2)))
    assert both[0] == both[1] == await ask(SERIES["AAPL"])
    n_past = len(recent_past(SERIES["AAPL"], GRID).origins)
    for name in NAMES:
        assert sorted(through.runners[name].batches) == [1, 1, n_past]


async def test_a_caller_who_gives_up_does_not_take_the_answer_from_the_other():
    replays = Replays(is_held_up=True)
    memory = CorrectionMemory(replay=replays)
    first, second, other = (asyncio.create_task(recalled(memory, key, 4)) for key in "aab")
    await replays.begun.wait()
    first.cancel()
    other.cancel()
    await asyncio.sleep(0)
    replays.go_on.set()
    assert (await second).log_scale[0, 0] == 4.0
    assert first.cancelled()
    assert (await recalled(memory, "b", 5)).log_scale[0, 0] == 4.0  # what was begun is finished and kept
    assert replays.passes == [["a", "b"]]


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


async def test_new_symbols_of_all_callers_are_replayed_in_passes_and_answered_as_alone(newcomers):
    """No more of them ask the models at once than a pass holds."""
    through = ports(newcomers, BusyRunner)
    got = await asyncio.gather(*(ask_for([symbol], through) for symbol in newcomers))
    assert 1 < through.runners["lstm"].most_under_way <= SERIES_A_PASS
    for symbol, (answer,) in zip(newcomers, got, strict=True):
        (alone,) = await ask_for([symbol], ports(newcomers))
        assert answer == alone


async def test_while_a_batch_of_new_symbols_is_replayed_known_ones_are_answered_and_others_are_next(newcomers):
    through, begun, go_on = ports(newcomers | SERIES), asyncio.Event(), asyncio.Event()
    slow, honest, replays = {bars.fingerprint for bars in newcomers.values()}, through.runners["lstm"].predict, []
    await ask_for(["BTC-USD"], through)

    async def held_up(keys, rows):
        name, _, place = keys[0].partition("@")
        if place:
            replays.append(name)
            begun.set()
            await go_on.wait()
        return await honest(keys, rows)

    through.runners["lstm"].predict = held_up
    batch = asyncio.create_task(ask_for(newcomers, through))
    await begun.wait()
    later = asyncio.create_task(ask_for(["AAPL"], through))
    (known,) = await asyncio.wait_for(ask_for(["BTC-USD"], through), 20)
    assert known == await ask(SERIES["BTC-USD"], horizon=5)
    assert len(replays) == OF_ONE_CALL
    go_on.set()
    (other,) = await later
    assert other == await ask(SERIES["AAPL"], horizon=5)
    await batch
    assert replays.index(SERIES["AAPL"].fingerprint) < SERIES_A_PASS
    assert set(replays) == slow | {SERIES["AAPL"].fingerprint}
    assert len(replays) == len(newcomers) + 1


async def test_a_series_that_breaks_the_replay_costs_the_others_of_its_pass_nothing(newcomers, monkeypatch):
    honest, (bad, *good) = served.recent_past, newcomers

    def broken(bars, grid):
        return 1 / 0 if bars.symbol == bad else honest(bars, grid)

    monkeypatch.setattr(served, "recent_past", broken)
    through = ports(newcomers)
    calls = [ask_for([symbol], through) for symbol in newcomers]
    got = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in got] == [ZeroDivisionError] + [list] * len(good)


@pytest.mark.parametrize("symbol", SERIES)
async def test_a_replay_comes_across_the_inputs_of_the_last_bar(symbol, monkeypatch):
    """So that they are not worked out a second time."""
    bars, inputs = SERIES[symbol], InputMemory()
    kind = kind_of(MemoryMarket(series=SERIES).instrument(symbol).asset_class, bars.has_ranges)
    runners = {spec.name: ReckoningRunner(spec) for spec in SET.members}
    await corrections_of([bars], kind, runners, SET, CorrectionMemory(), inputs)
    expected = latest_inputs([bars])
    monkeypatch.setattr("inputs.latest_inputs", None)
    assert_same_rows(inputs.of([bars]), expected)


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
    honest, turns, seen = served.corrections, [0], []

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

    monkeypatch.setattr(served, "corrections", watched)
    ticking = asyncio.create_task(clock())
    await ask(SERIES["AAPL"])
    ticking.cancel()
    assert seen == [True]
