"""The whole line with ports in memory: order, failures, weights, and the same answer alone or in company."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from answer import NEEDS_RANGES
from contracts import Bars, Floats, Forecast, ForecastRequest, MemberEvent
from ensemble.surface import at_level, surface
from errors import (
    DeepFinanceError,
    InvalidRequest,
    RunnerUnavailable,
    Timeout,
    UnknownModel,
    UnknownSymbol,
    UnusableSeries,
)
from features.build import latest_inputs
from figures import SHOWN_LEVELS
from pipeline import Ports, forecast, forecast_many
from tests.ensemble.model_sets import (
    COVER_LEVELS,
    EVERYONE,
    GRID,
    NAMES,
    OTHERS_WITH_RANGES,
    STOCKS,
    STOCKS_WITH_RANGES,
    made_up_set,
    measured_row,
    offsets_of,
    set_with_ranges,
)
from tests.features.series import with_candles
from tests.in_memory import KINDS, MemoryMarket, ReckoningRunner, Weekdays

SET = made_up_set()
NOW = datetime(2002, 3, 16, tzinfo=UTC)  # a Saturday, the day after the last bar of AAPL
# AAPL has one bar more than its first forecast needs: nothing of the past corrects it, so its answer is known by hand.


def ports(**errors):
    runners = {spec.name: ReckoningRunner(spec, errors.get(spec.name)) for spec in SET.members}
    return Ports(MemoryMarket(), Weekdays(), runners)


async def ask(request: ForecastRequest, **errors: DeepFinanceError) -> Forecast:
    return await forecast(request, ports=ports(**errors), model_set=SET, now=NOW)


async def ask_many(requests: Sequence[ForecastRequest], through=None):
    return await forecast_many(requests, ports=through or ports(), model_set=SET, now=NOW)


BROKEN = RunnerUnavailable("the model does not answer")


async def expected_surface(symbol: str, alive: Sequence[str], weights: dict[str, Floats], mask: int) -> Floats:
    """(n_steps, n_levels) by hand from the members' answers."""
    matrix = latest_inputs([MemoryMarket().series[symbol]])
    z = offsets_of(SET, STOCKS, mask).copy()
    total = sum(weights[name] for name in alive)
    for name in alive:
        spec = SET.members[NAMES.index(name)]
        answer = await ReckoningRunner(spec).predict(["x"], matrix.rows_for(spec.takes))
        z += (weights[name] / total)[:, None] * answer[0]
    return surface(np.sort(z, axis=-1)[None], matrix.sigma, SET.grid)[0]


PUBLISHED = dict(zip(NAMES, SET.calibration[STOCKS].weights, strict=True))


async def test_an_answer_is_the_calibrated_blend_of_all_members_in_prices():
    got = await ask(ForecastRequest("AAPL", horizon=7))
    expected = await expected_surface("AAPL", NAMES, PUBLISHED, EVERYONE)
    price = MemoryMarket().series["AAPL"].close[-1]
    assert got.current_price == price
    for level in SHOWN_LEVELS:
        twin = price * np.exp(at_level(expected[6], GRID.levels, level))
        assert got.quantiles[f"{level:g}"] == pytest.approx(twin, rel=1e-12)
    assert got.price_target == got.quantiles["0.5"]
    assert got.expected_return == pytest.approx(got.price_target / price - 1)
    assert got.degraded == ()


async def test_answers_keep_the_order_of_the_requests():
    requests = [
        ForecastRequest(symbol, horizon)
        for symbol, horizon in [("MSFT", 3), ("AAPL", 20), ("^GSPC", 1), ("MSFT", 1), ("AAPL", 20), ("BTC-USD", 5)]
    ]
    answers = await ask_many(requests)
    assert [(each.symbol, each.horizon) for each in answers] == [(each.symbol, each.horizon) for each in requests]
    assert answers[1] == answers[4]


async def test_an_interval_beyond_the_quantiles_of_the_set_is_refused_and_spoils_no_other():
    wide, usual = await ask_many([ForecastRequest("AAPL", confidence_level=0.995), ForecastRequest("AAPL")])
    assert isinstance(wide, InvalidRequest)
    assert [detail.field for detail in wide.details] == ["confidence_level"]
    assert usual == await ask(ForecastRequest("AAPL"))


