"""`make train`: fit, calibrate, measure, publish. Prints what it does and how long each step took."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from contracts import AssetClass, EvidenceTable, Floats, MemberSpec, ModelSet
from market.bundled import BundledSource
from market.files import FilesSource
from market.source import Source
from training.calibrate import calibrate
from training.evidence import evidence_rows, measure_evidence
from training.history import History, load_histories
from training.members import MEMBERS, MemberPlan, fit_member
from training.plan import Plan
from training.predictions import predictor
from training.publish import member_spec, publish
from training.sample_stocks import SampleStocks

CONSOLE = Console(highlight=False)
DEFAULT_TARGET = Path(__file__).parent.parent / "models_store" / "current"


def train(
    histories: Sequence[History], candles: Sequence[History], plan: Plan, staging: Path, target: Path
) -> ModelSet:
    """The whole run on prepared histories; the published set. ``candles`` are only learned from, by `har_range`."""
    staging.mkdir(parents=True, exist_ok=True)
    shares = [history for history in histories if history.asset_class is AssetClass.EQUITY]
    ranged = [history for history in [*histories, *candles] if history.bars.has_ranges]
    with _step(f"fit {len(MEMBERS)} members on {len(shares)} shares, {len(ranged)} series with ranges"):
        members = _fit(shares, ranged, plan, staging)
    with _step("answer all histories"):
        predict = predictor(members, plan.grid, staging)
        answered = [(history, predict(history.matrix)) for history in histories]
    with _step("fit weights and calibration"):
        closes = [pair for pair in answered if pair[0].asset_class is AssetClass.EQUITY]
        indexes = [pair for pair in answered if pair[0].bars.has_ranges]
        model_set = calibrate(closes, indexes, members, plan)
    with _step("measure"):
        evidence, scores = _measure(answered, model_set, plan)
    return publish(staging, target, replace(model_set, evidence=evidence), histories, plan, scores)


def _fit(shares: Sequence[History], ranged: Sequence[History], plan: Plan, staging: Path) -> list[MemberSpec]:
    """Members in published order, two fits at a time: each uses one thread, so the numbers do not depend on timing."""
    with ProcessPoolExecutor(max_workers=2) as pool:
        jobs = [
            pool.submit(_fit_one, member, ranged if member.takes == "ranges" else shares, plan, staging / member.file)
            for member in MEMBERS
        ]
        for job in jobs:
            job.result()
    return [member_spec(member.name, staging / member.file, member.kind, member.takes) for member in MEMBERS]


def _fit_one(member: MemberPlan, histories: Sequence[History], plan: Plan, path: Path) -> None:
    def report(epoch: int, loss: float, held_out: float) -> None:
        CONSOLE.print(f"{member.name}: epoch {epoch}, loss {loss:.5f}, held out {held_out:.5f}")

    fit_member(member, histories, plan, path, report)
    CONSOLE.print(f"{member.name}: fitted")


def _measure(
    answered: Sequence[tuple[History, Mapping[str, Floats]]], model_set: ModelSet, plan: Plan
) -> tuple[dict[str, EvidenceTable], dict[str, list[dict[str, object]]]]:
    """Evidence and scores for each asset class that has outcomes in a window later than the members' training."""
    tables, scores = {}, {}
    for asset_class in dict.fromkeys(history.asset_class for history, _ in answered):
        own = [history for history, _ in answered if history.asset_class is asset_class]
        theirs = [answers for history, answers in answered if history.asset_class is asset_class]
        window = plan.windows.evidence
        if not any(history.inside(window, plan.grid.horizons).any() for history in own):
            window = plan.windows.calibration
        symbols = ", ".join(history.bars.symbol for history in own)
        scope = f"{asset_class}: {symbols}; origins and outcomes {window.start} to {window.end}"
        if window is plan.windows.calibration:
            scope += " (later than the members' training, in the years of calibration)"
        tables[str(asset_class)] = measure_evidence(own, theirs, model_set, window, scope)
        scores[str(asset_class)] = evidence_rows(own, theirs, model_set, window, np.array(plan.grid.horizons))
    return tables, scores


@contextmanager
def _step(what: str) -> Iterator[None]:
    began = time.perf_counter()
    CONSOLE.print(f"[bold]{what}[/] ...")
    yield
    CONSOLE.print(f"[dim]{what}: {time.perf_counter() - began:.1f} s[/]")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="make train ARGS=...", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="tiny fits to try the machinery; the scores mean nothing")
    parser.add_argument("--seed", type=int, default=Plan().seed, help="seed of every random draw")
    parser.add_argument("--data-dir", type=Path, help="train on DIR/<SYMBOL>.csv[.gz] or .parquet instead")
    parser.add_argument("--out", type=Path, default=DEFAULT_TARGET, help="folder to publish to")
    options = parser.parse_args()
    source: Source = FilesSource(options.data_dir) if options.data_dir else BundledSource()
    plan = Plan(seed=options.seed, fast=options.fast)
    with _step("read prices and build features"):
        histories, refused = load_histories(source, plan.grid.horizons[-1])
    for symbol, reason in refused.items():
        CONSOLE.print(f"left out: {symbol}: {reason}")
    candles = [] if options.data_dir else load_histories(SampleStocks(), plan.grid.horizons[-1])[0]
    published = train(histories, candles, plan, options.out.with_name(options.out.name + ".new"), options.out)
    CONSOLE.print((options.out / "MODEL_CARD.md").read_text(), markup=False)
    CONSOLE.print(f"published {published.version} to {options.out}")


if __name__ == "__main__":
    main()
