"""`make evaluate`: walk-forward scores of the published set, through the code that serves, without training."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from backtest.splits import Window
from contracts import Bars, ModelSet
from engine.base import Engine
from engine.chosen import chosen_engine
from engine.serial import SerialEngine
from errors import DeepFinanceError
from market.bundled import BundledSource
from market.files import FilesSource
from market.source import Source
from runners.artefact import verify_model_set
from runners.model_set import load_model_set
from training.history import usable_bars
from training.plan import Windows
from training.predictions import packed_predictor
from training.report import write_report
from training.scoreboard import table_cells
from training.scoring import Scored, Scorer
from training.shared import DEFAULT_TARGET
from training.walk_forward import Part, calibration_stages, scoreboard

CONSOLE = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """``parts`` of the symbols that were scored, why each of the others was ``left_out``, and ``problems`` on the way,
    one sentence each."""

    parts: list[Part] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def evaluate(
    source: Source,
    model_set: ModelSet,
    folder: Path,
    window: Window,
    horizons: Sequence[int],
    garch: bool = True,
    symbols: Sequence[str] | None = None,
    engine: Engine | None = None,
) -> Evaluation:
    """Score every symbol of a source, or those named; one that cannot be read or scored is left out with the reason.

    ``engine`` runs a task a symbol, in this process where none is given; the numbers are the same.
    """
    engine = engine or SerialEngine()
    refused: dict[str, str] = {}
    wanted = list(symbols or source.symbols())
    scorer = Scorer(
        packed_predictor(model_set.members, model_set.grid, folder), model_set, window, np.asarray(horizons), garch
    )
    with Progress(*Progress.get_default_columns(), console=CONSOLE) as progress:
        tick = partial(progress.advance, progress.add_task("evaluating", total=len(wanted)))
        outcomes = engine.run(scorer, _readable(source, wanted, refused), lambda *_: tick())
        tick(len(refused))
    return _evaluation(wanted, outcomes, refused)


def _readable(source: Source, symbols: Sequence[str], refused: dict[str, str]) -> Iterator[tuple[str, Bars]]:
    """The bars of each symbol when it is its turn; ``refused`` is told why there are none."""
    for symbol in symbols:
        try:
            yield from usable_bars(source, [symbol], "1d", refused)
        except Exception as error:  # whatever is in one file must not cost the others their scores
            refused[symbol] = f"{type(error).__name__}: {error}"


def _evaluation(symbols: Sequence[str], outcomes: Mapping[str, Scored], refused: Mapping[str, str]) -> Evaluation:
    """In the order of the symbols, whoever was done first."""
    found = Evaluation()
    for symbol in symbols:
        outcome = outcomes.get(symbol) or Scored(refused[symbol])
        found.problems.extend(outcome.problems)
        if isinstance(outcome.part, str):
            found.left_out[symbol] = outcome.part
        else:
            found.parts.append(outcome.part)
    return found


def result_of(found: Evaluation, model_set: ModelSet, window: Window, horizons: Sequence[int]) -> dict[str, Any]:
    """What goes into the JSON; see docs/evaluation.md."""
    manifest = cast(Mapping[str, Any], model_set.manifest)
    return {
        "models_version": model_set.version,
        "window": [window.start.isoformat(), window.end.isoformat()],
        "model_windows": manifest.get("windows", {}),
        "trained_on": sorted(manifest.get("data", {})),
        "horizons": list(horizons),
        "symbols": {part.symbol: str(part.asset_class) for part in found.parts},
        "left_out": found.left_out,
        "problems": found.problems,
        **scoreboard(found.parts, horizons),
        "calibration": calibration_stages(found.parts, horizons),
    }


def main() -> int:
    """Command line; 1 when there was nothing to score."""
    options = _options()
    window = Window(options.start, options.end)
    try:
        verify_model_set(options.models)
        model_set = load_model_set(options.models)
        source: Source = FilesSource(options.data_dir) if options.data_dir else BundledSource(candles=True)
        found = evaluate(
            source,
            model_set,
            options.models,
            window,
            options.horizons,
            not options.no_garch,
            engine=chosen_engine(),
        )
    except DeepFinanceError as error:
        CONSOLE.print(error.message)
        return 1
    for symbol, reason in found.left_out.items():
        CONSOLE.print(f"left out: {symbol}: {reason}", markup=False)
    for problem in found.problems:
        CONSOLE.print(f"reference: {problem}", markup=False)
    if not found.parts:
        CONSOLE.print(f"no symbol has outcomes between {window.start} and {window.end}")
        return 1
    result = result_of(found, model_set, window, options.horizons)
    _show(result)
    _write(result, found.parts, options.json, options.html)
    return 0


def _options() -> argparse.Namespace:
    evidence = Windows().evidence
    parser = argparse.ArgumentParser(prog="make evaluate ARGS=...", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="DIR/<SYMBOL>.csv[.gz] or .parquet; default: the bundled prices")
    parser.add_argument("--start", type=date.fromisoformat, default=evidence.start, help="first origin, YYYY-MM-DD")
    parser.add_argument("--end", type=date.fromisoformat, default=evidence.end, help="last outcome, YYYY-MM-DD")
    parser.add_argument("--horizons", type=_horizons, default=[1, 5, 20, 90], help="bars ahead, e.g. 1,5,20")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--html", type=Path, help="write the report to this file; default: beside the JSON")
    parser.add_argument(
        "--no-garch", action="store_true", help="skip the references that must be fitted: GARCH, GJR, FHS"
    )
    parser.add_argument("--models", type=Path, default=DEFAULT_TARGET, help="folder of the model set")
    options = parser.parse_args()
    if options.json and not options.html:
        options.html = options.json.with_suffix(".html")
    return options


def _horizons(text: str) -> list[int]:
    horizons = sorted({int(part) for part in text.split(",")})
    if not horizons or horizons[0] < 1 or horizons[-1] > 90:
        raise argparse.ArgumentTypeError("horizons lie between 1 and 90")
    return horizons


def _show(result: dict[str, Any]) -> None:
    parts = result["by_asset_class"] if len(result["by_asset_class"]) > 1 else {"pooled": result["pooled"]}
    for name, rows in parts.items():
        titles, cells = table_cells(rows)
        table = Table(title=f"{name}, {' to '.join(result['window'])}, model set {result['models_version']}")
        for title in titles:
            table.add_column(title, justify="right")
        for line in cells:
            table.add_row(*line)
        Console(width=max(CONSOLE.width, 160), highlight=False).print(table)


def _write(result: dict[str, Any], parts: Sequence[Part], numbers: Path | None, report: Path | None) -> None:
    if numbers:
        numbers.parent.mkdir(parents=True, exist_ok=True)
        numbers.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
        CONSOLE.print(f"numbers: {numbers}")
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
        write_report(result, [fan for part in parts for fan in part.fans], report)
        CONSOLE.print(f"report:  {report}")


if __name__ == "__main__":
    sys.exit(main())
