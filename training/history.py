"""The prices that a model set is made from, with features and outcomes beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from backtest.splits import Window, log_returns_ahead, times_ahead
from contracts import AssetClass, Bars, FeatureMatrix, Floats, Grid, Ints, MemberInput, Timeframe, Times
from errors import DeepFinanceError
from features.build import history_inputs
from features.filtered import KNOTS, knot_weights, unit
from features.spec import BARS_NEEDED
from market.calendars import describe
from market.source import Source


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """One symbol: inputs at every usable bar, and what happened afterwards.

    ``rows`` (n_rows,) are positions of the origins in ``bars``. ``returns`` (n_rows, n_steps) are log returns for
    horizons 1 to n_steps, NaN where not known yet; ``ends`` are the times at which they were.
    """

    bars: Bars
    asset_class: AssetClass
    matrix: FeatureMatrix
    rows: Ints
    origins: Times
    returns: Floats
    ends: Times

    def z(self, grid: Grid) -> Floats:
        """(n_rows, n_horizons) outcomes in units of the volatility known at the origin."""
        horizons = np.asarray(grid.horizons)
        return self.returns[:, horizons - 1] / (self.matrix.sigma[:, None] * np.sqrt(horizons))

    def inside(self, window: Window, horizons: Sequence[int] | Ints) -> NDArray[np.bool_]:
        """(n_rows, n_horizons) whether origin and outcome both lie in the window."""
        return window.holds(self.origins, self.ends[:, np.asarray(horizons) - 1])

    def known_by(self, day: date) -> History:
        """What there was on the evening of ``day``: earlier bars, origins and outcomes; the rest is gone."""
        last = np.datetime64(day)
        kept = self.origins <= last
        bars = _bars_until(self.bars, last)
        known = self.ends[kept] <= last
        return History(
            bars=bars,
            asset_class=self.asset_class,
            matrix=self.matrix.take(np.flatnonzero(kept)),
            rows=self.rows[kept],
            origins=self.origins[kept],
            returns=np.where(known, self.returns[kept], np.nan),
            ends=np.where(known, self.ends[kept], np.datetime64("NaT")),
        )


def units(history: History, takes: MemberInput, grid: Grid) -> Floats:
    """(n_rows, n_horizons) volatility ahead in z, from the last columns of the rows that a member takes: what members
    are fitted in units of."""
    columns = history.matrix.ranges if takes == "ranges" else history.matrix.tabular
    assert columns is not None
    return unit(columns[:, -len(KNOTS) :], knot_weights(grid.horizons))


def _bars_until(bars: Bars, last: np.datetime64) -> Bars:
    count = int((bars.times.astype("datetime64[D]") <= last).sum())

    def cut(column: Floats | None) -> Floats | None:
        return None if column is None else column[:count]

    return replace(
        bars,
        times=bars.times[:count],
        close=bars.close[:count],
        open=cut(bars.open),
        high=cut(bars.high),
        low=cut(bars.low),
        adj_close=cut(bars.adj_close),
        volume=cut(bars.volume),
        fingerprint="",
    )


def history_of(bars: Bars, longest: int) -> History:
    """Features and outcomes of one symbol."""
    matrix, rows = history_inputs(bars)
    steps = np.arange(1, longest + 1)
    closes = bars.total_return_close
    return History(
        bars=bars,
        asset_class=describe(bars.symbol).asset_class,
        matrix=matrix,
        rows=rows,
        origins=bars.times[rows].astype("datetime64[D]"),
        returns=log_returns_ahead(closes, rows, steps),
        ends=times_ahead(bars.times, rows, steps),
    )


def load_histories(
    source: Source, longest: int, symbols: Sequence[str] | None = None, timeframe: Timeframe = "1d"
) -> tuple[list[History], dict[str, str]]:
    """All series of a source that are long enough, and why each of the others was left out."""
    refused: dict[str, str] = {}
    return [history_of(bars, longest) for _, bars in usable_bars(source, symbols, timeframe, refused)], refused


def usable_bars(
    source: Source, symbols: Sequence[str] | None, timeframe: Timeframe, refused: dict[str, str]
) -> Iterator[tuple[str, Bars]]:
    """The series that are long enough, each read when it is asked for; ``refused`` is told why others are left out."""
    with asyncio.Runner() as runner:
        for symbol in symbols or source.symbols():
            try:
                bars = runner.run(source.bars(symbol, timeframe))
            except DeepFinanceError as error:
                refused[symbol] = error.message
                continue
            if len(bars) <= BARS_NEEDED:
                refused[symbol] = f"{len(bars)} bars, at least {BARS_NEEDED + 1} are needed"
                continue
            yield symbol, bars
