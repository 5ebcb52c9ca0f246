"""Whether stated probabilities are met: bins of a reliability diagram, and the log score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backtest.score import binned, standard_error
from contracts import Floats, Times

SMALLEST_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Forecasts that stated about the same: how many, what they stated, how often it came, and the standard error of
    that frequency (days and overlapping horizons counted as in score.standard_error)."""

    n: int
    stated: float
    observed: float
    observed_se: float


def reliability(
    probability: Floats, happened: Floats, times: Times, horizon: int, bins: int = 10
) -> list[ReliabilityBin]:
    """(n,) probabilities, 0/1 outcomes and origin times -> at most ``bins`` bins, equally filled, smallest first.

    Equal probabilities share a bin, so a constant forecast has one.
    """
    return [
        ReliabilityBin(
            n=len(part),
            stated=float(probability[part].mean()),
            observed=float(happened[part].mean()),
            observed_se=standard_error(happened[part], times[part], horizon),
        )
        for part in binned(probability, bins)
    ]


def log_score(probability: Floats | float, happened: Floats) -> float:
    """Mean negative log likelihood of 0/1 outcomes in nats (Good, 1952), smaller is better; 0.693 for a coin."""
    p = np.clip(probability, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    return float(-np.mean(happened * np.log(p) + (1.0 - happened) * np.log(1.0 - p)))
