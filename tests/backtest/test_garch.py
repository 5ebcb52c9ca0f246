"""GARCH, GJR and filtered historical simulation: arch as judge, and nothing seen that came later."""

from __future__ import annotations

import numpy as np
import pytest
from arch.univariate import GARCH, ConstantMean, StudentsT
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import t as student

from backtest import garch
from backtest.dynamics import next_variances
from backtest.garch import GARCH_NAMES, FitFailed, fit_garch, garch_references
from tests.features.series import closes_from, returns_like_prices

RETURNS = returns_like_prices(1150, seed=4)
CLOSES = closes_from(RETURNS)
HORIZONS = np.array([1, 5, 20])
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
ROWS = np.array([520, 700, 760, 1010])


def references(closes, rows=ROWS, horizons=HORIZONS, seed=0):
    return garch_references(closes, rows, horizons, LEVELS, np.random.default_rng(seed))


def arch_result(asymmetric, count=1000):
    """The same model fitted by arch itself, in percent as its documentation advises."""
    model = ConstantMean(
        100 * np.diff(np.log(CLOSES))[:count],
        rescale=False,
        volatility=GARCH(1, int(asymmetric), 1),
        distribution=StudentsT(),
    )
    return model.fit(disp="off")


@pytest.mark.parametrize("asymmetric", [False, True])
def test_parameters_and_filter_are_those_of_arch(asymmetric):
    theirs, ours = arch_result(asymmetric), fit_garch(np.diff(np.log(CLOSES))[:1000], asymmetric)
    assert ours.dynamics.mean == pytest.approx(theirs.params["mu"] / 100, abs=2e-5)
    assert ours.dynamics.beta == pytest.approx(theirs.params["beta[1]"], abs=0.01)
    assert ours.degrees_of_freedom == pytest.approx(theirs.params["nu"], rel=0.02)
    filtered = np.sqrt(next_variances(np.diff(np.log(CLOSES))[:1000], ours.dynamics))
    assert_allclose(filtered[100:-1], theirs.conditional_volatility[100:] / 100, rtol=0.01)


@pytest.mark.statistical
@pytest.mark.parametrize(("name", "asymmetric"), [("garch", False), ("gjr", True)])
def test_quantiles_equal_the_simulation_of_arch_within_their_errors(name, asymmetric):
    paths = 40_000
    forecast = arch_result(asymmetric).forecast(
        horizon=20, method="simulation", simulations=paths, reindex=False, random_state=np.random.RandomState(1)
    )
    simulated = np.cumsum(forecast.simulations.values[0], axis=1)[:, HORIZONS - 1] / 100
    theirs = np.quantile(simulated, LEVELS, axis=0).T
    ours = references(CLOSES, np.array([1000])).quantiles[name][0]
    for j in range(len(HORIZONS)):
        spread = simulated[:, j].std()
        # standard error of a quantile: sqrt(p (1 - p) / n) / density, the density by the normal curve
        density = np.exp(-0.5 * student.ppf(LEVELS, 50) ** 2) / np.sqrt(2 * np.pi) / spread
        errors = np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) * (1 / paths + 1 / garch.PATHS)) / density
        assert (np.abs(ours[j] - theirs[j]) < 4 * errors).all()


@pytest.mark.parametrize(("name", "asymmetric"), [("garch", False), ("gjr", True)])
def test_one_bar_ahead_is_the_quantile_of_the_t_distribution(name, asymmetric):
    known = np.diff(np.log(CLOSES))[:750]
    fit = fit_garch(known, asymmetric)
    sigma = np.sqrt(next_variances(np.diff(np.log(CLOSES))[:760], fit.dynamics)[760])
    degrees = fit.degrees_of_freedom
    exact = fit.dynamics.mean + sigma * np.sqrt((degrees - 2) / degrees) * student.ppf(LEVELS, degrees)
    ours = references(CLOSES, np.array([760])).quantiles[name][0, 0]
    assert_allclose(ours / sigma, exact / sigma, atol=0.08)


def test_filtered_historical_simulation_draws_what_came_before():
    """One bar ahead: the symbol's own standardised residuals times today's volatility."""
    returns = np.diff(np.log(CLOSES))
    dynamics = fit_garch(returns[:750], asymmetric=False).dynamics
    variances = next_variances(returns[:760], dynamics)
    residuals = (returns[:750] - dynamics.mean) / np.sqrt(variances[:750])
    expected = dynamics.mean + np.sqrt(variances[760]) * np.quantile(residuals, LEVELS)
    ours = references(CLOSES, np.array([760])).quantiles["fhs"][0, 0]
    assert_allclose(ours / np.sqrt(variances[760]), expected / np.sqrt(variances[760]), atol=0.08)


def assert_no_look_ahead():
    for row in ROWS:
        changed = CLOSES.copy()
        changed[row + 1 :] *= np.exp(np.cumsum(0.05 * np.random.default_rng(1).standard_normal(len(CLOSES) - row - 1)))
        ours, theirs = (references(closes, np.array([row])).quantiles for closes in (CLOSES, changed))
        for name in GARCH_NAMES:
            assert_array_equal(ours[name], theirs[name])


def test_the_future_changes_nothing():
    assert_no_look_ahead()


def test_parameters_fitted_on_the_future_are_caught(monkeypatch):
    class Late(int):
        """A block that ends 60 bars before its fit does."""

        def __mul__(self, bars):
            return int(self) * bars + 60

    monkeypatch.setattr(garch, "int", Late, raising=False)
    with pytest.raises(AssertionError):
        assert_no_look_ahead()


