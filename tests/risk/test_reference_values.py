"""Numbers from elsewhere, each with its source: our formulas must give them.

Most are from the tests of empyrical-reloaded 0.7.1 (Apache-2.0, tests/test_stats.py), whose first value, a NaN that it
drops, is left out. Where it answers NaN we refuse with a reason.
"""

from __future__ import annotations

import numpy as np
import pytest
from arch.data import sp500

from backtest.dynamics import next_variances
from backtest.garch import fit_garch
from risk import benchmark, ratios
from risk.benchmark import beta, down_capture, information_ratio, up_capture
from risk.drawdown import max_drawdown
from risk.measure import Undefined
from risk.ratios import downside_deviation, omega, sharpe, tail_ratio
from risk.returns import annual_return, total_return
from risk.tail import empirical, gaussian
from risk.var_backtest import kupiec, traffic_light
from risk.volatility import annual_volatility

EMPTY = np.array([])
MIXED = np.array([0.01, 0.1, -0.04, 0.02, 0.03, 0.02, 0.01, -0.1])
MONTHLY = np.array([0.0, 0.01, 0.1, -0.04, 0.02, 0.03, 0.02, 0.01, -0.1])
NEGATIVE = np.array([0.0, -0.06, -0.07, -0.01, -0.09, -0.02, -0.06, -0.08, -0.05])
ALL_NEGATIVE = np.array([-0.02, -0.06, -0.07, -0.01, -0.09, -0.02, -0.06, -0.08, -0.05])
POSITIVE = np.array([0.01, 0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01])
SIMPLE = np.array([0.0, 0.01, 0.0, 0.01, 0.0, 0.01, 0.0, 0.01, 0.0])
ONE = np.array([-0.00171614, 0.01322056, 0.03063862, -0.01422057, -0.00489779, 0.01268925, -0.03357711, 0.01797036])
TWO = np.array([0.01846232, 0.00793951, -0.01448395, 0.00422537, -0.00339611, 0.03756813, 0.0151531, 0.03549769])


def calmar(returns: np.ndarray, year: float) -> float:
    return ratios.calmar(annual_return(returns, year), max_drawdown(returns))


def sortino(returns: np.ndarray, rate: float | np.ndarray, year: float) -> float:
    return ratios.sortino(returns, downside_deviation(returns, rate, year), rate, year)


def alpha(returns: np.ndarray, other: np.ndarray, rate: float, year: float) -> float:
    return benchmark.alpha(returns, other, beta(returns, other, rate), rate, year)


