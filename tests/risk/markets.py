"""Returns and prices of several assets for the tests."""

from __future__ import annotations

import csv
import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from contracts import Floats


def correlated(seed: int, n_periods: int = 600, n_assets: int = 5) -> Floats:
    """(n_periods, n_assets) daily returns with one common factor and fat tails."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_t(5, (n_periods, 1)) * 0.008
    return 0.0003 + factor * rng.uniform(0.5, 1.5, n_assets) + rng.standard_t(5, (n_periods, n_assets)) * 0.01


def prices_of(returns: Floats) -> Floats:
    """(n_periods + 1, n_assets) from 100."""
    return 100 * np.vstack([np.ones(returns.shape[1]), np.cumprod(1 + returns, axis=0)])


@cache
def sp500_returns(since: str = "2014-01-01") -> tuple[tuple[str, ...], Floats]:
    """Symbols and daily returns of the 20 shares that come with skfolio, from the first close of that year on."""
    package = find_spec("skfolio")
    path = Path(package.submodule_search_locations[0], "datasets/data/sp500_dataset.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        titles, *rows = csv.reader(text)
    prices = np.array([row[1:] for row in rows if row[0] >= since], dtype=float)
    return tuple(titles[1:]), prices[1:] / prices[:-1] - 1


@st.composite
def portfolios(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Weights that sum to one, short ones too, and returns."""
    n_assets = draw(st.integers(1, 6))
    returns = correlated(draw(st.integers(0, 10_000)), draw(st.integers(120, 400)), n_assets)
    weights = np.array(draw(st.lists(st.floats(-0.4, 1), min_size=n_assets, max_size=n_assets)))
    weights[0] += 1 - weights.sum() if weights.sum() <= 0.1 else 0
    return weights / weights.sum(), returns
