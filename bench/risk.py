"""Risk of one asset over 30 years of daily returns: our formulas against the same ones written with pandas.

``python -m bench.risk`` prints CPU time, the best of some runs, and stops with an error where the two disagree.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from scipy import special, stats

from risk.drawdown import worst_drawdown
from risk.measure import Measured
from risk.report import Series, Terms, measures_of, report

YEARS, YEAR = 30, 252
LEVELS = (0.95, 0.99)
RATE = 0.02
RESULTS = Path(__file__).parent / "results" / "risk.json"


def series() -> tuple[np.ndarray, np.ndarray]:
    """(7560,) returns of an asset and of its benchmark."""
    rng = np.random.default_rng(0)
    benchmark = 0.01 * rng.standard_t(4, YEARS * YEAR)
    return np.maximum(0.8 * benchmark + 0.008 * rng.standard_t(4, YEARS * YEAR), -0.5), benchmark


def with_pandas(values: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Every measure and the value at risk of four methods, as one would write them with pandas."""
    r, b = pd.Series(values), pd.Series(other)
    rate = (1 + RATE) ** (1 / YEAR) - 1
    excess = r - rate
    growth = (1 + r).cumprod()
    drawdown = growth / growth.cummax().clip(lower=1) - 1
    annual = growth.iloc[-1] ** (YEAR / len(r)) - 1
    below = np.sqrt((excess.clip(upper=0) ** 2).mean()) * np.sqrt(YEAR)
    beta = excess.cov(b - rate) / (b - rate).var()
    active = r - b

    def capture(chosen: pd.Series) -> float:
        mine, theirs = ((1 + each[chosen]).prod() ** (YEAR / chosen.sum()) - 1 for each in (r, b))
        return float(mine / theirs)

    high = drawdown.eq(0).cumsum()
    longest = drawdown.groupby(high).size().max()  # periods without a new high
    trough = drawdown.idxmin()
    peak = growth[: trough + 1].idxmax()
    assert peak <= trough < len(r)
    assert longest > 0
    measures = {
        "ewma_volatility": np.sqrt((r**2).ewm(alpha=0.06, adjust=False).mean().iloc[-1] * YEAR),
        "skew": r.skew(),
        "kurtosis": r.kurt(),
        "total_return": growth.iloc[-1] - 1,
        "annual_return": annual,
        "annual_volatility": r.std() * np.sqrt(YEAR),
        "downside_deviation": below,
        "sharpe": excess.mean() / excess.std() * np.sqrt(YEAR),
        "sortino": excess.mean() * YEAR / below,
        "calmar": annual / -drawdown.min(),
        "omega": excess.clip(lower=0).sum() / -excess.clip(upper=0).sum(),
        "tail_ratio": abs(r.quantile(0.95)) / abs(r.quantile(0.05)),
        "max_drawdown": drawdown.min(),
        "beta": beta,
        "alpha": (1 + (excess - beta * (b - rate)).mean()) ** YEAR - 1,
        "correlation": r.corr(b),
        "tracking_error": active.std() * np.sqrt(YEAR),
        "information_ratio": active.mean() / active.std() * np.sqrt(YEAR),
        "up_capture": capture(b > 0),
        "down_capture": capture(b < 0),
    }
    return {name: float(value) for name, value in measures.items()}


def backtests_with_pandas(values: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Value at risk, shortfall and rolling backtests of the five methods without GARCH, at both levels."""
    r = pd.Series(values)
    window = r.rolling(1000)
    mean, spread = window.mean().shift(1), window.std().shift(1)
    skew, kurt = window.skew().shift(1), window.kurt().shift(1)
    ewma = pd.Series(np.sqrt((r**2).ewm(alpha=0.06, adjust=False).mean())).shift(1)
    residuals = r / ewma
    found: dict[str, tuple[float, ...]] = {}
    for level in LEVELS:
        z = stats.norm.ppf(1 - level)
        corrected = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurt / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
        limits = {
            "historical": window.quantile(1 - level).shift(1),
            "gaussian": mean + z * spread,
            "gaussian_ewma": z * ewma,
            "cornish_fisher": mean + corrected * spread,
            "filtered_historical": residuals.rolling(1000).quantile(1 - level).shift(1) * ewma,
        }
        for name, limit in limits.items():
            edge = r.tail(1000).quantile(1 - level)
            hits = (r < limit)[limit.notna()]
            found[f"{name} {level}"] = (-edge, -r[r <= edge].mean(), *_tests(hits, level))
    return found


def _tests(hits: pd.Series, level: float) -> tuple[float, float]:
    """p-values of Kupiec and Christoffersen."""
    table = pd.crosstab(hits.shift(1).iloc[1:].astype(bool), hits.iloc[1:]).to_numpy()

    def likelihood(no: float, yes: float, share: float) -> float:
        return special.xlogy(no, 1 - share) + special.xlogy(yes, share)

    count, days = hits.sum(), len(hits)
    kupiec = 2 * (likelihood(days - count, count, count / days) - likelihood(days - count, count, 1 - level))
    rows = sum(likelihood(no, yes, yes / (no + yes)) for no, yes in table)
    no, yes = table.sum(axis=0)
    return stats.chi2.sf(kupiec, 1), stats.chi2.sf(2 * (rows - likelihood(no, yes, yes / (no + yes))), 1)


def all_measures(asked: Series, terms: Terms) -> Measured:
    """With the places of the drawdowns, which the version with pandas finds too."""
    return measures_of(asked, terms, cache(partial(worst_drawdown, asked.returns)))


def cpu_seconds(*works: Callable[[], object], runs: int = 40) -> list[float]:
    """The best of some runs of each, made in turn, so that all meet the same machine."""
    return [min(times) for times in zip(*([_taken(work) for work in works] for _ in range(runs)), strict=True)]


def _taken(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    values, benchmark = series()
    asked = Series(values, len(values), (values, benchmark), "GARCH is measured apart")
    terms = Terms(LEVELS, 1, YEAR, RATE)
    ours = all_measures(asked, terms).values
    for name, expected in with_pandas(values, benchmark).items():
        unbiased = name in ("skew", "kurtosis")  # pandas corrects for the sample's size, we do not
        seeded = name == "ewma_volatility"
        np.testing.assert_allclose(
            np.float64(ours[name] or 0.0), expected, rtol=0.05 if unbiased or seeded else 1e-8, err_msg=name
        )
    rows = {
        "measures": (lambda: all_measures(asked, terms), lambda: with_pandas(values, benchmark)),
        "measures, value at risk and backtests": (
            lambda: report(asked, terms),
            lambda: (with_pandas(values, benchmark), backtests_with_pandas(values)),
        ),
    }
    results = {}
    for name, (mine, theirs) in rows.items():
        a, b = cpu_seconds(mine, theirs)
        results[name] = {"ours_ms": round(1000 * a, 2), "pandas_ms": round(1000 * b, 2), "times": round(b / a, 1)}
        print(f"{name}: {1000 * a:.1f} ms, with pandas {1000 * b:.1f} ms, {b / a:.1f} times")  # noqa: T201
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