async def test_a_bad_symbol_among_good_ones_spoils_only_its_own_answer():
    requests = [ForecastRequest(symbol) for symbol in ("AAPL", "NOPE", "MSFT", "SHORT", "AAPL")]
    answers = await ask_many(requests)
    assert [type(each) for each in answers] == [Forecast, UnknownSymbol, Forecast, UnusableSeries, Forecast]
    assert answers[0] == await ask(requests[0])
    assert "a forecast needs" in str(answers[3])


async def test_a_symbol_without_a_calendar_spoils_only_its_own_answer(monkeypatch):
    described = MemoryMarket.instrument

    def instrument(market, symbol):
        if symbol == "MSFT":
            raise UnknownSymbol("MSFT: no exchange whose trading days are known here")
        return described(market, symbol)

    monkeypatch.setattr(MemoryMarket, "instrument", instrument)
    answers = await ask_many([ForecastRequest(symbol) for symbol in ("AAPL", "MSFT", "^GSPC")])
    assert [type(each) for each in answers] == [Forecast, UnknownSymbol, Forecast]


async def test_only_bad_symbols_ask_no_model():
    through = ports()
    answers = await ask_many([ForecastRequest("NOPE"), ForecastRequest("SHORT"), ForecastRequest("NOPE")], through)
    assert [type(each) for each in answers] == [UnknownSymbol, UnusableSeries, UnknownSymbol]
    assert all(not runner.batches for runner in through.runners.values())


async def test_a_single_bad_request_raises():
    with pytest.raises(UnknownSymbol, match="no source knows NOPE"):
        await ask(ForecastRequest("NOPE"))


async def test_bars_that_were_looked_up_already_are_not_asked_for_again():
    through = ports()
    bars = await through.market.bars("AAPL", "1d")
    through.market.calls.clear()
    requests = [ForecastRequest("AAPL"), ForecastRequest("MSFT")]
    given = await forecast_many(requests, ports=through, model_set=SET, now=NOW, bars={("AAPL", "1d"): bars})
    assert through.market.calls == ["MSFT"]
    assert given == await forecast_many(requests, ports=through, model_set=SET, now=NOW)


async def test_requests_alike_share_prices_and_model_calls():
    through = ports()
    requests = [ForecastRequest(symbol, horizon) for symbol in ("AAPL", "MSFT") for horizon in (1, 5, 20)]
    await ask_many(requests, through)
    assert sorted(through.market.calls) == ["AAPL", "MSFT"]
    for runner in through.runners.values():
        assert sorted(runner.batches[:2]) == [1, 6]  # what would have been forecast at each bar before
        assert runner.batches[2:] == [2]  # the forecasts


async def test_a_batch_answers_exactly_what_one_by_one_answers():
    requests = [
        ForecastRequest(symbol, horizon, models=models, weights=weights, confidence_level=level)
        for symbol in KINDS
        for horizon, level in ((1, 0.9), (7, 0.5), (20, 0.99))
        for models, weights in (
            (None, None),
            (("lstm",), None),
            (None, {"lstm": 1.0, "xgboost": 2.0}),
            (("transformer", "xgboost"), None),
        )
    ]
    together = await ask_many(requests)
    assert together == [await ask(request) for request in requests]


@pytest.mark.parametrize("failing", NAMES)
async def test_a_member_that_fails_is_named_and_the_rest_answer_with_their_own_calibration(failing):
    got = await ask(ForecastRequest("AAPL", horizon=7), **{failing: BROKEN})
    alive = [name for name in NAMES if name != failing]
    mask = sum(2 ** NAMES.index(name) for name in alive)
    expected = await expected_surface("AAPL", alive, PUBLISHED, mask)
    twin = got.current_price * np.exp(at_level(expected[6], GRID.levels, 0.95))
    assert got.upper == pytest.approx(twin, rel=1e-12)
    assert got.degraded == (failing,)
    assert any(note.startswith(f"Answered without {failing};") for note in got.notes)
    members = {member.model: member for member in got.members}
    assert tuple(members) == NAMES
    assert (members[failing].status, members[failing].weight, members[failing].price_target) == ("failed", 0.0, None)
    assert members[failing].error == "the model does not answer"
    column = 2  # horizon 7 lies above 5, the third of the grid
    total = sum(PUBLISHED[name][column] for name in alive)
    for name in alive:
        assert members[name].status == "ok"
        assert members[name].weight == pytest.approx(PUBLISHED[name][column] / total)
    table = SET.evidence["equity"]
    row = measured_row(table, mask)
    assert got.evidence.skill_vs_random_walk == table.skill[row, 6]
    assert got.evidence.p_value == table.p_value[row, 6]


