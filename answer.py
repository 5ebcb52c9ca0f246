"""The last step of the pipeline: one series' distribution, as the answer that the caller reads."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from contracts import (
    RANGED,
    AssetClass,
    Bars,
    Calendar,
    ConfidenceBreakdown,
    DataReport,
    Evidence,
    EvidenceTable,
    Floats,
    Forecast,
    ForecastRequest,
    MemberAnswer,
    MemberEvent,
    MemberSpec,
    ModelSet,
    PathStep,
)
from ensemble.confidence import data_quality, historical_skill
from ensemble.distribution import Blending, MemberFailure
from errors import DeepFinanceError
from features.spec import BARS_NEEDED
from figures import SHOWN_LEVELS, Asked, Figures, Subject, figures_of

# Such models are usually fitted to each series; these are not (MemberSpec.fitted), which a reader could not guess.
POOLED = "not fitted to this symbol: fixed parameter sets weighed by its own returns, quantiles pooled over shares"
NEEDS_RANGES = "needs open, high, low and volume, which these bars do not have"
# A measured difference counts when chance alone would show it less than one time in twenty.
SIGNIFICANCE = 0.05

_SHOWN = tuple(f"{level:g}" for level in SHOWN_LEVELS)
_MEDIAN = SHOWN_LEVELS.index(0.5)


Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Common:
    """What answers that are made at the same time have in common; each thing is looked up once. ``now`` decides only
    whether the data are stale."""

    model_set: ModelSet
    calendar: Calendar
    now: datetime
    _known: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, find: Callable[[], Found]) -> Found:
        """What ``find`` returns, found the first time for this key."""
        if key not in self._known:
            self._known[key] = find()
        found: Found = self._known[key]
        return found


class _Terms(NamedTuple):
    """What decides all of an answer but its prices. ``blending`` and ``failures`` are of the members asked,
    ``own_weights`` says whether the caller gave weights."""

    model_set: ModelSet
    kind: str
    asset_class: AssetClass
    blending: Blending
    failures: tuple[tuple[str, MemberFailure], ...]
    models: tuple[str, ...] | None
    own_weights: bool
    horizon: int
    confidence_level: float

    @classmethod
    def of(cls, request: ForecastRequest, subject: Subject, model_set: ModelSet) -> _Terms:
        spread = subject.spread
        return cls(
            model_set,
            subject.kind,
            subject.instrument.asset_class,
            spread.blending,
            tuple(spread.failures.items()),
            request.models,
            bool(request.weights),
            request.horizon,
            request.confidence_level,
        )


@dataclass(frozen=True, slots=True)
class _Stated:
    """What follows from the terms.

    ``members`` are as they are answered, each with the place of its target in ``Figures.targets``, None where it has
    none. ``whose`` and ``unproven`` are notes, ``named`` is what the terms add to the name of a forecast, as JSON.
    """

    evidence: Evidence
    historical_skill: float | None
    members: tuple[tuple[MemberAnswer, int | None], ...]
    whose: tuple[str, ...]
    unproven: tuple[str, ...]
    named: str


def answers(asked: Sequence[Asked], common: Common) -> list[Forecast | DeepFinanceError]:
    """Prices, path, confidence and evidence for each request, in order, or why there are none."""
    made: list[Forecast | DeepFinanceError] = []
    for (request, subject), figures in zip(asked, figures_of(asked, common.model_set), strict=True):
        try:
            made.append(_answer(request, subject, figures, common))
        except DeepFinanceError as error:  # no calendar for its exchange or its years
            made.append(error)
    return made


def _answer(request: ForecastRequest, subject: Subject, figures: Figures, common: Common) -> Forecast:
    bars, price, up = subject.bars, figures.price, figures.probability_up
    stated = _stated(_Terms.of(request, subject, common.model_set))
    sessions = _sessions_after(subject.instrument.calendar, bars.last_day, request.horizon, common)
    lower, median, upper = figures.path
    target = figures.quantiles[_MEDIAN]
    direction = _direction(up, stated.evidence)
    return Forecast(
        forecast_id=_forecast_id(subject, stated),
        symbol=request.symbol,
        timeframe=request.timeframe,
        as_of=bars.last_day,
        current_price=price,
        currency=subject.instrument.currency,
        horizon=request.horizon,
        target_date=sessions[-1],
        price_target=target,
        expected_return=target / price - 1.0,
        direction=direction,
        probability_up=up,
        confidence=max(up, 1.0 - up),
        confidence_level=request.confidence_level,
        lower=lower[-1],
        upper=upper[-1],
        quantiles=dict(zip(_SHOWN, figures.quantiles, strict=True)),
        path=tuple(map(PathStep, range(1, request.horizon + 1), sessions, median, lower, upper)),
        members=_members(stated, figures),
        confidence_breakdown=_breakdown(subject, figures, stated, common),
        evidence=stated.evidence,
        data=data_report(bars, _last_session(subject.instrument.calendar, common), common.now),
        models_version=common.model_set.version,
        degraded=(*subject.spread.failures, *(f"source:{name}" for name in bars.skipped)),
        notes=(*_notes(stated, direction, subject), *_source_notes(bars, common.now)),
    )


def _sessions_after(calendar: str, as_of: date, count: int, common: Common) -> Sequence[date]:
    find = common.calendar.sessions_after
    return common.once(("after", calendar, as_of, count), lambda: find(calendar, as_of, count))


def _last_session(calendar: str, common: Common) -> date:
    find = common.calendar.last_completed_session
    return common.once(("last", calendar), lambda: find(calendar, common.now))


def _members(stated: _Stated, figures: Figures) -> tuple[MemberAnswer, ...]:
    return tuple(
        [
            each
            if at is None
            else MemberAnswer(each.model, each.version, each.weight, figures.targets[at], each.status, note=each.note)
            for each, at in stated.members
        ]
    )


@lru_cache(maxsize=1024)  # confidence levels and weights come from callers
def _stated(terms: _Terms) -> _Stated:
    evidence = _evidence(terms)
    return _Stated(
        evidence,
        historical_skill(evidence.skill_vs_random_walk, evidence.p_value),
        tuple(_members_asked(terms)),
        _whose(terms),
        _unproven(evidence),
        _named(terms),
    )


def _members_asked(terms: _Terms) -> Iterator[tuple[MemberAnswer, int | None]]:
    """Those asked, in published order; the weight is the one at the grid horizon nearest below the asked one."""
    used, model_set = terms.blending, terms.model_set
    column = bisect_right(model_set.grid.horizons, terms.horizon) - 1
    weights = dict(zip(used.members, used.weights[:, column].tolist(), strict=True))
    failures = dict(terms.failures)
    for spec in model_set.members:
        if spec.name in weights:
            note = POOLED if spec.kind == "garch" else None
            at = used.members.index(spec.name)
            yield MemberAnswer(spec.name, spec.version, weights[spec.name], None, "ok", note=note), at
        elif spec.name in failures:
            yield MemberAnswer(spec.name, spec.version, 0.0, None, "failed", failures[spec.name].reason), None
        elif (terms.models is None or spec.name in terms.models) and not spec.fits(terms.kind.endswith(RANGED)):
            yield MemberAnswer(spec.name, spec.version, 0.0, None, "left_out", NEEDS_RANGES), None


def member_event(
    request: ForecastRequest,
    price: float,
    spec: MemberSpec,
    outcome: Floats | MemberFailure,
    levels: Sequence[float],
) -> MemberEvent:
    """What can be said of one member before the others have answered; ``outcome`` is its own (n_steps, n_levels)
    surface. The target is the one that the forecast will show for it."""
    if isinstance(outcome, MemberFailure):
        return MemberEvent(spec.name, spec.version, "failed", None, outcome.reason)
    target = price * np.exp(outcome[request.horizon - 1, levels.index(0.5)])
    return MemberEvent(spec.name, spec.version, "ok", float(target))


def _evidence(terms: _Terms) -> Evidence:
    """What was measured for this horizon, kind of asset, level and set of members that answered; the symbol does not
    matter.

    A member that needs ranges is left out of the comparison where only closes were measured; the scope says so.
    """
    table, members = terms.model_set.evidence.get(terms.asset_class), terms.blending.members
    if table is None:
        return _no_evidence(f"nothing was measured for assets of the kind {terms.asset_class}")
    found = _measured_subset(members, table, terms.model_set)
    if found is None:
        return _no_evidence(f"{terms.asset_class}: the members {', '.join(members)} were not measured together")
    row, names = found
    step = terms.horizon - 1
    sign_was_measured = row == 0  # only of all members together
    skill, p_value = float(table.skill[row, step]), float(table.p_value[row, step])
    return Evidence(
        coverage=float(np.interp(terms.confidence_level, table.cover_levels, table.coverage[row, step])),
        samples=int(table.samples[step]),
        skill_vs_random_walk=skill,
        p_value=p_value,
        beats_random_walk=skill > 0 and p_value < SIGNIFICANCE,
        window=table.window,
        scope=_scope(terms, table, names),
        up_share=float(table.up_share[step]),
        direction_accuracy=float(table.accuracy[step]) if sign_was_measured else None,
        direction_p_value=float(table.direction_p_value[step]) if sign_was_measured else None,
        direction_edge=sign_was_measured
        and bool(table.direction_skill[step] > 0 and table.direction_p_value[step] < SIGNIFICANCE),
    )


def _no_evidence(reason: str) -> Evidence:
    return Evidence(None, 0, None, None, False, None, reason)


def _measured_subset(
    members: tuple[str, ...], table: EvidenceTable, model_set: ModelSet
) -> tuple[int, tuple[str, ...]] | None:
    """Row of the table for the members that answered, or for those of them that closes alone can feed."""
    closes_alone = {member.name for member in model_set.members if member.fits(has_ranges=False)}
    for names in (members, tuple(name for name in members if name in closes_alone)):
        rows = np.flatnonzero(table.masks == model_set.mask(names))
        if names and rows.size:
            return int(rows[0]), names
    return None


def _scope(terms: _Terms, table: EvidenceTable, measured: tuple[str, ...]) -> str:
    scope = f"{table.scope}; members {', '.join(measured)}"
    if unmeasured := [name for name in terms.blending.members if name not in measured]:
        scope += f"; without {', '.join(unmeasured)}, for which no prices of that time are at hand"
    if terms.own_weights:
        scope += "; measured with the published weights, not with those asked for"
    return scope


def _direction(up: float, evidence: Evidence) -> Literal["bullish", "bearish", "neutral"]:
    """A sign only where the evaluation showed that the forecast tells it better than the base rate does."""
    if not evidence.direction_edge:
        return "neutral"
    return "bullish" if up >= 0.5 else "bearish"


def _breakdown(subject: Subject, figures: Figures, stated: _Stated, common: Common) -> ConfidenceBreakdown:
    bars = subject.bars
    window = min(len(bars), BARS_NEEDED)
    between = subject.instrument.calendar, bars.day(-window), bars.last_day
    expected = common.once(("between", *between), lambda: common.calendar.sessions_between(*between))
    return ConfidenceBreakdown(
        figures.agreement, stated.historical_skill, data_quality(window, expected), figures.regime
    )


def data_report(bars: Bars, last_session: date, now: datetime) -> DataReport:
    """What is told of the bars; ``last_session`` is the newest that has closed at ``now``."""
    return DataReport(
        provider=bars.provider,
        last_bar=bars.last_day,
        stale=bars.last_day < last_session or bars.is_last_good,
        bars=len(bars),
        fingerprint=bars.fingerprint,
        dropped=tuple(issue for issue in bars.issues if issue.problem.startswith("dropped:")),
        age_seconds=_age(bars, now),
        suspicious=tuple(issue for issue in bars.issues if issue.problem.startswith("kept:")),
    )


def _age(bars: Bars, now: datetime) -> float | None:
    return None if bars.fetched_at is None else max(0.0, (now - bars.fetched_at).total_seconds())


def _source_notes(bars: Bars, now: datetime) -> tuple[str, ...]:
    """Which data source failed, and what that means for the prices used."""
    missing = " and ".join(bars.skipped)
    if bars.is_last_good:
        age = (_age(bars, now) or 0.0) / 60
        return (f"Prices are the last good ones of {bars.provider}, {age:.0f} min old: no answer now from {missing}.",)
    if bars.skipped:
        return (f"No answer now from {missing}: the prices are those of {bars.provider} and end on {bars.last_day}.",)
    return ()


def _notes(stated: _Stated, direction: str, subject: Subject) -> Iterator[str]:
    """What a reader must know and might not look for."""
    yield from stated.whose
    if not subject.is_corrected:
        yield "Not corrected by recent outcomes: a model could not say what it would have forecast."
    yield from stated.unproven
    if direction == "neutral":
        yield "Direction is neutral: out of sample the sign was not told better than by the base rate."
    if failures := subject.spread.failures:
        yield f"Answered without {', '.join(failures)}; interval and evidence are those of the rest."


def _whose(terms: _Terms) -> tuple[str, ...]:
    weighted, members = terms.model_set.weighted(terms.kind), terms.blending.members
    if terms.models is not None or not set(weighted).isdisjoint(members):
        return ()
    return (f"This is the fallback: no model but {' and '.join(members)} could answer.",)


def _unproven(evidence: Evidence) -> tuple[str, ...]:
    if evidence.samples == 0:
        return (f"No evidence: {evidence.scope}.",)
    if not evidence.beats_random_walk:
        return ("No measured skill: at this horizon the forecast did not beat a random walk out of sample.",)
    return ()


def _forecast_id(subject: Subject, stated: _Stated) -> str:
    """The same inputs give the same forecast and the same name: a hash of all that the answer depends on."""
    # the JSON of one list, of which a part is kept; a fingerprint has nothing that JSON would escape
    is_corrected = "true" if subject.is_corrected else "false"
    parts = f'["{subject.bars.fingerprint}", {stated.named}, {is_corrected}]'
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _named(terms: _Terms) -> str:
    """As items of a JSON list."""
    used = terms.blending
    failed = [name for name, _ in terms.failures]
    parts = [terms.model_set.version, terms.horizon, terms.confidence_level]
    return json.dumps([*parts, used.members, failed, used.weights.tolist()])[1:-1]
