"""market data -> features -> runners -> ensemble -> confidence -> answer, as one readable function.

Ports and the model set come in as arguments; nothing here knows where prices or models live, or what time it is.
Rows never mix, so an answer is the same whether it was asked for alone or among five hundred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from answer import NEEDS_RANGES, Common, answers, member_event
from contracts import (
    RANGED,
    Bars,
    Calendar,
    Explainer,
    FeatureMatrix,
    Floats,
    Forecast,
    ForecastRequest,
    Grid,
    Instrument,
    MarketData,
    MemberEvent,
    MemberRunner,
    ModelSet,
    Timeframe,
    kind_of,
)
from corrections import CorrectionMemory, InTurns, Memory, corrections_of
from ensemble.distribution import MemberFailure, distribution, each_alone
from ensemble.online import no_correction, stacked
from errors import DeepFinanceError, ErrorDetail, InvalidRequest, RunnerUnavailable, UnknownModel
from explanation import explanation_of
from figures import Subject, tail_level
from inputs import InputMemory
from lookup import looked_up


@dataclass(frozen=True, slots=True)
class Ports:
    """What the pipeline needs from outside. ``runners`` and ``explainers`` are keyed by member name; ``inputs`` and
    ``corrections`` are remembered from one request to the next."""

    market: MarketData
    calendar: Calendar
    runners: Mapping[str, MemberRunner]
    corrections: Memory = field(default_factory=CorrectionMemory)
    explainers: Mapping[str, Explainer] = field(default_factory=dict)
    inputs: InputMemory = field(default_factory=InputMemory)


Found = TypeVar("Found")
Outcome = Forecast | DeepFinanceError
Told = Callable[[MemberEvent], None]
"""Called with each member's answer as it comes in, before the forecast is made of them; must not wait."""
Heard = Callable[[str, Floats | MemberFailure], None]
Series = tuple[str, Timeframe]


@dataclass(frozen=True, slots=True)
class _Usable:
    """Checked bars, and what they are of."""

    bars: Bars
    instrument: Instrument

    @property
    def kind(self) -> str:
        return kind_of(self.instrument.asset_class, self.bars.has_ranges)


async def forecast(
    request: ForecastRequest, *, ports: Ports, model_set: ModelSet, now: datetime, told: Told | None = None
) -> Forecast:
    """A single forecast; raises what ``forecast_many`` returns. ``told`` hears of each member as it answers."""
    ports = replace(ports, corrections=InTurns(ports.corrections))
    (outcome,) = await _forecast_alike([request], ports, model_set, now, {}, told)
    if isinstance(outcome, DeepFinanceError):
        raise outcome
    return outcome


async def forecast_many(
    requests: Sequence[ForecastRequest],
    *,
    ports: Ports,
    model_set: ModelSet,
    now: datetime,
    bars: Mapping[Series, Bars] | None = None,
) -> list[Outcome]:
    """One answer, or one error, for each request, in order. ``now`` (aware, UTC) decides only what is stale. ``bars``
    are those that the caller has looked up already.

    Requests for the same members and weights travel together: one feature matrix, one call a runner.
    """
    together: dict[object, list[int]] = {}
    for i, request in enumerate(requests):
        weights = tuple(sorted(request.weights.items())) if request.weights else None
        together.setdefault((request.models, weights), []).append(i)
    groups = list(together.values())
    ports = replace(ports, corrections=InTurns(ports.corrections))
    known = bars or {}
    parts = await _together(
        [_forecast_alike([requests[i] for i in group], ports, model_set, now, known) for group in groups]
    )
    outcomes = {i: each for group, part in zip(groups, parts, strict=True) for i, each in zip(group, part, strict=True)}
    return [outcomes[i] for i in range(len(requests))]


