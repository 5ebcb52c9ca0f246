"""`make evaluate`: walk-forward scores of the published set, through the code that serves, without training."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from backtest.measure import Scored, pooled
from backtest.splits import Window
from contracts import ModelSet
from errors import DeepFinanceError
from market.bundled import BundledSource
from market.files import FilesSource
from runners.artefact import verify_file
from runners.model_set import load_model_set
from training.evidence import base_rates, scored_history
from training.history import History, load_histories
from training.plan import Windows
from training.predictions import predictor
from training.scoreboard import Row, score_rows, table_cells
from training.train import DEFAULT_TARGET

CONSOLE = Console(highlight=False)


def evaluate(
    histories: Sequence[History], model_set: ModelSet, folder: Path, window: Window, horizons: Sequence[int]
) -> dict[str, Any]:
    """Scores pooled over all symbols, by asset class, and of each symbol; rows by horizon (see scoreboard.py)."""
    predict = predictor(model_set.members, model_set.grid, folder)
    steps = np.asarray(horizons)
    scored: list[tuple[History, Scored]] = []
    for history in track(histories, "forecasting", console=CONSOLE, disable=not CONSOLE.is_terminal):
        found = scored_history(history, predict(history.matrix), model_set, window, steps)
        if found is not None:
            scored.append((history, found[0]))

    def rows(chosen: Sequence[tuple[History, Scored]]) -> list[Row]:
        earlier = base_rates([history for history, _ in chosen], window, steps)
        return score_rows(pooled([part for _, part in chosen]), horizons, earlier.tolist()) if chosen else []

    classes = dict.fromkeys(history.asset_class for history, _ in scored)
    return {
        "models_version": model_set.version,
        "window": [window.start.isoformat(), window.end.isoformat()],
        "symbols": [history.bars.symbol for history, _ in scored],
        "pooled": rows(scored),
        "by_asset_class": {
            str(kind): rows([pair for pair in scored if pair[0].asset_class is kind]) for kind in classes
        },
        "per_symbol": {pair[0].bars.symbol: rows([pair]) for pair in scored},
    }


def main() -> int:
    """Command line; 1 when there was nothing to score."""
    options = _options()
    try:
        model_set = load_model_set(options.models)
        for member in model_set.members:
            verify_file(options.models, member)
    except DeepFinanceError as error:
        CONSOLE.print(error.message)
        return 1
    source = FilesSource(options.data_dir) if options.data_dir else BundledSource()
    histories, refused = load_histories(source, model_set.grid.horizons[-1])
    for symbol, reason in refused.items():
        CONSOLE.print(f"left out: {symbol}: {reason}")
    result = evaluate(histories, model_set, options.models, Window(options.start, options.end), options.horizons)
    if not result["pooled"]:
        CONSOLE.print(f"no symbol has outcomes between {options.start} and {options.end}")
        return 1
    _show(result)
    if options.json:
        options.json.write_text(json.dumps(result | {"left_out": refused}, indent=2) + "\n")
        CONSOLE.print(f"written to {options.json}")
    return 0


def _options() -> argparse.Namespace:
    evidence = Windows().evidence
    parser = argparse.ArgumentParser(prog="make evaluate ARGS=...", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="DIR/<SYMBOL>.csv[.gz] or .parquet; default: the bundled prices")
    parser.add_argument("--start", type=date.fromisoformat, default=evidence.start, help="first origin, YYYY-MM-DD")
    parser.add_argument("--end", type=date.fromisoformat, default=evidence.end, help="last outcome, YYYY-MM-DD")
    parser.add_argument("--horizons", type=_horizons, default=[1, 5, 20, 90], help="bars ahead, e.g. 1,5,20")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--models", type=Path, default=DEFAULT_TARGET, help="folder of the model set")
    return parser.parse_args()


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
        Console(width=max(CONSOLE.width, 150), highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
