"""One-day value at risk on the S&P 500, 1999 to 2018, after the first 1,000 days: who holds what it says.

The p-values are those of docs/risk.md, to two digits.
"""

from __future__ import annotations

import numpy as np
import pytest

from risk.gjr import fitted, refit_places
from risk.methods import methods_for
from risk.var_backtest import Backtest, backtest
from tests.risk.series import SP500

pytestmark = pytest.mark.statistical
FIRST = 1000
LEVELS = (0.95, 0.99)


@pytest.fixture(scope="module")
def tested() -> dict[tuple[str, float], Backtest]:
    days = len(SP500) - FIRST
    methods = methods_for(SP500, len(SP500), fitted(SP500, refit_places(len(SP500), days)))
    found = {}
    for method in methods:
        for level in LEVELS:
            losses = method.path(level).losses[-days:]
            losses = np.concatenate([np.full(days - len(losses), np.nan), losses])
            said = np.isfinite(losses)
            found[method.name, level] = backtest(SP500[FIRST:][said], losses[said], level)
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_filtered_by_gjr_garch_it_passes_both_tests(tested: dict[tuple[str, float], Backtest], level: float):
    found = tested["gjr_filtered", level]
    assert found.days == 4030
    assert found.kupiec.p_value >= 0.05
    assert found.independence.p_value >= 0.05
    assert found.passes


@pytest.mark.parametrize(
    ("method", "level", "count", "coverage", "alone"),
    [
        ("historical", 0.95, 201, 0.97, 6.2e-6),
        ("historical", 0.99, 59, 0.0056, 0.0017),
        ("gaussian", 0.95, 193, 0.54, 4.4e-6),
        ("gaussian", 0.99, 92, 2.4e-12, 8.2e-7),
        ("gaussian_ewma", 0.95, 224, 0.11, 0.87),
        ("gaussian_ewma", 0.99, 85, 7.2e-10, 0.40),
        ("cornish_fisher", 0.95, 207, 0.69, 1.9e-6),
        ("cornish_fisher", 0.99, 44, 0.56, 0.51),
        ("filtered_historical", 0.95, 201, 0.97, 0.76),
        ("filtered_historical", 0.99, 54, 0.036, 0.041),
        ("gjr_filtered", 0.95, 190, 0.40, 0.73),
        ("gjr_filtered", 0.99, 49, 0.18, 0.15),
    ],
)
def test_every_method_does_as_the_documentation_says(
    tested: dict[tuple[str, float], Backtest], method: str, level: float, count: int, coverage: float, alone: float
):
    found = tested[method, level]
    slack = 2 if method == "gjr_filtered" else 0  # an optimiser may end a little elsewhere on another machine
    assert len(found.at) == pytest.approx(count, abs=slack)
    if not slack:
        assert found.kupiec.p_value == pytest.approx(coverage, rel=0.05)
        assert found.independence.p_value == pytest.approx(alone, rel=0.05)
    assert found.passes == (coverage >= 0.05 and alone >= 0.05)
