"""`python -m training.var_of_forecasts`: the value at risk of the published set's forecasts, and of every other method
served, over the days of the bundled prices that the set was not fitted on. The tables of docs/risk.md."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from contracts import Floats, Floats32, MemberRunner, MemberSpec, ModelSet
from forecast_risk import Asked, ServedForecasts, forecast_risk
from market.aside import build_aside
from market.bundled import BundledSource
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from pipeline import Ports, forecast_many
from replay import fitted_until
from risk.gjr import fitted, refit_places
from risk.report import Series, Terms, ValueAtRisk, report
from risk.returns import simple_returns
from runners.members import load_member
from runners.model_set import load_model_set
from training.shared import DEFAULT_TARGET

CONSOLE = Console(highlight=False, soft_wrap=True)
LEVELS = (0.95, 0.99)

Found = Mapping[str, tuple[ValueAtRisk, ...]]
"""By symbol."""


class Here:
    """A member that is asked where it is; ``contracts.MemberRunner``."""

    def __init__(self, spec: MemberSpec, model_set: ModelSet, folder: Path) -> None:
        self.spec = spec
        self._member = load_member(spec, model_set.grid, folder / spec.file)

    async def predict(self, keys: Sequence[str], rows: Floats32) -> Floats:
        return self._member.predict(rows)


def ports_of(model_set: ModelSet, folder: Path) -> Ports:
    """Bundled prices, and the members in this process."""
    runners: dict[str, MemberRunner] = {spec.name: Here(spec, model_set, folder) for spec in model_set.members}
    return Ports(SourceChain([BundledSource()]), ExchangeCalendars(build_aside), runners)


async def entries_of(symbol: str, ports: Ports, model_set: ModelSet) -> tuple[ValueAtRisk, ...] | str:
    """Every method at every level over the days later than the set's fit, through the code that serves; or why not."""
    work = partial(forecast_many, ports=ports, model_set=model_set, now=datetime.now(UTC))
    bars, until = await ports.market.bars(symbol, "1d"), fitted_until(model_set)
    period = 0 if until is None else int(np.sum(bars.times[1:].astype("datetime64[D]") > np.datetime64(until)))
    if period == 0:
        return f"no price is later than the fit, which ended on {until}"
    asked = Asked(bars, ports.market.instrument(symbol), period, 1, LEVELS)
    own = await forecast_risk(asked, ServedForecasts(work, lambda: (ports, model_set)))
    history = simple_returns(bars.total_return_close)
    fits = fitted(history, refit_places(len(history), period))
    others = report(Series(history, period, "not asked for", fits), Terms(LEVELS, 1, 252.0, 0.0))
    return (*own.entries, *others.value_at_risk)


def forecast_table(found: Found) -> list[str]:
    """Markdown, a row a symbol: exceedances of those expected, p-values and verdict at each level."""
    titles = [title for level in LEVELS for title in (f"{100 * level:g} %", "Kupiec p", "indep. p", "")]
    rows = [[symbol, *(cell for entry in _own(entries) for cell in _cells(entry))] for symbol, entries in found.items()]
    return _table(["symbol", *titles], rows)


def method_table(found: Found) -> list[str]:
    """Markdown, a row a method and level: how many of the series it passes in, and its exceedances in all of them."""
    keys = dict.fromkeys((entry.method, entry.confidence_level) for entries in found.values() for entry in entries)
    rows = [_method_row(found, method, level) for method, level in keys]
    titles = ["method", "level", "passes both", "Kupiec", "independence", "exceedances", "expected"]
    return _table(titles, rows)


def _own(entries: Sequence[ValueAtRisk]) -> list[ValueAtRisk]:
    return [entry for entry in entries if entry.method == "forecast"]


def _cells(entry: ValueAtRisk) -> list[str]:
    test = entry.backtest
    if test is None:
        return ["–", "–", "–", entry.unavailable["backtest"]]
    failed = []
    if test.kupiec is not None and not test.kupiec.passes:
        failed.append("too many" if len(test.at) > test.expected else "too few")
    if test.independence is not None and not test.independence.passes:
        failed.append("they cluster")
    p_values = ["–" if ratio is None else f"{ratio.p_value:.2g}" for ratio in (test.kupiec, test.independence)]
    return [f"{len(test.at)} of {test.expected:.1f}", *p_values, " and ".join(failed) or "passes"]


def _method_row(found: Found, method: str, level: float) -> list[str]:
    wanted = method, level
    every = [each for entries in found.values() for each in entries if (each.method, each.confidence_level) == wanted]
    tests = [entry.backtest for entry in every if entry.backtest is not None]
    passed = sum(test.passes is True for test in tests)
    kupiec = sum(test.kupiec is not None and test.kupiec.passes for test in tests)
    alone = sum(test.independence is not None and test.independence.passes for test in tests)
    beyond, expected = sum(len(test.at) for test in tests), sum(test.expected for test in tests)
    shares = [f"{passed} of {len(tests)}", str(kupiec), str(alone)]
    return [method, f"{100 * level:g} %", *shares, str(beyond), f"{expected:.0f}"]


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *rows)]


async def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.var_of_forecasts", description=__doc__)
    parser.add_argument("symbols", nargs="*", help="bundled symbols; all of them if left out")
    parser.add_argument("--models", type=Path, default=DEFAULT_TARGET, help="folder of the model set")
    options = parser.parse_args()
    model_set = load_model_set(options.models)
    ports = ports_of(model_set, options.models)
    found: dict[str, tuple[ValueAtRisk, ...]] = {}
    for symbol in options.symbols or ports.market.symbols():
        entries = await entries_of(symbol, ports, model_set)
        if isinstance(entries, str):
            CONSOLE.print(f"left out: {symbol}: {entries}")
        else:
            found[symbol] = entries
    CONSOLE.print(f"model set {model_set.version}, fitted and calibrated on prices up to {fitted_until(model_set)}")
    CONSOLE.print("\nfrom forecasts, one day\n", *forecast_table(found), sep="\n")
    CONSOLE.print("\nevery method, on the same days\n", *method_table(found), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
