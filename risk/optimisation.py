"""Optimal weights by skfolio, and how they would have done out of sample. Heavy to import.

All are long-only, fully invested and within the same bounds. Walk-forward: weights are fitted on the last
``training`` periods before a date, bought then, left to drift until the next date, and so on; every figure is of
periods after the fit. Trading costs are paid on all that is bought and sold, the first purchase included.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from skfolio import RiskMeasure
from skfolio.model_selection import WalkForward
from skfolio.moments import EmpiricalCovariance, LedoitWolf
from skfolio.optimization import (
    HierarchicalRiskParity,
    MaximumDiversification,
    MeanRisk,
    ObjectiveFunction,
    RiskBudgeting,
)
from skfolio.prior import EmpiricalPrior

from contracts import Floats
from risk.portfolio_terms import CURRENT, EQUAL_WEIGHT, OptimisationTerms, Optimised, Walk

CVAR_LEVEL = 0.95
Fit = Callable[[Floats, Floats], Floats]
"""Training returns (n_periods, n_assets) and the weights held before (n_assets,) -> weights (n_assets,)."""


class NoSolution(Exception):
    """The solver found no weights; the message says what it said."""


def fitted_weights(method: str, returns: Floats, held: Floats, terms: OptimisationTerms) -> Floats:
    """(n_assets,) weights, from (n_periods, n_assets) returns; raises NoSolution."""
    estimator = _estimator(method, held, terms)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(returns)
    except Exception as error:  # skfolio, cvxpy and the solvers each have their own
        raise NoSolution(f"the solver found no weights: {str(error).splitlines()[0][:200]}") from error
    weights = np.asarray(estimator.weights_, dtype=np.float64)
    if not np.isfinite(weights).all():
        raise NoSolution("the solver found no weights")
    return weights


def _estimator(method: str, held: Floats, terms: OptimisationTerms) -> Any:
    prior = EmpiricalPrior(covariance_estimator=LedoitWolf() if terms.shrunk else EmpiricalCovariance())
    bounds = {"min_weights": terms.min_weight, "max_weights": terms.max_weight, "prior_estimator": prior}
    match method:
        case "minimum_variance":
            return MeanRisk(risk_measure=RiskMeasure.VARIANCE, **bounds)
        case "risk_parity":
            return RiskBudgeting(risk_measure=RiskMeasure.VARIANCE, **bounds)
        case "maximum_diversification":
            return MaximumDiversification(**bounds)
        case "mean_cvar":
            return MeanRisk(
                objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
                risk_measure=RiskMeasure.CVAR,
                cvar_beta=CVAR_LEVEL,
                risk_aversion=terms.risk_aversion,
                transaction_costs=terms.cost / terms.rebalance,  # a cost paid once, spread over the periods it serves
                previous_weights=held,
                **bounds,
            )
        case "hierarchical_risk_parity":
            return HierarchicalRiskParity(risk_measure=RiskMeasure.VARIANCE, **bounds)
    raise ValueError(f"no method is called {method!r}")


def optimised(returns: Floats, current: Floats, terms: OptimisationTerms) -> Optimised:
    """Every method on the last ``training`` periods, and walked forward over those before.

    ``returns`` is (n_periods, n_assets) and ``current`` (n_assets,) what is held now. A method without a solution
    anywhere on its way gets a reason instead.
    """
    weights: dict[str, Floats] = {}
    walks: dict[str, Walk] = {}
    unavailable: dict[str, str] = {}
    refits = min(max(len(returns) - terms.training, 0) // terms.rebalance, terms.most_refits)
    recent = returns[-(terms.training + refits * terms.rebalance) :]
    for method in terms.methods:
        try:
            weights[method] = fitted_weights(method, returns[-terms.training :], current, terms)
            if refits:
                walks[method] = walked(_fit(method, terms), recent, terms)
        except NoSolution as reason:
            unavailable[method] = str(reason)
    if refits:
        equal = np.full(returns.shape[1], 1.0 / returns.shape[1])
        walks[EQUAL_WEIGHT] = walked(lambda *_: equal, recent, terms)
        walks[CURRENT] = walked(lambda *_: current, recent, terms)
    return Optimised(weights, walks, unavailable, refits * terms.rebalance, refits, _no_walk(len(returns), terms))


def _no_walk(n_periods: int, terms: OptimisationTerms) -> str | None:
    needed = terms.training + terms.rebalance
    if n_periods >= needed:
        return None
    return f"{n_periods} common returns are fewer than the {needed} that a training and a test of it need"


def _fit(method: str, terms: OptimisationTerms) -> Fit:
    return lambda training, held: fitted_weights(method, training, held, terms)


def walked(fit: Fit, returns: Floats, terms: OptimisationTerms) -> Walk:
    """Fit, buy, hold, again: out-of-sample returns of one way to choose weights."""
    held = np.zeros(returns.shape[1])
    parts: list[Floats] = []
    turnovers: list[float] = []
    for training, test in WalkForward(test_size=terms.rebalance, train_size=terms.training).split(returns):
        weights = fit(returns[training], held)
        traded = float(np.abs(weights - held).sum())
        value = 1.0 + (np.cumprod(1.0 + returns[test], axis=0) - 1.0) @ weights
        before = np.concatenate([[1.0 + terms.cost * traded], value[:-1]])
        parts.append(value / before - 1.0)
        turnovers.append(traded)
        held = weights * np.prod(1.0 + returns[test], axis=0) / value[-1]
    later = turnovers[1:]
    return Walk(np.concatenate(parts), float(np.mean(later)) if later else None)
