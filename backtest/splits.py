"""Time-ordered windows with purge, and the outcomes that belong to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from contracts import Floats, Ints, Times


@dataclass(frozen=True, slots=True)
class Window:
    """Origins from ``start`` on whose outcomes are known by ``end`` (both inclusive).

    Asking that the *outcome* lies inside is the purge: a 90-day forecast made on the last day of a training
    window would be trained on prices of the window after it (Lopez de Prado, 2018, chapter 7).
    """

    start: date
    end: date

    def holds(self, origins: Times, ends: Times) -> NDArray[np.bool_]:
        """(n_rows,) origins and (n_rows, n_horizons) outcome times -> (n_rows, n_horizons), False for NaT."""
        inside = (origins >= np.datetime64(self.start))[:, None] & (ends <= np.datetime64(self.end))
        return np.asarray(inside & ~np.isnat(ends))


def log_returns_ahead(closes: Floats, rows: Ints, horizons: Ints) -> Floats:
    """(n_bars,) closes -> (n_rows, n_horizons) cumulative log returns from bar ``rows[i]``; NaN if not known yet."""
    log_price = np.log(closes)
    target = rows[:, None] + horizons
    known = target < len(closes)
    ahead = log_price[np.minimum(target, len(closes) - 1)] - log_price[rows][:, None]
    return np.where(known, ahead, np.nan)


def times_ahead(times: Times, rows: Ints, horizons: Ints) -> Times:
    """(n_rows, n_horizons) times at which those returns were known, NaT where they are not."""
    target = rows[:, None] + horizons
    ahead = times[np.minimum(target, len(times) - 1)].astype("datetime64[D]")
    return np.where(target < len(times), ahead, np.datetime64("NaT"))
