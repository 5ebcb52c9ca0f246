"""The run behind `make train`: fit, calibrate and measure a challenger; publish it unless the published set is better.

Fits that an earlier run finished from the same inputs are used again. What happens to the challenger is decided in
training/champion.py; docs/model-sets.md tells the whole story.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from contracts import AssetClass, EvidenceTable, MemberSpec, ModelSet
from engine.base import Engine
from engine.serial import SerialEngine
from errors import ConfigurationError
from training.answers import HeldAnswers
from training.calibrate import calibrate
from training.champion import Answered, Verdict, judge
from training.evidence import evidence_rows, measure_evidence
from training.fitting import Fitted, fit_members
from training.history import History
from training.leaderboard import leaderboards
from training.members import MEMBERS, MemberPlan
from training.plan import Plan
from training.predictions import predictor
from training.progress import CONSOLE, step
from training.publish import Scores, Sources, member_spec, write_set, write_verdict
from training.references import with_garch
from training.resume import Staging, staging_for
from training.swap import put_in_place


def train(
    histories: Sequence[History],
    candles: Sequence[History],
    plan: Plan,
    target: Path,
    *,
    refused: Mapping[str, str] | None = None,
    members: Sequence[MemberPlan] = MEMBERS,
    fresh: bool = False,
    force: bool = False,
    engine: Engine | None = None,
) -> tuple[ModelSet, Verdict]:
    """The whole run on prepared histories: the challenger, and what was decided about it.

    ``candles`` teach members that use ranges and are neither calibrated on nor measured. ``target`` holds the
    champion and gets the challenger if that is promoted; else the challenger stays in the staging folder. ``engine``
    runs what can be done for many members or symbols at a time; the numbers do not depend on it.
    """
    engine = engine or SerialEngine()
    check_target(target)
    with staging_for(target, fresh=fresh) as staging:
        with step(f"fit {len(members)} members"):
            fitted = fit_members(histories, candles, plan, staging, members, engine)
        with step("answer all histories"):
            specs, left_out = _usable(fitted, histories, staging, plan)
            predict = predictor(specs, plan.grid, staging.fits)
            answered = [(history, HeldAnswers(predict(history.matrix))) for history in histories]
        with step("fit weights and calibration"):
            model_set = _calibrated(answered, specs, plan)
        with step("measure"):
            evidence, scores = _measure(answered, model_set, plan)
            boards = leaderboards(answered, model_set, plan)
        sources = Sources(histories, candles, refused or {}, left_out)
        draft = replace(model_set, evidence=evidence)
        challenger = write_set(staging.set, staging.fits, draft, sources, plan, Scores(scores, boards), fitted.losses)
        with step("compare with the published set"):
            verdict = judge(challenger, answered, plan, target)
        if force and not verdict.promoted and not verdict.reproduced:
            verdict = replace(verdict, promoted=True, forced=True)
        write_verdict(staging.set, challenger, verdict)
        if verdict.promoted:
            put_in_place(staging.set, target)
        if verdict.promoted or verdict.reproduced:
            staging.remove()
    return challenger, verdict


def check_target(target: Path) -> None:
    """Refuse to put a set in the place of a folder that holds something else."""
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / "manifest.json").exists())):
        raise ConfigurationError(f"{target} holds something other than a model set; name another folder with --out")


def _usable(
    fitted: Fitted, histories: Sequence[History], staging: Staging, plan: Plan
) -> tuple[list[MemberSpec], dict[str, str]]:
    """The members that the calibration window can judge, in published order, and why each of the others is left out."""
    left_out = dict(fitted.left_out)
    specs = []
    for member in fitted.members:
        spec = member_spec(member, staging.fits)
        if any(spec.fits(history.bars.has_ranges) and _is_calibrated_on(history, plan) for history in histories):
            specs.append(spec)
        else:
            left_out[member.name] = "no series has what it needs in the calibration window"
    if not any(spec.fits(has_ranges=False) for spec in specs):
        raise ConfigurationError(
            "no member can be fitted and calibrated on these prices and windows:\n"
            + "\n".join(f"{name}: {reason}" for name, reason in left_out.items())
        )
    return specs, left_out


def _is_calibrated_on(history: History, plan: Plan) -> bool:
    return bool(history.inside(plan.windows.calibration, plan.grid.horizons[-1:]).any())


def _calibrated(answered: Answered, specs: Sequence[MemberSpec], plan: Plan) -> ModelSet:
    """Shares calibrate what closes say (every series, where there are none), series with ranges what ranges add."""
    usable = [pair for pair in answered if _is_calibrated_on(pair[0], plan)]
    shares = [pair for pair in usable if pair[0].asset_class is AssetClass.EQUITY]
    plain = [spec.name for spec in specs if spec.fits(has_ranges=False)]
    closes = [(history, {name: answers[name] for name in plain}) for history, answers in shares or usable]
    ranges = [pair for pair in usable if pair[0].bars.has_ranges]
    return calibrate(closes, ranges, specs, plan)


def _measure(
    answered: Answered, model_set: ModelSet, plan: Plan
) -> tuple[dict[str, EvidenceTable], dict[str, list[dict[str, object]]]]:
    """Evidence and scores for each asset class that has outcomes in the evidence window: later than all that was
    fitted. A class without any is served without evidence, and its answers say so."""
    tables, scores = {}, {}
    window = plan.windows.evidence
    judged = [pair for pair in answered if pair[0].inside(window, plan.grid.horizons).any()]
    for asset_class in dict.fromkeys(history.asset_class for history, _ in judged):
        pairs = _of_one_kind([pair for pair in judged if pair[0].asset_class is asset_class])
        own, theirs = [history for history, _ in pairs], [answers for _, answers in pairs]
        symbols = ", ".join(history.bars.symbol for history in own)
        scope = f"{asset_class}: {symbols}; origins and outcomes {window.start} to {window.end}"
        tables[str(asset_class)] = measure_evidence(own, theirs, model_set, window, scope)
        references = None if plan.fast else with_garch(CONSOLE.print)
        scores[str(asset_class)] = evidence_rows(
            own, theirs, model_set, window, np.array(plan.grid.horizons), references
        )
    return tables, scores


def _of_one_kind(pairs: Answered) -> Answered:
    """Those with ranges or those without, whichever are more: different members answer for them."""
    ranged = [pair for pair in pairs if pair[0].bars.has_ranges]
    plain = [pair for pair in pairs if not pair[0].bars.has_ranges]
    return ranged if len(ranged) > len(plain) else plain