async def test_a_timeout_is_a_failure_too():
    got = await ask(ForecastRequest("AAPL"), lstm=Timeout("too slow"))
    assert got.degraded == ("lstm",)


async def test_when_every_model_fails_there_is_no_answer():
    with pytest.raises(RunnerUnavailable, match=r"no model could answer \(xgboost: .*; lstm: .*; transformer: "):
        await ask(ForecastRequest("AAPL"), **dict.fromkeys(NAMES, BROKEN))


async def test_when_every_model_fails_a_bad_symbol_is_still_an_error_and_other_groups_answer():
    through = ports(lstm=BROKEN)
    requests = [ForecastRequest("AAPL", models=("lstm",)), ForecastRequest("AAPL")]
    failed, answered = await ask_many(requests, through)
    assert isinstance(failed, RunnerUnavailable)
    assert isinstance(answered, Forecast)
    assert answered.degraded == ("lstm",)


async def test_the_asked_models_alone_are_asked():
    through = ports()
    (got,) = await ask_many([ForecastRequest("AAPL", 7, models=("transformer", "xgboost"))], through)
    assert all("@" in key for key in through.runners["lstm"].keys)  # of the past, as a witness
    assert [member.model for member in got.members] == ["xgboost", "transformer"]
    assert got.degraded == ()
    assert sum(member.weight for member in got.members) == pytest.approx(1.0)


async def test_the_order_in_which_models_are_named_does_not_matter():
    one, other = await ask_many(
        [ForecastRequest("AAPL", 7, models=models) for models in (("xgboost", "lstm"), ("lstm", "xgboost"))]
    )
    assert one == other


async def test_a_row_goes_by_the_name_of_the_bars_it_was_made_from():
    through = ports()
    await ask_many([ForecastRequest("AAPL"), ForecastRequest("MSFT")], through)
    series = through.market.series
    for runner in through.runners.values():
        names = [series["AAPL"].fingerprint, series["MSFT"].fingerprint]
        assert runner.keys[-2:] == names
        assert {key.split("@")[0] for key in runner.keys[:-2]} == set(names)
        assert len(set(runner.keys)) == len(runner.keys) == 2 + 1 + 6  # no two rows by the same name


async def test_a_single_model_answers_with_its_own_calibration():
    got = await ask(ForecastRequest("AAPL", horizon=7, models=("lstm",)))
    expected = await expected_surface("AAPL", ["lstm"], PUBLISHED, 0b010)
    twin = got.current_price * np.exp(at_level(expected[6], GRID.levels, 0.05))
    assert got.lower == pytest.approx(twin, rel=1e-12)
    (member,) = got.members
    assert (member.model, member.weight) == ("lstm", 1.0)
    assert member.price_target == pytest.approx(got.price_target, rel=1e-12)
    assert got.confidence_breakdown.model_agreement is None


async def test_the_callers_weights_are_used_and_shown():
    asked = {"xgboost": 3.0, "transformer": 1.0}
    got = await ask(ForecastRequest("AAPL", horizon=7, weights=asked))
    flat = {name: np.full(len(GRID.horizons), asked.get(name, 0.0)) for name in NAMES}
    expected = await expected_surface("AAPL", NAMES, flat, EVERYONE)
    twin = got.current_price * np.exp(at_level(expected[6], GRID.levels, 0.5))
    assert got.price_target == pytest.approx(twin, rel=1e-12)
    assert {member.model: member.weight for member in got.members} == {
        "xgboost": 0.75,
        "lstm": 0.0,
        "transformer": 0.25,
    }
    assert got.evidence.scope.endswith("measured with the published weights, not with those asked for")


async def test_an_unknown_model_is_refused_by_name():
    with pytest.raises(UnknownModel, match="unknown model 'gpt'; published are xgboost, lstm, transformer"):
        await ask(ForecastRequest("AAPL", models=("lstm", "gpt")))