EMPYRICAL = {
    "total return, mixed": (lambda: total_return(MIXED), 0.03893, 1e-4),
    "total return, negative": (lambda: total_return(NEGATIVE), -0.3659, 1e-4),
    "max drawdown, rising only": (lambda: max_drawdown(SIMPLE), 0.0, 1e-8),
    "max drawdown, falling only": (lambda: max_drawdown(ALL_NEGATIVE), -0.378589157, 1e-8),
    "annual return, daily": (lambda: annual_return(MONTHLY, 252), 1.9135925373194231, 1e-8),
    "annual return, monthly": (lambda: annual_return(MONTHLY, 12), 0.052242061386048144, 1e-8),
    "annual volatility, daily": (lambda: annual_volatility(MIXED, 252), 0.9136465399704637, 1e-8),
    "annual volatility, monthly": (lambda: annual_volatility(MONTHLY, 12), 0.18663690238892558, 1e-8),
    "Calmar, daily": (lambda: calmar(MONTHLY, 252), 19.135925373194233, 1e-8),
    "Calmar, monthly": (lambda: calmar(MONTHLY, 12), 0.5224206138604814, 1e-8),
    "omega, required 10 a year": (lambda: omega(MIXED, 11 ** (1 / 252) - 1), 0.8335426349755793, 1e-8),
    "omega, rate 0.01": (lambda: omega(MIXED, 0.01), 0.8125, 1e-8),
    "omega, rate 0.011": (lambda: omega(POSITIVE, 0.011), 1.125, 1e-8),
    "omega, no gains": (lambda: omega(NEGATIVE, 0.01), 0.0, 1e-8),
    "Sharpe, against a series": (lambda: sharpe(MIXED, SIMPLE[1:], 252), 0.34111411441060574, 1e-8),
    "Sharpe, negative": (lambda: sharpe(NEGATIVE, 0.0, 252), -24.406808633910085, 1e-8),
    "downside, none": (lambda: downside_deviation(MIXED, MIXED, 252), 0.0, 1e-8),
    "downside, required 0.1 daily": (lambda: downside_deviation(MIXED, 0.1, 252), 1.7161730681956295, 1e-8),
    "downside, required 0.1 weekly": (lambda: downside_deviation(MONTHLY, 0.1, 52), 0.7733045971672482, 1e-8),
    "downside, required 0.1 monthly": (lambda: downside_deviation(MONTHLY, 0.1, 12), 0.3714835124201342, 1e-8),
    "downside, daily": (lambda: downside_deviation(TWO, 0.0, 252), 0.08349568059570447, 1e-8),
    "downside, weekly": (lambda: downside_deviation(TWO, 0.0, 52), 0.037928477556776516, 1e-8),
    "downside, monthly": (lambda: downside_deviation(TWO, 0.0, 12), 0.018220251263412916, 1e-8),
    "Sortino, required 0.01": (lambda: sortino(MIXED, 0.01, 252), -1.3934779588919977, 1e-8),
    "Sortino, negative": (lambda: sortino(NEGATIVE, 0.0, 252), -13.5327430750434, 1e-8),
    "Sortino, weekly": (lambda: sortino(MONTHLY, 0.0, 52), 1.115890105686644, 1e-8),
    "Sortino, one daily": (lambda: sortino(ONE, 0.0, 252), 3.0639640966566306, 1e-8),
    "Sortino, one weekly": (lambda: sortino(ONE, 0.0, 52), 1.391826411207057, 1e-8),
    "information, not annualised": (lambda: information_ratio(MONTHLY[1:], np.zeros(8), 1), 0.10859306069076737, 1e-8),
    "Sortino, one monthly": (lambda: sortino(ONE, 0.0, 12), 0.6686117809312383, 1e-8),
    "tail ratio": (lambda: tail_ratio(MIXED), 0.9473684210526313, 0.05),
    "alpha against itself": (lambda: alpha(MIXED, MIXED, 0.0, 252), 0.0, 1e-8),
    "beta against itself": (lambda: beta(MIXED, MIXED), 1.0, 1e-8),
    "up capture of itself": (lambda: up_capture(MIXED, MIXED, 252), 1.0, 1e-8),
    "down capture of itself": (lambda: down_capture(MIXED, MIXED, 252), 1.0, 1e-8),
    "down capture, gains": (lambda: down_capture(POSITIVE[1:], MIXED, 252), -11.27400221, 1e-7),
    "up capture, losses": (lambda: up_capture(ALL_NEGATIVE[1:], MIXED, 252), -0.0004336328, 1e-8),
    "quantile at the end": (lambda: -empirical(np.array([1.0, 2.0]), 1.0).value_at_risk, 1.0, 1e-9),
    "quantile at the start": (lambda: -empirical(np.array([1.0, 2.0]), 0.0).value_at_risk, 2.0, 1e-9),
    "quantile between": (lambda: -empirical(np.array([1.0, 81, 82, 83, 84, 85]), 0.8).value_at_risk, 81.0, 1e-9),
}