def test_returns_older_than_the_window_are_not_fitted(monkeypatch):
    monkeypatch.setattr(garch, "LONGEST_FIT", 600)
    changed = CLOSES.copy()
    changed[:100] = 50 * np.exp(0.2 * np.random.default_rng(2).standard_normal(100))
    for row, same in ((760, True), (520, False)):
        ours, theirs = (references(closes, np.array([row])).quantiles["gjr"] for closes in (CLOSES, changed))
        assert np.array_equal(ours, theirs) == same


def test_the_last_bar_is_seen():
    changed = CLOSES.copy()
    changed[760] *= 1.2
    ours, theirs = (references(closes, np.array([760])).quantiles for closes in (CLOSES, changed))
    for name in GARCH_NAMES:
        assert (ours[name][..., -1] < theirs[name][..., -1]).all()


def test_a_row_does_not_depend_on_the_others():
    together, alone = references(CLOSES), references(CLOSES, ROWS[2:3])
    for name in GARCH_NAMES:
        assert together.quantiles[name].shape == (4, 3, 7)
        assert_array_equal(together.quantiles[name][2], alone.quantiles[name][0])


def test_quantiles_are_in_order_and_in_the_unit_of_the_returns():
    found = references(CLOSES).quantiles
    for name in GARCH_NAMES:
        assert (np.diff(found[name], axis=-1) > 0).all()
        assert_allclose(references(CLOSES * 7).quantiles[name], found[name], atol=1e-5)


def test_before_the_first_fit_there_is_no_reference():
    found = references(CLOSES, np.array([499, 500]))
    assert found.problems == ()
    for name in GARCH_NAMES:
        assert np.isnan(found.quantiles[name][0]).all()
        assert np.isfinite(found.quantiles[name][1]).all()


def test_a_failed_fit_is_reported_and_the_one_before_goes_on(monkeypatch):
    honest = garch.fit_garch

    def failing(returns, asymmetric):
        if len(returns) == 750:
            raise FitFailed("the optimiser stopped with code 8")
        return honest(returns, asymmetric)

    monkeypatch.setattr(garch, "fit_garch", failing)
    found = references(CLOSES)
    assert found.problems == (
        "GARCH at bar 750: the optimiser stopped with code 8; the fit of the year before is used",
        "GJR at bar 750: the optimiser stopped with code 8; the fit of the year before is used",
    )
    assert all(np.isfinite(each).all() for each in found.quantiles.values())


def test_a_failed_first_fit_leaves_its_year_out(monkeypatch):
    honest = garch.fit_garch

    def failing(returns, asymmetric):
        if asymmetric and len(returns) == 500:
            raise FitFailed("a parameter is not finite")
        return honest(returns, asymmetric)

    monkeypatch.setattr(garch, "fit_garch", failing)
    found = references(CLOSES)
    assert found.problems == ("GJR at bar 500: a parameter is not finite; that year is left out",)
    assert np.isnan(found.quantiles["gjr"]).all(axis=(1, 2)).tolist() == [True, True, False, False]
    assert np.isfinite(found.quantiles["garch"]).all()


def test_the_optimiser_gets_a_second_start_and_then_gives_up(monkeypatch):
    starts = []

    def never(model, **options):
        starts.append(options["starting_values"])
        params = np.array([0.0, 0.1, 0.1, 0.8, 5.0])
        return type("Result", (), {"params": params, "convergence_flag": 9})()

    monkeypatch.setattr(ConstantMean, "fit", never)
    with pytest.raises(FitFailed, match="code 9"):
        fit_garch(RETURNS[:600], asymmetric=False)
    assert starts[0] is None
    assert_array_equal(starts[1], garch.SECOND_START[False])


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([0.0, np.nan, 0.1, 0.8, 5.0], "not finite"),
        ([0.0, 0.0, 0.1, 0.8, 5.0], "not positive"),
        ([0.0, 0.1, 0.1, 0.8, 2.0], "not finite"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(values, problem):
    assert problem in garch._objection(np.array(values), 0, [])
    assert garch._objection(np.array([0.0, 0.1, 0.1, 0.8, 5.0]), 0, ["overflow on the way"]) == ""


def test_a_price_that_never_moved_has_no_fit():
    with pytest.raises(FitFailed, match="never moved"):
        fit_garch(np.zeros(600), asymmetric=False)
    assert np.isnan(references(np.full(1150, 9.0)).quantiles["garch"]).all()


@pytest.mark.statistical
def test_known_parameters_are_found_again():
    rng = np.random.default_rng(5)
    variance, path = 1e-4, []
    for draw in rng.standard_t(6, 6000) * np.sqrt(4 / 6):
        path.append(0.0005 + np.sqrt(variance) * draw)
        shock = path[-1] - 0.0005
        variance = 2e-6 + (0.03 + 0.1 * (shock < 0)) * shock**2 + 0.9 * variance
    found = fit_garch(np.array(path), asymmetric=True)
    assert found.dynamics.beta == pytest.approx(0.9, abs=0.03)
    assert found.dynamics.alpha == pytest.approx(0.03, abs=0.02)
    assert found.dynamics.gamma == pytest.approx(0.1, abs=0.04)
    assert found.degrees_of_freedom == pytest.approx(6, abs=1.2)
