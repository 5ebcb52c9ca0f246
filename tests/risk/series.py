"""Returns for the tests of risk."""

from __future__ import annotations

import numpy as np
from arch.data import sp500

from contracts import Floats
from risk.returns import simple_returns

SP500: Floats = simple_returns(sp500.load()["Adj Close"].to_numpy())
"""(5030,) daily returns of the S&P 500, 1999-01-05 to 2018-12-31, as they come with arch."""


def fat_tailed(count: int, seed: int = 0, scale: float = 0.01) -> Floats:
    """(count,) independent Student t returns with 4 degrees of freedom."""
    return np.maximum(scale * np.random.default_rng(seed).standard_t(4, count), -0.99)
