"""Rolling statistics along axis 0 (time), built by doubling.

A window of w is assembled from blocks of 1, 2, 4, ... bars, so it costs O(log w) array operations, and every
output depends on its own w inputs through one fixed sequence of operations. Unlike a running sum, the value at
bar t is therefore the same to the last bit whether the array starts 300 or 8,000 bars earlier, and whether one
series or many stand side by side. All functions return an array as long as the input, NaN for the first w - 1 bars.
"""

from __future__ import annotations

import numpy as np

from contracts import Floats


def decayed_sum(values: Floats, window: int, decay: float) -> Floats:
    """sum over k < window of decay**k * values[t - k]; (n_bars, ...) -> (n_bars, ...)."""
    n_bars = len(values)
    if n_bars < window:
        return np.full_like(values, np.nan)
    block, size, offset = (
        values,
        1,
        0,
    )  # block[i] is the decayed sum of `size` bars that ends at bar i + size - 1
    total: Floats | None = None
    remaining = window
    while True:
        if remaining & 1:
            first = window - offset - size
            term = block[first : first + n_bars - window + 1]
            if decay != 1.0 and offset:
                term = term * decay**offset
            total = term if total is None else total + term
            offset += size
        remaining >>= 1
        if not remaining:
            break
        older = block[:-size] if decay == 1.0 else block[:-size] * decay**size
        block = block[size:] + older
        size *= 2
    assert total is not None
    return _padded(total, window)


def rolling_sum(values: Floats, window: int) -> Floats:
    """Sum of the last ``window`` values."""
    return decayed_sum(values, window, 1.0)


def rolling_mean(values: Floats, window: int) -> Floats:
    """Mean of the last ``window`` values."""
    return rolling_sum(values, window) / window


def ewma(values: Floats, window: int, decay: float) -> Floats:
    """Exponentially weighted mean of the last ``window`` values; the truncated weights are made to sum to one."""
    return decayed_sum(values, window, decay) * ((1.0 - decay) / (1.0 - decay**window))


def rolling_max(values: Floats, window: int) -> Floats:
    """Largest of the last ``window`` values."""
    n_bars = len(values)
    if n_bars < window:
        return np.full_like(values, np.nan)
    block, size = values, 1
    while size * 2 <= window:
        block = np.maximum(block[size:], block[:-size])
        size *= 2
    older = block[: n_bars - window + 1]
    newer = block[window - size :]
    return _padded(np.maximum(newer, older), window)


def rolling_min(values: Floats, window: int) -> Floats:
    """Smallest of the last ``window`` values."""
    return -rolling_max(-values, window)


def lag(values: Floats, bars: int) -> Floats:
    """values[t - bars], NaN where there is none."""
    if bars == 0:
        return values
    lagged = np.full_like(values, np.nan)
    lagged[bars:] = values[:-bars]
    return lagged


def _padded(values: Floats, window: int) -> Floats:
    head = np.full((window - 1, *values.shape[1:]), np.nan)
    return np.concatenate([head, values])
