"""Request bodies, one a line, for the load generator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PREDICT = "/api/v1/predict"
RISK = "/api/v1/risk"
HORIZONS = (1, 5, 10, 20)
ZIPF = 1.1


def one_each(path: Path, symbols: Sequence[str]) -> Path:
    """Each symbol once: asked before anything counts, so that every series has been read and corrected."""
    return _written(path, [{"symbol": symbol} for symbol in symbols])


def uniform(path: Path, symbols: Sequence[str]) -> Path:
    """Every symbol at every horizon."""
    return _written(path, [{"symbol": symbol, "horizon": horizon} for symbol in symbols for horizon in HORIZONS])


def risk(path: Path, symbols: Sequence[str]) -> Path:
    """The risk of each symbol over a year, on its own."""
    return _written(path, [{"symbol": symbol, "include_benchmark": False} for symbol in symbols])


def zipf(path: Path, symbols: Sequence[str], count: int = 5000, seed: int = 5) -> Path:
    """Few symbols asked often, many seldom, as people do."""
    rank = np.arange(1, len(symbols) + 1)
    share = rank**-ZIPF / np.sum(rank**-ZIPF)
    drawn = np.random.default_rng(seed).choice(len(symbols), size=count, p=share)
    return _written(path, [{"symbol": symbols[at], "horizon": 5} for at in drawn])


def mixed(path: Path, symbols: Sequence[str], count: int = 4000, seed: int = 6) -> Path:
    """What many different callers ask for, a path before each body: of ten requests four that were asked before or are
    soon again, three with terms of their own, and of the rest as many streams as batches of 20, risks and readings."""
    rng = np.random.default_rng(seed)
    levels, repeated = np.round(rng.uniform(0.5, 0.99, count), 4), symbols[: max(1, len(symbols) // 10)]

    def body(kind: int, number: int) -> tuple[str, dict[str, object] | None]:
        symbol, horizon = symbols[int(rng.integers(len(symbols)))], int(rng.integers(1, 91))
        own = {"symbol": symbol, "horizon": horizon, "confidence_level": float(levels[number])}
        if kind < 4:
            return PREDICT, {"symbol": repeated[int(rng.integers(len(repeated)))], "horizon": 5}
        if kind < 7:
            return PREDICT, own
        if kind == 7:
            return f"{PREDICT}/stream", own
        if kind == 8:
            return f"{PREDICT}/batch", {"requests": [{**own, "symbol": each} for each in rng.choice(symbols, 20)]}
        is_risk = number // 10 % 2
        return (
            (RISK, {"symbol": symbol, "include_benchmark": False}) if is_risk else (f"/api/v1/symbols/{symbol}", None)
        )

    asked = [body(number % 10, number) for number in range(count)]
    lines = [f"{where}\t{json.dumps(what)}" if what else where for where, what in asked]
    path.write_text("\n".join(lines) + "\n")
    return path


def _written(path: Path, bodies: Sequence[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(body) for body in bodies) + "\n")
    return path