async def test_intervals_of_higher_levels_hold_those_of_lower_ones():
    answers = [await ask(ForecastRequest("AAPL", 20, confidence_level=level)) for level in (0.5, 0.9, 0.99)]
    for narrow, wide in pairwise(answers):
        for inner, outer in zip(narrow.path, wide.path, strict=True):
            assert outer.lower < inner.lower < inner.median < inner.upper < outer.upper
            assert inner.median == outer.median
    assert (answers[1].lower, answers[1].upper) == (answers[1].quantiles["0.05"], answers[1].quantiles["0.95"])


async def test_a_shorter_horizon_is_the_start_of_a_longer_one():
    short, long = await ask_many([ForecastRequest("AAPL", 6), ForecastRequest("AAPL", 20)])
    assert short.path == long.path[:6]


async def test_the_same_inputs_have_the_same_name_whoever_asks_and_when():
    first = await ask(ForecastRequest("AAPL"))
    later = await forecast(ForecastRequest("AAPL"), ports=ports(), model_set=SET, now=NOW + timedelta(days=400))
    assert first.forecast_id == later.forecast_id
    assert replace(later, data=first.data) == first
    assert (first.data.stale, later.data.stale) == (False, True)


async def test_whatever_changes_the_numbers_changes_the_name():
    base = ForecastRequest("AAPL")
    variants = [
        base,
        replace(base, horizon=6),
        replace(base, confidence_level=0.8),
        replace(base, weights={"lstm": 1.0}),
        replace(base, models=("lstm", "xgboost")),
        replace(base, symbol="MSFT"),
    ]
    names = [each.forecast_id for each in await ask_many(variants)]
    names.append((await ask(base, lstm=BROKEN)).forecast_id)
    through = ports()
    close = through.market.series["AAPL"].close.copy()
    close[-1] *= 1.0001
    through.market.series["AAPL"] = Bars("AAPL", "1d", through.market.series["AAPL"].times, close, "made up")
    names.append((await ask_many([base], through))[0].forecast_id)
    newer = replace(SET, version="20230101-newer")
    names.append((await forecast(base, ports=ports(), model_set=newer, now=NOW)).forecast_id)
    assert len(set(names)) == len(names)


async def test_the_target_is_the_session_that_the_calendar_names():
    got = await ask(ForecastRequest("AAPL", horizon=20))
    days = Weekdays().sessions_after("", got.as_of, 20)
    assert got.as_of == MemoryMarket().series["AAPL"].times[-1].item()
    assert [step.date for step in got.path] == days
    assert got.target_date == days[-1]
    assert [step.step for step in got.path] == list(range(1, 21))


async def test_evidence_is_read_for_the_horizon_the_level_the_kind_and_the_members():
    for symbol, kind in (("AAPL", "equity"), ("^GSPC", "index")):
        for level in (0.5, 0.9, 0.99):
            got = await ask(ForecastRequest(symbol, 4, models=("xgboost", "transformer"), confidence_level=level))
            table = SET.evidence[kind]
            row = measured_row(table, 0b101)
            at = COVER_LEVELS.tolist().index(level)
            assert got.evidence.coverage == pytest.approx(table.coverage[row, 3, at], abs=1e-12)
            assert got.evidence.skill_vs_random_walk == table.skill[row, 3]
            assert got.evidence.p_value == table.p_value[row, 3]
            assert got.evidence.samples == table.samples[3]
            assert got.evidence.scope.startswith(f"{kind}: made up; members xgboost, transformer")
            assert got.evidence.window == table.window


async def test_nothing_measured_is_said_and_not_made_up():
    got = await ask(ForecastRequest("BTC-USD"))
    evidence = got.evidence
    assert (evidence.samples, evidence.coverage, evidence.skill_vs_random_walk, evidence.p_value) == (
        0,
        None,
        None,
        None,
    )
    assert not evidence.beats_random_walk
    assert got.direction == "neutral"
    assert "No evidence: nothing was measured for assets of the kind crypto." in got.notes
    assert got.confidence_breakdown.historical_skill is None


