"""A model set made up in memory: every number differs from its neighbours, so that a wrong index shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
from scipy.special import ndtri

from contracts import Calibration, EvidenceTable, Floats, Grid, MemberSpec, ModelSet
from features.spec import FEATURES, FLAT_WIDTH

NAMES = ("xgboost", "lstm", "transformer")
GRID = Grid(horizons=(1, 2, 5, 10, 20), levels=(0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995))
SUBSETS = 2 ** len(NAMES) - 1
STEPS = GRID.horizons[-1]
COVER_LEVELS = np.round(np.arange(0.5, 0.995, 0.01), 2)


def gaussian(mean: Floats | float = 0.0, scale: float = 1.0, grid: Grid = GRID) -> Floats:
    """(n_rows, n_horizons, n_levels) z quantiles of normal distributions; ``mean`` is (n_rows,)."""
    centre = np.atleast_1d(np.asarray(mean, dtype=np.float64))[:, None, None]
    quantiles: Floats = np.broadcast_to(
        centre + scale * ndtri(np.asarray(grid.levels)), (len(centre), *grid.shape)
    ).copy()
    return quantiles


def evidence_table(name: str, seed: int = 0) -> EvidenceTable:
    """Coverage climbs with the level and differs by subset and step; so does everything else."""
    rng = np.random.default_rng(seed)
    lift = 0.02 * rng.random((SUBSETS, STEPS, 1))
    return EvidenceTable(
        cover_levels=COVER_LEVELS,
        coverage=np.minimum(COVER_LEVELS + lift - 0.01, 1.0),
        skill=0.02 * rng.standard_normal((SUBSETS, STEPS)),
        p_value=rng.random((SUBSETS, STEPS)),
        samples=np.linspace(1000.0, 981.0, STEPS),
        up_share=0.5 + 0.1 * rng.random(STEPS),
        accuracy=0.5 + 0.1 * rng.random(STEPS),
        direction_skill=0.01 * rng.standard_normal(STEPS),
        direction_p_value=rng.random(STEPS),
        scope=f"{name}: made up",
        window=(date(2019, 1, 2), date(2022, 12, 30)),
    )


def made_up_set(**changes: object) -> ModelSet:
    """Three members, uneven weights, other offsets for every subset; evidence for shares and indexes alone."""
    rng = np.random.default_rng(42)
    weights = rng.uniform(0.2, 1.0, (len(NAMES), len(GRID.horizons)))
    model_set = ModelSet(
        version="20221231-madeup",
        grid=GRID,
        members=tuple(
            MemberSpec(
                name,
                f"version-of-{name}",
                f"{name}.file",
                "sha256:0",
                "xgboost" if name == "xgboost" else "onnx",
                "tabular" if name == "xgboost" else "flat",
                len(FEATURES) if name == "xgboost" else FLAT_WIDTH,
            )
            for name in NAMES
        ),
        weights=weights / weights.sum(axis=0),
        calibration=Calibration(
            offsets=np.sort(0.05 * rng.standard_normal((SUBSETS, *GRID.shape)), axis=-1),
            direction=np.column_stack([0.1 * rng.standard_normal(STEPS), rng.uniform(0.2, 0.9, STEPS)]),
            regime=np.linspace(-1.0, 1.0, 101),
        ),
        evidence={"equity": evidence_table("equity", 1), "index": evidence_table("index", 2)},
        manifest={},
    )
    return replace(model_set, **changes)  # type: ignore[arg-type]


def uncalibrated_set() -> ModelSet:
    """Nothing to correct: what the members say is what comes out."""
    model_set = made_up_set()
    nothing = Calibration(
        offsets=np.zeros_like(model_set.calibration.offsets),
        direction=np.tile([0.0, 1.0], (STEPS, 1)),
        regime=model_set.calibration.regime,
    )
    return replace(model_set, calibration=nothing)
