"""Why a forecast is what it is: the tree member's exact contributions, and where the Transformer looked.

Asked for one forecast at a time, of the runners that made it. What cannot be had is left out with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from contracts import (
    AttentionExplanation,
    AttentionLayer,
    Bars,
    Effect,
    Explainer,
    Explanation,
    FeatureEffect,
    Floats,
    Floats32,
    ForecastRequest,
    Grid,
    MemberSpec,
    ModelSet,
    Patch,
    TreeExplanation,
)
from ensemble.attribution import LOWER, MIDDLE, UPPER, effects, horizons_to_ask, parts_of
from errors import DeepFinanceError
from features.build import latest_inputs
from features.spec import FEATURE_NAMES, WINDOW_STEPS
from figures import Subject

HORIZON = "horizon"
EXACT = "exact contributions of every input to this member's quantiles (TreeSHAP)"
NOT_CALIBRATED = "; it has no weight in this forecast, so what is explained is its answer before calibration"
ATTENTION = (
    "softmax weights of the network itself, averaged over heads; one forward pass answers all horizons. They tell "
    "which bars were read, not by how much each moved the forecast"
)


async def explanation_of(
    request: ForecastRequest, subject: Subject, model_set: ModelSet, explainers: Mapping[str, Explainer]
) -> Explanation:
    """Contributions and attention for one forecast, or why there are none."""
    tree, attention, missing = None, None, {}
    for kind, title in (("xgboost", "tree"), ("onnx", "attention")):
        try:
            spec = _member(kind, request, subject, model_set, explainers)
            if kind == "xgboost":
                tree = await _tree(spec, request, subject, model_set.grid, explainers[spec.name])
            else:
                attention = await _attention(spec, subject, explainers[spec.name])
        except (_NotExplained, DeepFinanceError) as error:
            missing[title] = str(error)
    return Explanation(tree, attention, missing)


class _NotExplained(Exception):
    """Why, in words for the caller."""


def _member(
    kind: str, request: ForecastRequest, subject: Subject, model_set: ModelSet, explainers: Mapping[str, Explainer]
) -> MemberSpec:
    """Of the members of a kind that can be explained, the first that answered; where the caller named no members, one
    without weight will do, and its weight is shown."""
    known = [spec for spec in model_set.members if spec.kind == kind and spec.name in explainers]
    spread = subject.spread
    for spec in known:
        if spec.name in spread.members:
            return spec
    for spec in known:
        if spec.name in spread.failures:
            raise _NotExplained(f"{spec.name} did not answer: {spread.failures[spec.name].reason}")
    if known and request.models is None:
        return known[0]
    raise _NotExplained("no member of this forecast can be explained in this way")


async def _tree(
    spec: MemberSpec, request: ForecastRequest, subject: Subject, grid: Grid, explain: Explainer
) -> TreeExplanation:
    matrix = latest_inputs([subject.bars])
    asked, shares = horizons_to_ask(request.horizon, grid)
    raw = parts_of(await explain(_with_horizons(matrix.tabular, asked)), shares, grid)
    unit = float(matrix.sigma[0]) * float(np.sqrt(request.horizon))
    own = subject.own.get(spec.name)
    calibration = (
        np.zeros((0, 3)) if own is None else _calibration(own[subject.row, request.horizon - 1], raw, unit, grid)
    )
    parts = effects(np.concatenate([raw, calibration]), float(subject.bars.close[-1]), unit)
    features, base = parts[: len(FEATURE_NAMES) + 1], parts[len(FEATURE_NAMES) + 1]
    values = [*map(float, matrix.tabular[0]), float(request.horizon)]
    named = zip([*FEATURE_NAMES, HORIZON], values, features, strict=True)
    return TreeExplanation(
        model=spec.name,
        weight=_weight(spec.name, request, subject, grid),
        base=base,
        features=tuple(sorted((FeatureEffect(*each) for each in named), key=_size, reverse=True)),
        calibration=parts[-1] if len(calibration) else None,
        total=_sum(parts),
        method=EXACT + _between(asked) + ("" if len(calibration) else NOT_CALIBRATED),
    )


def _with_horizons(tabular: Floats32, horizons: list[int]) -> Floats32:
    """(1, n_features) -> (n_horizons, n_features + 1), as the tree takes it."""
    column = np.log(np.asarray(horizons, np.float64)).astype(np.float32)[:, None]
    return np.concatenate([np.repeat(tabular, len(horizons), axis=0), column], axis=1)


def _calibration(own: Floats, raw: Floats, unit: float, grid: Grid) -> Floats:
    """(1, 3): what calibration adds to the tree's own quantiles until they are those that its answer shows."""
    shown = own[[grid.levels.index(level) for level in (LOWER, MIDDLE, UPPER)]] / unit
    return (shown - raw.sum(axis=0))[None]


def _between(asked: list[int]) -> str:
    if len(asked) == 1:
        return ""
    return f", interpolated in log horizon between {asked[0]} and {asked[1]} bars, as the forecast is"


def _size(effect: FeatureEffect) -> float:
    return abs(effect.effect.median_price) + abs(effect.effect.width_price)


def _sum(parts: list[Effect]) -> Effect:
    return Effect(
        median_z=sum(part.median_z for part in parts),
        width_z=sum(part.width_z for part in parts),
        median_price=sum(part.median_price for part in parts),
        width_price=sum(part.width_price for part in parts),
    )


async def _attention(spec: MemberSpec, subject: Subject, explain: Explainer) -> AttentionExplanation:
    (heads,) = await explain(latest_inputs([subject.bars]).rows_for("flat"))
    layers = heads.mean(axis=1)  # (n_layers, n_patches, n_patches): each row is what one patch read
    return AttentionExplanation(
        model=spec.name,
        patches=patches_of(subject.bars, layers.shape[-1]),
        layers=tuple(
            AttentionLayer(i + 1, tuple(map(float, each.mean(axis=0))), tuple(tuple(map(float, row)) for row in each))
            for i, each in enumerate(layers)
        ),
        method=ATTENTION,
    )


def patches_of(bars: Bars, n_patches: int) -> tuple[Patch, ...]:
    """First and last day of each patch of the window, oldest first."""
    days = bars.times[-WINDOW_STEPS:].astype("datetime64[D]").reshape(n_patches, -1)
    return tuple(Patch(first.item(), last.item()) for first, last in zip(days[:, 0], days[:, -1], strict=True))


def _weight(name: str, request: ForecastRequest, subject: Subject, grid: Grid) -> float:
    """The weight that ``members`` of the answer shows."""
    column = int(np.searchsorted(grid.horizons, request.horizon, side="right")) - 1
    weights = dict(zip(subject.spread.members, subject.spread.weights[:, column], strict=True))
    return float(weights.get(name, 0.0))
