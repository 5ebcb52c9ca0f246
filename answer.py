"""The last step of the pipeline: one series' distribution, as the answer that the caller reads."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeVar

import numpy as np

from contracts import (
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
from ensemble.distribution import Distribution, MemberFailure
from errors import DeepFinanceError
from features.spec import BARS_NEEDED
from figures import SHOWN_LEVELS, Asked, Figures, Subject, figures_of

# Such models are usually fitted to each series; these are not (MemberSpec.fitted), which a reader could not guess.
POOLED = "not fitted to this symbol: fixed parameter sets weighed by its own returns, quantiles pooled over shares"
NEEDS_RANGES = "needs open, high, low and volume, which these bars do not have"
# A measured difference counts when chance alone would show it less than one time in twenty.
SIGNIFICANCE = 0.05


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
    bars, spread, now = subject.bars, subject.spread, common.now
    price, up = figures.price, figures.probability_up
    as_of = _day(bars, -1)
    sessions = _sessions_after(subject.instrument.calendar, as_of, request.horizon, common)
    quantiles = dict(zip(SHOWN_LEVELS, figures.quantiles, strict=True))
    path = tuple(
        PathStep(i, day, median, lower, upper)
        for i, (day, (lower, median, upper)) in enumerate(zip(sessions, figures.path, strict=True), 1)
    )
    evidence = _evidence(request, subject, common)
    direction = _direction(up, evidence)
    return Forecast(
        forecast_id=_forecast_id(request, subject, common),
        symbol=request.symbol,
        timeframe=request.timeframe,
        as_of=as_of,
        current_price=price,
        currency=subject.instrument.currency,
        horizon=request.horizon,
        target_date=sessions[-1],
        price_target=quantiles[0.5],
        expected_return=quantiles[0.5] / price - 1.0,
        direction=direction,
        probability_up=up,
        confidence=max(up, 1.0 - up),
        confidence_level=request.confidence_level,
        lower=path[-1].lower,
        upper=path[-1].upper,
        quantiles={f"{level:g}": value for level, value in quantiles.items()},
        path=path,
        members=_members(request, subject, figures, common.model_set),
        confidence_breakdown=_breakdown(subject, figures, as_of, evidence, common),
        evidence=evidence,
        data=data_report(bars, _last_session(subject.instrument.calendar, common), now),
        models_version=common.model_set.version,
        degraded=(*spread.failures, *(f"source:{name}" for name in bars.skipped)),
        notes=(*_notes(request, evidence, direction, subject, common), *_source_notes(bars, now)),
    )


def _sessions_after(calendar: str, as_of: date, count: int, common: Common) -> Sequence[date]:
    find = common.calendar.sessions_after
    return common.once(("after", calendar, as_of, count), lambda: find(calendar, as_of, count))


def _last_session(calendar: str, common: Common) -> date:
    find = common.calendar.last_completed_session
    return common.once(("last", calendar), lambda: find(calendar, common.now))


def _members(
    request: ForecastRequest, subject: Subject, figures: Figures, model_set: ModelSet
) -> tuple[MemberAnswer, ...]:
    """Those asked, in published order; the weight is the one at the grid horizon nearest below the asked one."""
    spread, has_ranges = subject.spread, subject.bars.has_ranges
    column = bisect_right(model_set.grid.horizons, request.horizon) - 1
    weights = dict(zip(spread.members, spread.weights[:, column].tolist(), strict=True))
    targets = dict(zip(subject.own, figures.targets, strict=True))
    answers = []
    for spec in model_set.members:
        if spec.name in weights:
            weight, note = weights[spec.name], POOLED if spec.kind == "garch" else None
            answers.append(MemberAnswer(spec.name, spec.version, weight, targets[spec.name], "ok", note=note))
        elif spec.name in spread.failures:
            reason = spread.failures[spec.name].reason
            answers.append(MemberAnswer(spec.name, spec.version, 0.0, None, "failed", reason))
        elif (request.models is None or spec.name in request.models) and not spec.fits(has_ranges):
            answers.append(MemberAnswer(spec.name, spec.version, 0.0, None, "left_out", NEEDS_RANGES))
    return tuple(answers)


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


def _evidence(request: ForecastRequest, subject: Subject, common: Common) -> Evidence:
    """What was measured for such a request; the symbol does not matter."""
    about = subject.instrument.asset_class, subject.spread.members, bool(request.weights)
    key = "evidence", *about, request.horizon, request.confidence_level
    return common.once(key, lambda: _measured(request, subject, common.model_set))


def _measured(request: ForecastRequest, subject: Subject, model_set: ModelSet) -> Evidence:
    """What was measured for this horizon, kind of asset, level and set of members that answered.

    A member that needs ranges is left out of the comparison where only closes were measured; the scope says so.
    """
    asset_class, spread = subject.instrument.asset_class, subject.spread
    table = model_set.evidence.get(asset_class)
    if table is None:
        return _no_evidence(f"nothing was measured for assets of the kind {asset_class}")
    found = _measured_subset(spread, table, model_set)
    if found is None:
        return _no_evidence(f"{asset_class}: the members {', '.join(spread.members)} were not measured together")
    row, names = found
    step = request.horizon - 1
    sign_was_measured = row == 0  # only of all members together
    skill, p_value = float(table.skill[row, step]), float(table.p_value[row, step])
    return Evidence(
        coverage=float(np.interp(request.confidence_level, table.cover_levels, table.coverage[row, step])),
        samples=int(table.samples[step]),
        skill_vs_random_walk=skill,
        p_value=p_value,
        beats_random_walk=skill > 0 and p_value < SIGNIFICANCE,
        window=table.window,
        scope=_scope(request, table, spread, names),
        up_share=float(table.up_share[step]),
        direction_accuracy=float(table.accuracy[step]) if sign_was_measured else None,
        direction_p_value=float(table.direction_p_value[step]) if sign_was_measured else None,
        direction_edge=sign_was_measured
        and bool(table.direction_skill[step] > 0 and table.direction_p_value[step] < SIGNIFICANCE),
    )


def _no_evidence(reason: str) -> Evidence:
    return Evidence(None, 0, None, None, False, None, reason)


def _measured_subset(
    spread: Distribution, table: EvidenceTable, model_set: ModelSet
) -> tuple[int, tuple[str, ...]] | None:
    """Row of the table for the members that answered, or for those of them that closes alone can feed."""
    closes_alone = {member.name for member in model_set.members if member.fits(has_ranges=False)}
    for names in (spread.members, tuple(name for name in spread.members if name in closes_alone)):
        rows = np.flatnonzero(table.masks == model_set.mask(names))
        if names and rows.size:
            return int(rows[0]), names
    return None


def _scope(request: ForecastRequest, table: EvidenceTable, spread: Distribution, measured: tuple[str, ...]) -> str:
    scope = f"{table.scope}; members {', '.join(measured)}"
    if unmeasured := [name for name in spread.members if name not in measured]:
        scope += f"; without {', '.join(unmeasured)}, for which no prices of that time are at hand"
    if request.weights:
        scope += "; measured with the published weights, not with those asked for"
    return scope


def _direction(up: float, evidence: Evidence) -> Literal["bullish", "bearish", "neutral"]:
    """A sign only where the evaluation showed that the forecast tells it better than the base rate does."""
    if not evidence.direction_edge:
        return "neutral"
    return "bullish" if up >= 0.5 else "bearish"


def _breakdown(
    subject: Subject, figures: Figures, as_of: date, evidence: Evidence, common: Common
) -> ConfidenceBreakdown:
    window = subject.bars.times[-BARS_NEEDED:]
    between = subject.instrument.calendar, _day(subject.bars, -len(window)), as_of
    expected = common.once(("between", *between), lambda: common.calendar.sessions_between(*between))
    skill = evidence.skill_vs_random_walk, evidence.p_value
    return ConfidenceBreakdown(
        model_agreement=figures.agreement,
        historical_skill=common.once(("skill", *skill), lambda: historical_skill(*skill)),
        data_quality=data_quality(len(window), expected),
        regime=figures.regime,
    )


def data_report(bars: Bars, last_session: date, now: datetime) -> DataReport:
    """What is told of the bars; ``last_session`` is the newest that has closed at ``now``."""
    last_bar = _day(bars, -1)
    return DataReport(
        provider=bars.provider,
        last_bar=last_bar,
        stale=last_bar < last_session or bars.is_last_good,
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
        return (f"No answer now from {missing}: the prices are those of {bars.provider} and end on {_day(bars, -1)}.",)
    return ()


def _notes(
    request: ForecastRequest, evidence: Evidence, direction: str, subject: Subject, common: Common
) -> tuple[str, ...]:
    """What a reader must know and might not look for."""
    notes: list[str] = []
    spread = subject.spread
    weighted = common.once(("weighted", subject.kind), lambda: frozenset(common.model_set.weighted(subject.kind)))
    if request.models is None and weighted.isdisjoint(spread.members):
        notes.append(f"This is the fallback: no model but {' and '.join(spread.members)} could answer.")
    if not subject.is_corrected:
        notes.append("Not corrected by recent outcomes: a model could not say what it would have forecast.")
    if evidence.samples == 0:
        notes.append(f"No evidence: {evidence.scope}.")
    elif not evidence.beats_random_walk:
        notes.append("No measured skill: at this horizon the forecast did not beat a random walk out of sample.")
    if direction == "neutral":
        notes.append("Direction is neutral: out of sample the sign was not told better than by the base rate.")
    if spread.failures:
        notes.append(f"Answered without {', '.join(spread.failures)}; interval and evidence are those of the rest.")
    return tuple(notes)


def _forecast_id(request: ForecastRequest, subject: Subject, common: Common) -> str:
    """The same inputs give the same forecast and the same name: a hash of all that the answer depends on."""
    spread = subject.spread
    series = [subject.bars.fingerprint, common.model_set.version, request.horizon, request.confidence_level]
    used = common.once(
        ("used", subject.kind, spread.members, tuple(spread.failures), spread.weights.tobytes()),
        lambda: json.dumps([list(spread.members), list(spread.failures), spread.weights.tolist()]),
    )
    # the JSON of one list, of which a part is kept
    parts = f"{json.dumps(series)[:-1]}, {used[1:-1]}, {json.dumps(subject.is_corrected)}]"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _day(bars: Bars, index: int) -> date:
    day: date = bars.times[index].astype("datetime64[D]").item()
    return day