async def _forecast_alike(
    requests: Sequence[ForecastRequest],
    ports: Ports,
    model_set: ModelSet,
    now: datetime,
    known: Mapping[Series, Bars],
    told: Told | None = None,
) -> list[Outcome]:
    """The pipeline, for requests that name the same members and weights; ``told`` only with a single one."""
    subjects: dict[Series, Subject | DeepFinanceError] = {}
    by_kind: dict[str, dict[Series, _Usable]] = {}
    for series, found in (await _usable(requests, ports, known)).items():
        if isinstance(found, _Usable):
            by_kind.setdefault(found.kind, {})[series] = found
        else:
            subjects[series] = found
    longest = max(requests, key=lambda request: request.horizon)
    for part in await _together(
        [_subjects(kind, series, longest, ports, model_set, told) for kind, series in by_kind.items()]
    ):
        subjects |= part

    each = [_too_rare(it, model_set.grid) or subjects[it.symbol, it.timeframe] for it in requests]
    asked = [(it, subject) for it, subject in zip(requests, each, strict=True) if isinstance(subject, Subject)]
    made = iter(answers(asked, Common(model_set, ports.calendar, now)))
    outcomes = [next(made) if isinstance(subject, Subject) else subject for subject in each]
    for i, request in enumerate(requests):  # one at a time: an explanation holds up its runner for some milliseconds
        outcome, subject = outcomes[i], each[i]
        if request.explain and isinstance(outcome, Forecast) and isinstance(subject, Subject):
            why = await explanation_of(request, subject, model_set, ports.explainers)
            outcomes[i] = replace(outcome, explanation=why)
    return outcomes


async def _subjects(
    kind: str,
    series: Mapping[Series, _Usable],
    request: ForecastRequest,
    ports: Ports,
    model_set: ModelSet,
    told: Told | None,
) -> Mapping[Series, Subject | DeepFinanceError]:
    """features -> runners -> ensemble, for series of one kind; ``request`` names the members and weights, and of all
    it looks furthest ahead."""
    bars = [found.bars for found in series.values()]
    try:
        chosen = _chosen_members(request, kind, model_set)
        found = await corrections_of(bars, kind, ports.runners, model_set, ports.corrections, ports.inputs)
        matrix = ports.inputs.of(bars)  # of series that are new, the replay has worked them out
        heard = told and _teller(told, kind, request, bars[0], matrix, model_set)
        members = await _ask_runners(chosen, bars, matrix, ports.runners, heard)
        if request.models is None and _none_answered(members):
            stand_ins = [name for name in model_set.stand_ins if name not in members]
            members |= await _ask_runners(stand_ins, bars, matrix, ports.runners, heard)
        _require_an_answer(members)
        correction = stacked([each or no_correction(model_set.grid) for each in found])
        spread = distribution(model_set, kind, members, matrix, request.weights, correction, request.horizon)
        alone = each_alone(model_set, kind, members, matrix, request.horizon)
    except DeepFinanceError as error:
        return dict.fromkeys(series, error)
    return {
        each: Subject(
            usable.bars,
            usable.instrument,
            kind,
            spread,
            alone,
            row,
            is_corrected=found[row] is not None,
        )
        for row, (each, usable) in enumerate(series.items())
    }


async def _usable(
    requests: Sequence[ForecastRequest], ports: Ports, known: Mapping[Series, Bars]
) -> dict[Series, _Usable | DeepFinanceError]:
    """Every series that is asked for, or why it cannot be forecast."""
    wanted = dict.fromkeys((request.symbol, request.timeframe) for request in requests)
    found = {**known, **await looked_up([series for series in wanted if series not in known], ports.market)}
    return {series: _checked(series, found[series], ports) for series in wanted}


def _checked(series: Series, bars: Bars | DeepFinanceError, ports: Ports) -> _Usable | DeepFinanceError:
    if isinstance(bars, DeepFinanceError):
        return bars
    try:
        ports.inputs.check(bars)
        return _Usable(bars, ports.market.instrument(series[0]))  # raises where nothing is known of its exchange
    except DeepFinanceError as error:
        return error


async def _together(works: Sequence[Coroutine[Any, Any, Found]]) -> Sequence[Found]:
    """What they return, in order; a single one needs no task of its own."""
    return [await works[0]] if len(works) == 1 else await asyncio.gather(*works)


