"""market data -> features -> runners -> ensemble -> confidence -> answer, as one readable function.

Ports and the model set come in as arguments; nothing here knows where prices or models live, or what time it is.
Rows never mix, so an answer is the same whether it was asked for alone or among five hundred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from answer import Subject, answer
from contracts import (
    Bars,
    Calendar,
    FeatureMatrix,
    Floats,
    Forecast,
    ForecastRequest,
    MarketData,
    MemberRunner,
    ModelSet,
    Timeframe,
)
from ensemble.distribution import MemberFailure, distribution, each_alone
from errors import DeepFinanceError, RunnerUnavailable, UnknownModel
from features.build import check_usable, latest_inputs


@dataclass(frozen=True, slots=True)
class Ports:
    """What the pipeline needs from outside. ``runners`` are keyed by member name."""

    market: MarketData
    calendar: Calendar
    runners: Mapping[str, MemberRunner]


Outcome = Forecast | DeepFinanceError
Series = tuple[str, Timeframe]


async def forecast(request: ForecastRequest, *, ports: Ports, model_set: ModelSet, now: datetime) -> Forecast:
    """A single forecast; raises what ``forecast_many`` returns."""
    (outcome,) = await forecast_many([request], ports=ports, model_set=model_set, now=now)
    if isinstance(outcome, DeepFinanceError):
        raise outcome
    return outcome


async def forecast_many(
    requests: Sequence[ForecastRequest], *, ports: Ports, model_set: ModelSet, now: datetime
) -> list[Outcome]:
    """One answer, or one error, for each request, in order. ``now`` (aware, UTC) decides only what is stale.

    Requests for the same members and weights travel together: one feature matrix, one call a runner.
    """
    together: dict[object, list[int]] = {}
    for i, request in enumerate(requests):
        weights = tuple(sorted(request.weights.items())) if request.weights else None
        together.setdefault((request.models, weights), []).append(i)
    groups = list(together.values())
    answered = await asyncio.gather(
        *(_forecast_alike([requests[i] for i in group], ports, model_set, now) for group in groups)
    )
    outcomes = {
        i: each for group, part in zip(groups, answered, strict=True) for i, each in zip(group, part, strict=True)
    }
    return [outcomes[i] for i in range(len(requests))]


async def _forecast_alike(
    requests: Sequence[ForecastRequest], ports: Ports, model_set: ModelSet, now: datetime
) -> list[Outcome]:
    """The pipeline, for requests that name the same members and weights."""
    try:
        chosen = _chosen_members(requests[0], model_set)
        bars = await _usable_bars(requests, ports.market)
        usable = {series: each for series, each in bars.items() if isinstance(each, Bars)}
        if not usable:
            return [_error(bars[request.symbol, request.timeframe]) for request in requests]
        matrix = latest_inputs(list(usable.values()))
        members = await _ask_runners(chosen, list(usable.values()), matrix, ports.runners)
        spread = distribution(model_set, members, matrix, requests[0].weights)
        alone = each_alone(model_set, members, matrix)
    except DeepFinanceError as error:
        return [error for _ in requests]
    rows = {series: row for row, series in enumerate(usable)}

    def outcome(request: ForecastRequest) -> Outcome:
        series = (request.symbol, request.timeframe)
        if series not in rows:
            return _error(bars[series])
        row = rows[series]
        own = {name: surfaces[row] for name, surfaces in alone.items()}
        try:
            instrument = ports.market.instrument(request.symbol)
            subject = Subject(usable[series], instrument, spread.row(row), own)
            return answer(request, subject, model_set, ports.calendar, now)
        except DeepFinanceError as error:  # no calendar for its exchange or its years
            return error

    return [outcome(request) for request in requests]


async def _usable_bars(
    requests: Sequence[ForecastRequest], market: MarketData
) -> dict[Series, Bars | DeepFinanceError]:
    """Checked bars of every series that is asked for, or why there are none."""

    async def load(symbol: str, timeframe: Timeframe) -> Bars | DeepFinanceError:
        try:
            bars = await market.bars(symbol, timeframe)
            check_usable(bars)
        except DeepFinanceError as error:
            return error
        return bars

    wanted = list(dict.fromkeys((request.symbol, request.timeframe) for request in requests))
    return dict(zip(wanted, await asyncio.gather(*(load(*series) for series in wanted)), strict=True))


async def _ask_runners(
    names: Sequence[str], series: Sequence[Bars], matrix: FeatureMatrix, runners: Mapping[str, MemberRunner]
) -> dict[str, Floats | MemberFailure]:
    """Every member at the same time: (n_rows, n_horizons, n_levels) z quantiles, or why there are none."""
    keys = [bars.fingerprint for bars in series]

    async def ask(name: str) -> Floats | MemberFailure:
        runner = runners[name]
        try:
            return await runner.predict(keys, matrix.tabular if runner.spec.takes == "tabular" else matrix.flat())
        except DeepFinanceError as error:
            return MemberFailure(error.message)

    answers = dict(zip(names, await asyncio.gather(*map(ask, names)), strict=True))
    if all(isinstance(each, MemberFailure) for each in answers.values()):
        reasons = "; ".join(
            f"{name}: {each.reason}" for name, each in answers.items() if isinstance(each, MemberFailure)
        )
        raise RunnerUnavailable(f"no model could answer ({reasons})")
    return answers


def _chosen_members(request: ForecastRequest, model_set: ModelSet) -> tuple[str, ...]:
    """Members in published order; raises UnknownModel."""
    if request.models is None:
        return model_set.names
    for name in request.models:
        if name not in model_set.names:
            raise UnknownModel(f"unknown model {name!r}; published are {', '.join(model_set.names)}")
    return tuple(name for name in model_set.names if name in request.models)


def _error(found: Bars | DeepFinanceError) -> DeepFinanceError:
    assert isinstance(found, DeepFinanceError)
    return found
