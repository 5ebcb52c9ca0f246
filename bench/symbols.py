"""Any number of made-up symbols with real behaviour: blocks of real returns in another order.

A stationary block bootstrap (Politis and Romano, 1994) keeps what a forecast costs and looks at, fat tails and
clusters of volatility, while every symbol has prices of its own. For load tests only.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from contracts import Bars, Floats
from market.bundled import BundledSource

MEAN_BLOCK = 60
BARS = 2000
REAL_BARS = 5000
"""Of each real series, the last: earlier prices of some do not move for months, and no forecast is made of that."""


def write_symbols(folder: Path, count: int, seed: int = 7) -> list[str]:
    """``count`` price files with closes alone, and their symbols."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = asyncio.run(_real())
    rng = np.random.default_rng(seed)
    symbols = [f"S{number:04d}" for number in range(count)]
    for symbol in symbols:
        bars = sources[rng.integers(len(sources))]
        closes = resampled(bars.total_return_close[-REAL_BARS:], rng)
        days = bars.times[-BARS:].astype("datetime64[D]")
        lines = [f"{day},{close:.4f}" for day, close in zip(days, closes, strict=True)]
        (folder / f"{symbol}.csv").write_text("date,close\n" + "\n".join(lines) + "\n")
    return symbols


def resampled(closes: Floats, rng: np.random.Generator) -> Floats:
    """(BARS,) prices from 100 whose returns are blocks of the given ones, of geometric length, wrapped round."""
    returns = np.diff(np.log(closes))
    starts = rng.random(BARS) < 1.0 / MEAN_BLOCK
    starts[0] = True
    block = np.cumsum(starts) - 1
    first = rng.integers(len(returns), size=block[-1] + 1)
    offset = np.arange(BARS) - np.flatnonzero(starts)[block]
    prices: Floats = 100.0 * np.exp(np.cumsum(returns[(first[block] + offset) % len(returns)]))
    return prices


async def _real() -> list[Bars]:
    source = BundledSource()
    return [await source.bars(symbol, "1d") for symbol in source.symbols()]
