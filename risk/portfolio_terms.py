"""What an optimisation is asked, and what it answers: records without heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts import Floats

METHODS = ("minimum_variance", "risk_parity", "maximum_diversification", "mean_cvar", "hierarchical_risk_parity")
EQUAL_WEIGHT = "equal_weight"
CURRENT = "current"


@dataclass(frozen=True, slots=True)
class OptimisationTerms:
    """``cost`` is a fraction of what is bought and sold; ``training`` and ``rebalance`` are numbers of periods.

    ``risk_aversion`` is of mean_cvar: it maximises mean - costs - risk_aversion * CVaR at 95 %, all per period.
    """

    methods: tuple[str, ...] = METHODS
    min_weight: float = 0.0
    max_weight: float = 1.0
    cost: float = 0.001
    risk_aversion: float = 1.0
    shrunk: bool = True
    training: int = 504
    rebalance: int = 252
    most_refits: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """``returns`` (n_periods,) of a portfolio out of sample, costs taken off; ``turnover`` is the mean of what is
    bought and sold at a refit after the first, as a fraction of the value (2 is everything)."""

    returns: Floats
    turnover: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Optimised:
    """By method: the weights to hold now (n_assets,), and how such weights did. What is missing has its reason in
    ``unavailable``, by method. ``walks`` also has equal_weight and current; it is empty where the history is too short,
    and ``no_walk`` then says so. ``tested`` is how many of the last returns the walks are measured on."""

    weights: Mapping[str, Floats]
    walks: Mapping[str, Walk]
    unavailable: Mapping[str, str]
    tested: int
    refits: int
    no_walk: str | None
