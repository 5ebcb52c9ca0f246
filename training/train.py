"""The command line of `make train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, cast

from rich.table import Table

from contracts import ModelSet
from engine.chosen import chosen_engine
from errors import ConfigurationError, DeepFinanceError
from market.bundled import BundledSource
from market.files import FilesSource
from market.source import Source
from settings import model_set_folder
from training.champion import Verdict
from training.history import History, load_histories
from training.plan import Plan, Windows, stopping_within, windows_between, windows_until
from training.progress import CONSOLE, say, step
from training.run import check_target, train
from training.sample_index import SampleIndex
from training.sample_stocks import SampleStocks
from training.swap import previous_of

INTERRUPTED = 130
# Enough of the bundled prices to try every step.
FAST_SYMBOLS = ("AAPL", "JPM", "KO", "XOM", "^GSPC", "^IXIC")


def main() -> int:
    """1 where nothing could be trained; 0 whether or not the challenger was promoted."""
    options = _options()
    target = options.out.absolute()
    plan = Plan(windows=options.windows, seed=options.seed, fast=options.fast, timeframe=options.timeframe)
    try:
        check_target(target)
        engine = chosen_engine()
        histories, refused, candles = _read(options, plan)
        plan = replace(plan, windows=stopping_within(plan.windows, _first_day(histories)))
        challenger, verdict = train(
            histories, candles, plan, target, refused=refused, fresh=options.fresh, force=options.force, engine=engine
        )
    except DeepFinanceError as error:
        say(error.message)
        return 1
    except KeyboardInterrupt:
        say("interrupted; finished members are kept, the same command goes on from there")
        return INTERRUPTED
    _tell(challenger, verdict, target)
    return 0


def _read(options: argparse.Namespace, plan: Plan) -> tuple[list[History], dict[str, str], list[History]]:
    """The universe, what was refused of it, and the series that only teach what ranges say."""
    source: Source = FilesSource(options.data_dir) if options.data_dir else BundledSource(candles=True)
    symbols = options.symbols or (FAST_SYMBOLS if options.fast and not options.data_dir else None)
    longest = plan.grid.horizons[-1]
    with step("read prices and build features"):
        histories, refused = load_histories(source, longest, symbols, plan.timeframe)
        candles = [] if options.data_dir else load_histories(SampleStocks(), longest)[0]
        if not options.data_dir and not options.symbols:
            histories += load_histories(SampleIndex(), longest)[0]
    for symbol, reason in refused.items():
        say(f"left out: {symbol}: {reason}")
    return histories, refused, candles


def _first_day(histories: Sequence[History]) -> date:
    if not histories:
        raise ConfigurationError("there is no series to train on")
    first: date = min(history.bars.times[0] for history in histories).astype("datetime64[D]").item()
    return first


def _options() -> argparse.Namespace:
    windows, default = Windows(), model_set_folder()
    parser = argparse.ArgumentParser(prog="make train ARGS=...", description=__doc__)
    data = parser.add_argument_group("what to learn from")
    data.add_argument("--data-dir", type=Path, help="DIR/<SYMBOL>.csv[.gz] or .parquet; default: the bundled prices")
    data.add_argument("--symbols", type=_names, help="only these, e.g. AAPL,MSFT; default: all that the source has")
    data.add_argument("--timeframe", choices=("1d", "1h"), default="1d", help="1h: from --data-dir, with --symbols")
    dates = parser.add_argument_group("windows (last days, YYYY-MM-DD)")
    dates.add_argument("--until", type=_day, help="evidence: 4 years to this day; calibration: 4 before")
    dates.add_argument("--train-end", type=_day, help=f"default {windows.training.end}")
    dates.add_argument("--calibrate-end", type=_day, help=f"default {windows.calibration.end}")
    dates.add_argument("--evidence-end", type=_day, help=f"default {windows.evidence.end}")
    parser.add_argument("--seed", type=int, default=Plan().seed, help="seed of every random draw")
    parser.add_argument(
        "--fast", action="store_true", help="try the machinery: tiny fits, six symbols; the scores mean nothing"
    )
    parser.add_argument("--fresh", action="store_true", help="fit everything again")
    parser.add_argument("--force", action="store_true", help="publish whatever the comparison says")
    parser.add_argument("--out", type=Path, default=default, help="folder to publish to")
    options = parser.parse_args()
    if problem := _problem(options):
        parser.error(problem)
    return options


def _problem(options: argparse.Namespace) -> str | None:
    """What is wrong with the options together, or None; sets ``options.windows``."""
    ends = (options.train_end, options.calibrate_end, options.evidence_end)
    if options.until and any(ends):
        return "--until sets all windows; do not set their ends as well"
    if options.timeframe == "1h" and not (options.data_dir and options.symbols):
        return "--timeframe 1h needs --data-dir and --symbols; the bundled prices are daily"
    if options.timeframe == "1h" and options.out == model_set_folder():
        return "--timeframe 1h needs --out: the service answers for daily bars, so the set it serves stays daily"
    windows = Windows()
    defaults = (windows.training.end, windows.calibration.end, windows.evidence.end)
    given = (end or default for end, default in zip(ends, defaults, strict=True))
    try:
        options.windows = windows_until(options.until) if options.until else windows_between(*given)
    except ValueError as error:
        return str(error)
    return None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a day such as 2022-12-31, got {text!r}") from None


def _names(text: str) -> list[str]:
    return [name.strip().upper() for name in text.split(",") if name.strip()]


def _tell(challenger: ModelSet, verdict: Verdict, target: Path) -> None:
    for name, reason in cast(Mapping[str, Any], challenger.manifest)["left_out"]["members"].items():
        say(f"left out of the set: {name}: {reason}")
    if verdict.rows:
        CONSOLE.print(_table(challenger, verdict))
    say(verdict.reason)
    if verdict.forced:
        say("published all the same, as --force says")
    if verdict.promoted:
        say(f"published {challenger.version} to {target}; its scores are in MODEL_CARD.md there")
        if previous_of(target).exists():
            say("the set before it is kept: `make rollback` brings it back")
    elif not verdict.reproduced:
        say(
            f"not published: {challenger.version}; {verdict.champion} stays. The challenger is kept beside it: "
            "the same command with --force publishes it without fitting again"
        )


def _table(challenger: ModelSet, verdict: Verdict) -> Table:
    assert verdict.window is not None
    table = Table(title=f"{challenger.version} against {verdict.champion}\n{verdict.window[0]} to {verdict.window[1]}")
    for title in ("horizon", "forecasts", "old loss", "new loss", "gain %", "t", "p of worse"):
        table.add_column(title, justify="right")
    for row in verdict.rows:
        losses = (f"{loss:.6f}" for loss in (row.champion_loss, row.challenger_loss))
        horizon = str(row.horizon) if row.horizon else "all"
        table.add_row(horizon, str(row.n), *losses, f"{100 * row.gain:+.2f}", f"{row.t:+.2f}", f"{row.p_worse:.3f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
