"""GARCH(1,1) with variance targeting, from one flat row alone and in units of current volatility.

    v <- w L + a z^2 + b v,    w = 1 - a - b                    (Bollerslev, 1986; targeting: Engle and Mezrich, 1996)
    V_h = h L + (v - L) (1 - phi^h) / (1 - phi),  phi = a + b   variance of the sum of the next h returns

L is the realised variance of the last 250 bars. The recursion starts 64 bars back from the smoothed variance of that
day, of which b^63 is left. All variances are divided by sigma^2 of the row, as everything in a row is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contracts import Floats, Floats32
from features.spec import FEATURE_NAMES, WINDOW_CHANNELS, WINDOW_STEPS

LONG_RUN = FEATURE_NAMES.index("volatility_ratio_250")
RETURN, START = WINDOW_CHANNELS.index("return"), WINDOW_CHANNELS.index("volatility_ratio")


@dataclass(frozen=True, slots=True)
class Dynamics:
    """Weight of the last squared return and of the last variance; what is left goes to the long run."""

    a: float
    b: float

    @property
    def persistence(self) -> float:
        return self.a + self.b


def next_variance(rows: Floats32, dynamics: Dynamics) -> tuple[Floats, Floats]:
    """(n_rows, row_width) flat rows -> (n_rows,) variance of the next return, and (n_rows,) of the long run.

    The recursion is linear in the squares, so it is one sum: sum of b^k z^2, k bars back. No BLAS: a row gives the
    same bits alone and in a batch.
    """
    window = rows[:, len(FEATURE_NAMES) :].reshape(len(rows), WINDOW_STEPS, len(WINDOW_CHANNELS)).astype(np.float64)
    long_run = np.exp(2.0 * rows[:, LONG_RUN].astype(np.float64))
    start = np.exp(2.0 * window[:, 0, START])  # the smoothed variance after the first bar, so that bar is in it
    n_updates = WINDOW_STEPS - 1
    decay = dynamics.b ** np.arange(n_updates)[::-1]
    pushed = dynamics.a * np.einsum("ns,s->n", window[:, 1:, RETURN] ** 2, decay)
    kept = (1.0 - dynamics.persistence) * long_run * decay.sum()
    return pushed + kept + dynamics.b**n_updates * start, long_run


def sum_variance(following: Floats, long_run: Floats, dynamics: Dynamics, horizons: Sequence[int]) -> Floats:
    """(n_rows,) variances of the next return and of the long run -> (n_rows, n_horizons) of the next h returns' sum."""
    bars, phi = np.asarray(horizons, np.float64), dynamics.persistence
    fading = (1.0 - phi**bars) / (1.0 - phi)
    return bars * long_run[:, None] + (following - long_run)[:, None] * fading


def scales(rows: Floats32, dynamics: Dynamics, horizons: Sequence[int]) -> Floats:
    """(n_rows, n_horizons) volatility of z = r_h / (sigma sqrt(h)): root of V_h / h."""
    following, long_run = next_variance(rows, dynamics)
    return np.sqrt(sum_variance(following, long_run, dynamics, horizons) / np.asarray(horizons))
