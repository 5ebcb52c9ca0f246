"""The numbers of many answers at once are, to the last digit, those of each on its own, written down plainly."""

from __future__ import annotations

import numpy as np
import pytest

from contracts import AssetClass, ForecastRequest, Instrument, kind_of
from ensemble.distribution import distribution, each_alone
from ensemble.surface import at_level
from features.build import latest_inputs
from features.spec import BARS_NEEDED
from figures import SHOWN_LEVELS, Subject, figures_of, tail_level
from tests.ensemble.model_sets import GRID, NAMES, gaussian, made_up_set
from tests.features.series import wandering_bars

SET = made_up_set()
MIDDLE = GRID.levels.index(0.5)


def subject(seed: int, asset_class: AssetClass = AssetClass.EQUITY, names: tuple[str, ...] = NAMES) -> Subject:
    bars = wandering_bars(BARS_NEEDED + 10, seed=seed)
    matrix, kind = latest_inputs([bars]), kind_of(asset_class, bars.has_ranges)
    members = {name: gaussian(0.01 * (i + seed), 1 + 0.1 * i) for i, name in enumerate(names)}
    own = each_alone(SET, kind, members, matrix)
    spread = distribution(SET, kind, members, matrix)
    return Subject(bars, Instrument(f"S{seed}", asset_class, "weekdays", "USD"), kind, spread, own)


ASKED = [
    (ForecastRequest("S0", 1), subject(0)),
    (ForecastRequest("S1", 20, confidence_level=0.5), subject(1, AssetClass.CRYPTO)),
    (ForecastRequest("S2", 5), subject(2)),
    (ForecastRequest("S3", 7, confidence_level=0.5), subject(3, names=NAMES[:1])),
    (ForecastRequest("S2", 9), subject(2)),
]


def test_they_are_those_of_each_alone() -> None:
    alone = [figures_of([each], SET)[0] for each in ASKED]
    assert figures_of(ASKED, SET) == alone


@pytest.mark.parametrize("at", range(len(ASKED)))
def test_they_are_quantiles_and_medians_as_prices(at: int) -> None:
    request, about = ASKED[at]
    figures, step = figures_of(ASKED, SET)[at], request.horizon - 1
    price, surface = about.bars.close[-1], about.spread.surfaces[0]
    assert figures.price == price
    assert figures.probability_up == about.spread.probability_up[0, step]
    for shown, level in zip(figures.quantiles, SHOWN_LEVELS, strict=True):
        assert shown == price * np.exp(at_level(surface[step], GRID.levels, level))
    tail = tail_level(request.confidence_level)
    for row, shown_row in zip(surface[: request.horizon], zip(*figures.path, strict=True), strict=True):
        twin = [price * np.exp(at_level(row, GRID.levels, level)) for level in (tail, 0.5, 1 - tail)]
        assert list(shown_row) == twin
    assert figures.targets == [price * np.exp(own[0, step, MIDDLE]) for own in about.own.values()]


@pytest.mark.parametrize("at", range(len(ASKED)))
def test_agreement_and_regime_are_what_they_are_defined_as(at: int) -> None:
    request, about = ASKED[at]
    figures = figures_of(ASKED, SET)[at]
    own = np.array([each[0, request.horizon - 1] for each in about.own.values()])
    mean = own.mean(axis=0)
    width = mean[GRID.levels.index(0.75)] - mean[GRID.levels.index(0.25)]
    distance = np.mean([np.abs(each - mean).mean() for each in own])
    agreement = None if len(own) == 1 else float(np.clip(1 - distance / max(width, 1e-12), 0, 1))
    assert figures.agreement == agreement
    reference = SET.calibration[about.kind].regime
    rank = np.interp(about.spread.regime[0], reference, np.linspace(0, 1, len(reference)), left=0, right=1)
    assert figures.regime == 2 * min(rank, 1 - rank)
