"""Request bodies, one a line, for the load generator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

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


def _written(path: Path, bodies: Sequence[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(body) for body in bodies) + "\n")
    return path
