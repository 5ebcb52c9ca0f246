"""Stress tests against slow twins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from risk.covariance import sample_covariance
from risk.measure import Undefined
from risk.portfolio_report import Holdings, shock_of, stress_of
from risk.stress import propagated, replayed
from tests.risk.markets import correlated, prices_of


def test_a_window_is_bought_and_held():
    prices = prices_of(correlated(1, 60, 3))
    weights = np.array([0.5, 0.7, -0.2])
    value = [100 * sum(w * prices[day, i] / prices[0, i] for i, w in enumerate(weights)) for day in range(61)]
    stressed = replayed(weights, prices)
    assert stressed.result == pytest.approx(value[-1] / 100 - 1)
    assert stressed.contributions.sum() == pytest.approx(stressed.result)
    assert stressed.worst_day == pytest.approx(min(b / a - 1 for a, b in pairwise(value)))
    assert stressed.max_drawdown == pytest.approx(min(value[j] / max(value[: j + 1]) - 1 for j in range(61)))


def test_a_short_holding_may_lose_everything():
    weights = np.array([1.5, -0.5])
    assert replayed(weights, np.array([[100.0, 100.0], [100.0, 200.0]])).result == pytest.approx(-0.5)
    with pytest.raises(Undefined, match="lost all"):
        replayed(weights, np.array([[100.0, 100.0], [100.0, 500.0]]))


def test_what_is_not_shocked_moves_by_its_regression():
    returns = correlated(2, 2000, 4)
    moved = propagated(sample_covariance(returns), np.array([-0.2, np.nan, np.nan, np.nan]))
    for asset in (1, 2, 3):
        slope = np.polyfit(returns[:, 0], returns[:, asset], 1)[0]
        assert moved[asset] == pytest.approx(-0.2 * slope)


def test_two_shocks_are_one_regression_on_both():
    returns = correlated(3, 2000, 3)
    moved = propagated(sample_covariance(returns), np.array([-0.1, 0.05, np.nan]))
    design = np.column_stack([np.ones(2000), returns[:, :2]])
    slopes = np.linalg.lstsq(design, returns[:, 2], rcond=None)[0]
    assert moved[2] == pytest.approx(slopes[1:] @ [-0.1, 0.05])
    assert list(moved[:2]) == [-0.1, 0.05]


def test_nothing_falls_below_zero():
    returns = correlated(4, 500, 2) * np.array([1.0, 5.0])
    assert propagated(sample_covariance(returns), np.array([-1.0, np.nan])).min() >= -1


def holdings(first: str, n_days: int) -> Holdings:
    days = np.arange(np.datetime64(first), np.datetime64(first) + n_days)
    return Holdings(("A", "B"), np.array([0.6, 0.4]), days, prices_of(correlated(5, n_days - 1, 2)), 100)


def test_a_window_begins_at_the_close_before_it():
    held = holdings("2008-08-01", 400)
    [crisis] = [it for it in stress_of(held) if it["reason"] is None]
    start, end = (int(np.flatnonzero(held.days == np.datetime64(day))[0]) for day in ("2008-08-31", "2009-03-31"))
    growth = held.prices[end] / held.prices[start] - 1
    assert crisis["name"].startswith("Financial crisis")
    assert crisis["return"] == pytest.approx(growth @ held.weights)


def test_a_window_without_prices_says_which_there_are():
    for window in stress_of(holdings("2023-01-01", 200)):
        assert window["return"] is None
        assert window["reason"] == "the holdings have common prices from 2023-01-01 to 2023-07-19 only"


def test_a_shock_of_something_not_held_reaches_what_is():
    held = holdings("2020-01-01", 300)
    index = held.all_returns.mean(axis=1, keepdims=True)
    told = shock_of(held, ("A", "B", "^IDX"), np.hstack([held.all_returns, index]), {"^IDX": -0.1})
    assert told["moves"]["A"] * 0.5 + told["moves"]["B"] * 0.5 == pytest.approx(-0.1)
    assert sum(told["contributions"].values()) == pytest.approx(told["return"])