@pytest.mark.parametrize("case", EMPYRICAL)
def test_what_empyrical_expects(case: str):
    measure, expected, tolerance = EMPYRICAL[case]
    assert measure() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(
    "measure",
    [
        lambda: total_return(EMPTY),
        lambda: max_drawdown(EMPTY),
        lambda: calmar(EMPTY, 252),
        lambda: omega(EMPTY, 0.0),
        lambda: sharpe(EMPTY, 0.0, 252),
        lambda: sharpe(MIXED, MIXED, 252),
        lambda: downside_deviation(EMPTY, 0.0, 252),
        lambda: sortino(EMPTY, 0.0, 252),
        lambda: sortino(MIXED, MIXED, 252),
        lambda: alpha(EMPTY, EMPTY, 0.0, 252),
        lambda: beta(EMPTY, EMPTY),
        lambda: tail_ratio(EMPTY),
        lambda: up_capture(EMPTY, EMPTY, 252),
    ],
)
def test_where_empyrical_answers_nan_we_say_why_there_is_nothing(measure):
    with pytest.raises(Undefined, match=r"needs at least|never|do not vary|fell short"):
        measure()


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [
        (0.0008894430058729841, 0.013384188710614937, -0.03024683594683332),  # 1999-03-15
        (-0.0003989923250088016, 0.013872065421303183, -0.03267024222641808),  # 2001-12-26
        (-0.0008196511305530608, 0.01406452202722628, -0.033538622047991),  # 2008-09-26
        (-0.0017075372975902748, 0.024165512851644377, -0.0579249267451271),  # 2008-12-08
        (0.00010974667578491586, 0.009610833000517545, -0.022248394242731305),  # 2015-11-19
        (5.750082987056472e-05, 0.010973731079972323, -0.025471215138323004),  # 2020-03-09
        (0.0017956718688807544, 0.013197646574064035, -0.02890664518103501),  # 2021-03-31
    ],
)
def test_gaussian_value_at_risk_of_lean(mean: float, spread: float, expected: float):
    """SPY at 99 % in QuantConnect/Lean, Tests/TestData/spy_valueatrisk.csv (Apache-2.0), where it is a return; mean and
    standard deviation (n - 1) are of the 252 returns before each row."""
    assert gaussian(mean, spread, 0.99).value_at_risk == pytest.approx(-expected, rel=1e-12)


def test_garch_with_student_t_on_the_sp500():
    """Simple returns from 1999-01-05 to 2018-12-31, which come with arch; fitted by arch 8.0.0 in percent: parameters
    to 0.005, volatilities to 1 %."""
    closes = sp500.load()["Adj Close"].to_numpy()
    returns = closes[1:] / closes[:-1] - 1
    fit = fit_garch(returns, asymmetric=False)
    fitted = fit.dynamics
    assert [100 * fitted.mean, 1e4 * fitted.omega, fitted.alpha, fitted.beta] == pytest.approx(
        [0.066128, 0.008664, 0.099595, 0.899933], abs=0.005
    )
    assert fit.degrees_of_freedom == pytest.approx(6.607163, rel=0.01)
    variances = [float(next_variances(returns, fitted)[-1])]
    for _ in range(4):
        variances.append(fitted.omega + fitted.persistence * variances[-1])
    assert 100 * next_variances(returns, fitted)[-2] ** 0.5 == pytest.approx(2.03771, rel=0.01)
    assert 1e4 * np.array(variances) == pytest.approx([3.8065, 3.813366, 3.82023, 3.82709, 3.833947], rel=0.01)


@pytest.mark.parametrize(
    ("share", "days", "statistics", "first", "last"),
    [
        (0.01, 255, {0: 5.125671, 1: 1.237311, 6: 3.415358, 8: 7.512084}, 1, 6),
        (0.05, 255, {0: 26.15958, 7: 3.240718, 20: 3.727214, 22: 5.860274}, 7, 20),
        (0.05, 510, {0: 52.31916, 17: 3.362445, 35: 3.354377, 37: 4.820868}, 17, 35),
        (0.025, 1000, {0: 50.635616, 16: 3.801635, 35: 3.655973, 37: 5.159416}, 16, 35),
    ],
)
def test_the_regions_that_kupiec_does_not_reject(
    share: float, days: int, statistics: dict[int, float], first: int, last: int
):
    """Kupiec (1995), as reprinted by Jorion, Value at Risk; the statistics were recomputed for this table."""
    for count, expected in statistics.items():
        assert kupiec(count, days, 1 - share).statistic == pytest.approx(expected, abs=1e-6)
    accepted = [count for count in range(days // 4) if kupiec(count, days, 1 - share).passes]
    assert (accepted[0], accepted[-1]) == (first, last)


@pytest.mark.parametrize(
    ("count", "zone", "multiplier"),
    [
        (0, "green", 3.0),
        (4, "green", 3.0),
        (5, "yellow", 3.4),
        (6, "yellow", 3.5),
        (7, "yellow", 3.65),
        (8, "yellow", 3.75),
        (9, "yellow", 3.85),
        (10, "red", 4.0),
        (25, "red", 4.0),
    ],
)
def test_the_zones_of_basel(count: int, zone: str, multiplier: float):
    """Basel Committee (1996), Supervisory framework for the use of backtesting, table 2."""
    light = traffic_light(np.arange(250) < count, 0.99)
    assert (light.zone, light.multiplier) == (zone, multiplier)
