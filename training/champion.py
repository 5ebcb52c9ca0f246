"""Champion against challenger: whether a new set takes the place of the published one.

Both forecast the same bars, later than everything either was fitted or calibrated on, through the ensemble that
serves. Losses are compared with a Diebold-Mariano test at horizons of 1, 5 and 20 bars, pooled over the symbols of
the challenger's universe. The challenger is promoted when it is not worse beyond its error, that is unless

- at one of these horizons its loss is larger with a one-sided p below 0.05, or
- over the three, each in units of the champion's mean loss, it loses more than one standard error,

differences below 0.05 % of the loss left aside: the same set made on another machine differs by less, and the test
would now and then refuse it.

Where the two cannot be compared:

- no champion, or one that this code cannot serve (other features, a damaged or older set): promoted;
- the champion forecasts bars of another length: not promoted;
- the champion has evidence for a kind of asset that the challenger has none for: not promoted;
- fewer than 250 days that neither saw: not promoted.

`--force` promotes whatever the verdict. The same set again is reported as reproduced and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.special import ndtr

from backtest.measure import Scored, pooled
from backtest.score import diebold_mariano, skill
from backtest.splits import Window
from contracts import Floats, ModelSet
from errors import ArtefactError
from runners.artefact import MANIFEST, verify_model_set
from runners.model_set import load_model_set
from training.evidence import scored_history, weighted_for
from training.history import History
from training.plan import Plan
from training.predictions import predictor

HORIZONS = (1, 5, 20)
WORSE_P = 0.05
STANDARD_ERRORS = 1.0
NEGLIGIBLE = 0.0005
FEWEST_DAYS = 250

Answered = Sequence[tuple[History, Mapping[str, Floats]]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Losses of both at one horizon (0: all of them together); ``t`` and ``gain`` are positive where the challenger
    is better, ``p_worse`` is the one-sided p-value of its being worse."""

    horizon: int
    n: int
    champion_loss: float
    challenger_loss: float
    gain: float
    t: float
    p_worse: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger takes the champion's place, why, and the numbers where they were compared."""

    promoted: bool
    reason: str
    champion: str | None = None
    reproduced: bool = False
    forced: bool = False
    window: tuple[date, date] | None = None
    rows: tuple[Comparison, ...] = ()


def judge(challenger: ModelSet, answered: Answered, plan: Plan, folder: Path) -> Verdict:
    """The verdict on ``challenger``, whose members' answers are ``answered``, against the set in ``folder``."""
    if not (folder / MANIFEST).exists():
        return Verdict(True, "there is no champion")
    try:
        champion, window = _champion(folder, plan)
    except (ArtefactError, KeyError, TypeError, ValueError) as error:
        return Verdict(True, f"the champion cannot be served by this code: {error}")
    if (timeframe := champion.manifest.get("timeframe", "1d")) != plan.timeframe:
        return Verdict(False, f"not comparable: the champion forecasts {timeframe} bars", champion.version)
    if champion.version == challenger.version:
        return Verdict(False, "reproduced: the champion is this very set", champion.version, reproduced=True)
    if missing := sorted(set(champion.evidence) - set(challenger.evidence)):
        reason = f"not comparable: the champion has evidence for {', '.join(missing)}, the challenger has none"
        return Verdict(False, reason, champion.version)
    pair = _scored(challenger, champion, answered, folder, window)
    if pair is None or (days := len(np.unique(pair[0].origins))) < FEWEST_DAYS:
        found = 0 if pair is None else days
        reason = f"not comparable: {found} days that neither saw, {FEWEST_DAYS} are needed"
        return Verdict(False, reason, champion.version, window=(window.start, window.end))
    rows = compare(*pair)
    promoted, reason = decide(rows)
    return Verdict(promoted, reason, champion.version, window=(window.start, window.end), rows=rows)


def _champion(folder: Path, plan: Plan) -> tuple[ModelSet, Window]:
    """The published set, and the window that neither it nor a set made by ``plan`` was fitted on."""
    verify_model_set(folder)
    champion = load_model_set(folder)
    manifest = cast(Mapping[str, Any], champion.manifest)
    seen = [date.fromisoformat(manifest["windows"][name][1]) for name in ("training", "calibration")]
    start = max(*seen, plan.windows.calibration.end) + timedelta(days=1)
    return champion, Window(start, plan.windows.evidence.end)


def _scored(
    challenger: ModelSet, champion: ModelSet, answered: Answered, folder: Path, window: Window
) -> tuple[Scored, Scored] | None:
    """Both sets on the same origins of every symbol; None where the window holds none."""
    predict = predictor(champion.members, champion.grid, folder)
    ours, theirs = [], []
    for history, answers in answered:
        if history.inside(window, HORIZONS).any():
            ours.append(_losses_of(challenger, history, answers, window))
            theirs.append(_losses_of(champion, history, predict(history.matrix), window))
    return (pooled(ours), pooled(theirs)) if ours else None


def _losses_of(model_set: ModelSet, history: History, answers: Mapping[str, Floats], window: Window) -> Scored:
    names = weighted_for(history, model_set)
    found = scored_history(history, answers, names, model_set, window, np.array(HORIZONS), references=lambda *_: {})
    assert found is not None
    return found[0]


def compare(challenger: Scored, champion: Scored) -> tuple[Comparison, ...]:
    """A row a horizon, and one for all of them together."""
    rows = [
        _comparison(horizon, challenger.loss[:, i], champion.loss[:, i], challenger)
        for i, horizon in enumerate(HORIZONS)
    ]
    unit = np.nanmean(champion.loss, axis=0)
    together = [(scored.loss / unit).mean(axis=1) for scored in (challenger, champion)]
    return (*rows, _comparison(0, together[0], together[1], challenger))


def _comparison(horizon: int, ours: Floats, theirs: Floats, scored: Scored) -> Comparison:
    t, _ = diebold_mariano(theirs - ours, scored.origins, horizon or max(HORIZONS))
    means = float(np.nanmean(theirs)), float(np.nanmean(ours))
    known = int((~np.isnan(ours)).sum())
    return Comparison(horizon, known, *means, skill(ours, theirs), t, float(ndtr(t)))


def decide(rows: Sequence[Comparison]) -> tuple[bool, str]:
    """The rule at the top of this file."""
    *single, together = rows
    worse = [row for row in single if row.p_worse < WORSE_P and row.gain < -NEGLIGIBLE]
    if worse:
        named = ", ".join(f"{row.horizon} bars ({100 * row.gain:+.2f} %, p {row.p_worse:.3f})" for row in worse)
        return False, f"worse beyond its error at {named}"
    if together.t < -STANDARD_ERRORS and together.gain < -NEGLIGIBLE:
        return False, f"worse by {-together.t:.1f} standard errors over all horizons ({100 * together.gain:+.2f} %)"
    return True, f"not worse beyond its error: {100 * together.gain:+.2f} % over all horizons, t {together.t:+.1f}"