async def test_probability_and_confidence_are_the_recalibrated_ones():
    got = await ask(ForecastRequest("AAPL", 7))
    (row,) = [await expected_surface("AAPL", NAMES, PUBLISHED, EVERYONE)]
    raw = 1 - np.interp(0.0, row[6], GRID.levels)
    intercept, slope = SET.calibration[STOCKS].direction[6]
    twin = 1 / (1 + np.exp(-(intercept + slope * np.log(raw / (1 - raw)))))
    assert got.probability_up == pytest.approx(twin, abs=0.01)
    assert got.confidence == max(got.probability_up, 1 - got.probability_up)


async def test_the_price_level_of_a_symbol_scales_its_answer():
    through = ports()
    bars = through.market.series["AAPL"]
    through.market.series["AAPL"] = Bars("AAPL", "1d", bars.times, bars.close * 1000, "made up")
    (scaled,) = await ask_many([ForecastRequest("AAPL", 20)], through)
    plain = await ask(ForecastRequest("AAPL", 20))
    assert_allclose([step.upper for step in scaled.path], [1000 * step.upper for step in plain.path], rtol=1e-6)


async def test_adjusted_closes_make_the_forecast_and_the_traded_close_the_price():
    through = ports()
    bars = through.market.series["AAPL"]
    doubled = Bars("AAPL", "1d", bars.times, bars.close * 2, "made up", adj_close=bars.close.copy())
    through.market.series["AAPL"] = doubled
    (got,) = await ask_many([ForecastRequest("AAPL")], through)
    plain = await ask(ForecastRequest("AAPL"))
    assert got.current_price == 2 * plain.current_price
    assert got.price_target == pytest.approx(2 * plain.price_target, rel=1e-12)


FOUR = set_with_ranges()


def four_ports(*symbols: str):
    """Ports of the set with har_range; these symbols have open, high, low and volume."""
    market = MemoryMarket()
    market.series |= {symbol: with_candles(market.series[symbol]) for symbol in symbols}
    return Ports(market, Weekdays(), {spec.name: ReckoningRunner(spec) for spec in FOUR.members})


async def ask_four(requests, through):
    return await forecast_many(requests, ports=through, model_set=FOUR, now=NOW)


async def test_a_member_that_the_bars_cannot_feed_is_left_out_and_named_with_the_reason():
    through = four_ports()
    (got,) = await ask_four([ForecastRequest("AAPL", 7)], through)
    assert [member.status for member in got.members] == ["ok", "ok", "ok", "left_out"]
    last = got.members[-1]
    assert (last.model, last.weight, last.price_target) == ("har_range", 0.0, None)
    assert last.error == NEEDS_RANGES == "needs open, high, low and volume, which these bars do not have"
    assert got.degraded == ()
    assert not through.runners["har_range"].batches
    plain = await ask(ForecastRequest("AAPL", 7))
    assert (got.quantiles, got.path, got.evidence.skill_vs_random_walk) == (
        plain.quantiles,
        plain.path,
        plain.evidence.skill_vs_random_walk,
    )


async def test_a_member_that_nobody_asked_for_is_not_left_out():
    (got,) = await ask_four([ForecastRequest("AAPL", models=("lstm",))], four_ports())
    assert [member.model for member in got.members] == ["lstm"]


async def test_naming_a_member_that_the_bars_cannot_feed_beside_others_leaves_it_out():
    (got,) = await ask_four([ForecastRequest("AAPL", models=("lstm", "har_range"))], four_ports())
    assert [(member.model, member.status, member.weight) for member in got.members] == [
        ("lstm", "ok", 1.0),
        ("har_range", "left_out", 0.0),
    ]


async def test_naming_only_members_that_the_bars_cannot_feed_is_an_invalid_request():
    alone = ForecastRequest("AAPL", models=("har_range",))
    with pytest.raises(InvalidRequest, match="har_range needs open, high, low and volume") as caught:
        await forecast(alone, ports=four_ports(), model_set=FOUR, now=NOW)
    assert caught.value.status == 422
    assert [detail.field for detail in caught.value.details] == ["models"]


