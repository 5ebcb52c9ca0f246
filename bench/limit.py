"""What the models alone can do on this machine: the ceiling that every server stays below."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from contracts import AssetClass, FeatureMatrix, kind_of

BATCH = 64


@cache
def _models() -> Any:
    """The members that answer by default for shares with closes alone, loaded in this process."""
    from bench.peers.shared import FOLDER, MODELS
    from runners.members import load_member

    names = MODELS.weighted(kind_of(AssetClass.EQUITY, has_ranges=False))
    return [load_member(spec, MODELS.grid, FOLDER / spec.file) for spec in MODELS.members if spec.name in names]


def matrix_of(rows: int) -> FeatureMatrix:
    """Inputs of made-up series: what is in them does not change what they cost."""
    from features.build import panel_inputs
    from features.spec import BARS_NEEDED

    returns = np.random.default_rng(3).standard_t(4, (BARS_NEEDED, rows)) * 0.01
    weekday = np.repeat((np.arange(BARS_NEEDED) % 5)[:, None].astype(float), rows, axis=1)
    return panel_inputs(np.cumsum(returns, axis=0), weekday)


def seconds_for(rows: int, repeats: int = 5) -> float:
    """The fastest of some passes of all default members over one matrix of so many rows, one thread."""
    matrix, best = matrix_of(rows), float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        for model in _models():
            model.predict(matrix.rows_for(model.spec.takes))
        best = min(best, time.perf_counter() - started)
    return best


def rows_in(seconds: float) -> float:
    """Rows a second that one process answers in batches of 64."""
    matrix, rows = matrix_of(BATCH), 0
    inputs = [(model, matrix.rows_for(model.spec.takes)) for model in _models()]
    end = (started := time.perf_counter()) + seconds
    while time.perf_counter() < end:
        for model, values in inputs:
            model.predict(values)
        rows += BATCH
    return rows / (time.perf_counter() - started)


def compute_limit(seconds: float, processes: int) -> float:
    """Forecasts a second if nothing but models ran, in as many processes as there are cores."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(rows_in, [0.2] * processes))  # loaded before it counts
        return sum(pool.map(rows_in, [seconds] * processes))


if __name__ == "__main__":
    sys.stdout.write(f"{compute_limit(3.0, 2):.0f} rows a second on two processes\n")