def _teller(
    told: Told, kind: str, request: ForecastRequest, bars: Bars, matrix: FeatureMatrix, model_set: ModelSet
) -> Heard:
    """From the z quantiles of a member to what the caller is told of it."""
    specs = {spec.name: spec for spec in model_set.members}

    def heard(name: str, outcome: Floats | MemberFailure) -> None:
        if not isinstance(outcome, MemberFailure):
            outcome = each_alone(model_set, kind, {name: outcome}, matrix, request.horizon)[name][0]
        told(member_event(request, float(bars.close[-1]), specs[name], outcome, model_set.grid.levels))

    return heard


async def _ask_runners(
    names: Sequence[str],
    series: Sequence[Bars],
    matrix: FeatureMatrix,
    runners: Mapping[str, MemberRunner],
    heard: Heard | None,
) -> dict[str, Floats | MemberFailure]:
    """Every member at the same time: (n_rows, n_horizons, n_levels) z quantiles, or why there are none."""
    keys = [bars.fingerprint for bars in series]

    async def ask(name: str) -> Floats | MemberFailure:
        runner = runners[name]
        outcome: Floats | MemberFailure
        try:
            outcome = await runner.predict(keys, matrix.rows_for(runner.spec.takes))
        except DeepFinanceError as error:
            outcome = MemberFailure(error.message)
        if heard:
            heard(name, outcome)
        return outcome

    return dict(zip(names, await asyncio.gather(*map(ask, names)), strict=True))


def _none_answered(members: Mapping[str, Floats | MemberFailure]) -> bool:
    return all(isinstance(each, MemberFailure) for each in members.values())


def _require_an_answer(members: Mapping[str, Floats | MemberFailure]) -> None:
    if _none_answered(members):
        reasons = "; ".join(
            f"{name}: {each.reason}" for name, each in members.items() if isinstance(each, MemberFailure)
        )
        raise RunnerUnavailable(f"no model could answer ({reasons})")


def _too_rare(request: ForecastRequest, grid: Grid) -> InvalidRequest | None:
    """Why there is no interval of this confidence level: it would end beyond the outermost quantiles of the set."""
    if grid.levels[0] <= tail_level(request.confidence_level):
        return None
    problem = f"the quantiles of this model set reach to intervals of {1.0 - 2.0 * grid.levels[0]:g} at most"
    return InvalidRequest(problem, [ErrorDetail("confidence_level", problem)])


def _chosen_members(request: ForecastRequest, kind: str, model_set: ModelSet) -> tuple[str, ...]:
    """Members to ask, in published order: those named, or all with a weight, as far as the bars can feed them.

    Raises UnknownModel, or InvalidRequest where the bars can feed none of those named, or none of those with a weight.
    """
    weighted = tuple(name for name, weight in (request.weights or {}).items() if weight > 0)
    return _chosen(request.models, weighted, kind, model_set)


@lru_cache(maxsize=256)  # models and weights come from callers
def _chosen(
    models: tuple[str, ...] | None, weighted: tuple[str, ...], kind: str, model_set: ModelSet
) -> tuple[str, ...]:
    for name in models or ():
        if name not in model_set.names:
            raise UnknownModel(f"unknown model {name!r}; published are {', '.join(model_set.names)}")
    # unless named: those with a published weight, and those that the caller gives one
    names = model_set.weighted(kind) + weighted if models is None else models
    named = [member for member in model_set.members if member.name in names]
    chosen = tuple(member.name for member in named if member.fits(kind.endswith(RANGED)))
    if not chosen:
        problem = f"{', '.join(models or ())} {NEEDS_RANGES}"  # names no symbol: it is told to all of a batch
        raise InvalidRequest(problem, [ErrorDetail("models", problem)])
    if weighted and not set(weighted) & set(chosen):
        problem = f"{', '.join(weighted)} {NEEDS_RANGES}, and no other model has a weight"
        raise InvalidRequest(problem, [ErrorDetail("weights", problem)])
    return chosen