async def test_weight_on_members_alone_that_the_bars_cannot_feed_is_an_invalid_request():
    """No other member takes over in silence; where one of those with a weight can answer, it does."""
    with pytest.raises(InvalidRequest, match="har_range needs open, high, low and volume") as caught:
        await forecast(ForecastRequest("AAPL", weights={"har_range": 1.0}), ports=four_ports(), model_set=FOUR, now=NOW)
    assert caught.value.status == 422
    assert [detail.field for detail in caught.value.details] == ["weights"]
    (got,) = await ask_four([ForecastRequest("AAPL", weights={"har_range": 1.0, "lstm": 1.0})], four_ports())
    assert {member.model: member.weight for member in got.members if member.weight} == {"lstm": 1.0}


async def test_in_a_batch_it_is_refused_for_the_series_without_ranges_alone_and_blames_no_other():
    requests = [ForecastRequest(symbol, models=("har_range",)) for symbol in ("MSFT", "AAPL", "^GSPC")]
    got = await ask_four(requests, four_ports("MSFT"))
    assert [type(each) for each in got] == [Forecast, InvalidRequest, InvalidRequest]
    for refused in got[1:]:
        assert not any(symbol in refused.message for symbol in KINDS)


@pytest.mark.parametrize(("symbol", "kind"), [("^GSPC", STOCKS_WITH_RANGES), ("BTC-USD", OTHERS_WITH_RANGES)])
async def test_series_with_ranges_have_weights_of_their_own(symbol, kind):
    (got,) = await ask_four([ForecastRequest(symbol, 7)], four_ports(symbol))
    weights = FOUR.calibration[kind].weights[:, 2]
    assert [member.model for member in got.members] == [*NAMES, "har_range"]
    assert [member.weight for member in got.members] == pytest.approx((weights / weights.sum()).tolist())


async def test_a_batch_of_all_kinds_answers_exactly_what_one_by_one_answers():
    requests = [ForecastRequest(symbol, horizon) for symbol in KINDS for horizon in (1, 20)]
    together = await ask_four(requests, four_ports("MSFT", "BTC-USD"))
    alone = [(await ask_four([request], four_ports("MSFT", "BTC-USD")))[0] for request in requests]
    assert together == alone
    assert {len([m for m in each.members if m.status == "ok"]) for each in together} == {3, 4}


async def test_one_request_among_kinds_that_share_nothing_reaches_each_member_with_rows_it_takes():
    through = four_ports("MSFT")
    await ask_four([ForecastRequest(symbol) for symbol in KINDS], through)
    assert through.runners["har_range"].batches[-1] == 1
    assert through.runners["har_range"].keys[-1] == through.market.series["MSFT"].fingerprint


async def test_members_that_use_ranges_are_not_in_evidence_that_was_measured_on_closes():
    (got,) = await ask_four([ForecastRequest("MSFT", 4)], four_ports("MSFT"))
    table = FOUR.evidence["equity"]
    assert got.evidence.skill_vs_random_walk == table.skill[measured_row(table, EVERYONE), 3]
    assert got.evidence.scope.endswith("without har_range, for which no prices of that time are at hand")


async def test_of_crypto_no_drift_is_assumed():
    neutral = {kind: replace(each, rates=np.zeros(2)) for kind, each in SET.calibration.items()}
    got = await forecast(
        ForecastRequest("BTC-USD", 20), ports=ports(), model_set=replace(SET, calibration=neutral), now=NOW
    )
    assert got.price_target == got.current_price
    assert got.expected_return == 0.0
    assert [step.median for step in got.path] == [got.current_price] * 20
    assert got.probability_up == pytest.approx(0.5, abs=1e-12)
    assert [member.price_target for member in got.members] == [got.current_price] * 3
    share = await ask(ForecastRequest("AAPL", 20))
    assert share.price_target != share.current_price


async def test_each_member_is_told_of_as_it_answers_with_the_numbers_that_the_forecast_shows():
    told: list[MemberEvent] = []
    got = await forecast(
        ForecastRequest("AAPL", horizon=7),
        ports=ports(**{NAMES[1]: BROKEN}),
        model_set=SET,
        now=NOW,
        told=told.append,
    )
    assert {(each.model, each.version, each.status, each.price_target, each.error) for each in told} == {
        (each.model, each.version, each.status, each.price_target, each.error) for each in got.members
    }
    assert {each.status for each in told} == {"ok", "failed"}
    assert got == await ask(ForecastRequest("AAPL", horizon=7), **{NAMES[1]: BROKEN})
