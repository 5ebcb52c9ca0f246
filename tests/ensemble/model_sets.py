"""A model set made up in memory: every number differs from its neighbours, so that a wrong index shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
from scipy.special import ndtri

from contracts import AssetClass, Calibration, EvidenceTable, Floats, Grid, MemberSpec, ModelSet, kind_of
from features.spec import ROW_WIDTHS

NAMES = ("xgboost", "lstm", "transformer")
GRID = Grid(horizons=(1, 2, 5, 10, 20), levels=(0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995))
EVERYONE = 0b111
STEPS = GRID.horizons[-1]
COVER_LEVELS = np.round(np.arange(0.5, 0.995, 0.01), 2)
STOCKS, STOCKS_WITH_RANGES = (kind_of(AssetClass.EQUITY, has_ranges) for has_ranges in (False, True))
OTHERS, OTHERS_WITH_RANGES = (kind_of(AssetClass.CRYPTO, has_ranges) for has_ranges in (False, True))


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
    masks = np.array([EVERYONE, *rng.permutation(np.arange(1, EVERYONE))], np.float64)
    lift = 0.02 * rng.random((len(masks), STEPS, 1))
    return EvidenceTable(
        masks=masks,
        cover_levels=COVER_LEVELS,
        coverage=np.minimum(COVER_LEVELS + lift - 0.01, 1.0),
        skill=0.02 * rng.standard_normal((len(masks), STEPS)),
        p_value=rng.random((len(masks), STEPS)),
        samples=np.linspace(1000.0, 981.0, STEPS),
        up_share=0.5 + 0.1 * rng.random(STEPS),
        accuracy=0.5 + 0.1 * rng.random(STEPS),
        direction_skill=0.01 * rng.standard_normal(STEPS),
        direction_p_value=rng.random(STEPS),
        scope=f"{name}: made up",
        window=(date(2019, 1, 2), date(2022, 12, 30)),
    )


def measured_row(table: EvidenceTable, mask: int) -> int:
    """Where a table holds what was measured of this subset."""
    return table.masks.tolist().index(mask)


def calibration(n_members: int, seed: int, *, drift: bool = True) -> Calibration:
    """Uneven weights, and other offsets for every subset, the subsets in no order."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.2, 1.0, (n_members, len(GRID.horizons)))
    masks = rng.permutation(np.arange(1, 2**n_members))
    direction = np.column_stack([0.1 * rng.standard_normal(STEPS), rng.uniform(0.2, 0.9, STEPS)])
    return Calibration(
        weights=weights / weights.sum(axis=0),
        masks=masks.astype(np.float64),
        offsets=np.sort(0.05 * rng.standard_normal((len(masks), *GRID.shape)), axis=-1),
        direction=direction if drift else np.tile([0.0, 1.0], (STEPS, 1)),
        regime=np.linspace(-1.0, 1.0, 101),
        drift=np.array(float(drift)),
        rates=np.array([0.06, 0.04] if drift else [0.05, 0.07]),
    )


def offsets_of(model_set: ModelSet, kind: str, mask: int) -> Floats:
    """(n_horizons, n_levels) offsets fitted for a subset, by a search from the front."""
    fitted = model_set.calibration[kind]
    return fitted.offsets[fitted.masks.tolist().index(mask)]


def made_up_set(**changes: object) -> ModelSet:
    """Three members that every series can feed; other numbers for each kind of series; evidence for shares and
    indexes alone."""
    takes = {"xgboost": "tabular", "lstm": "flat", "transformer": "flat"}
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
                takes[name],  # type: ignore[arg-type]
                ROW_WIDTHS[takes[name]],  # type: ignore[index]
            )
            for name in NAMES
        ),
        calibration={
            STOCKS: calibration(len(NAMES), 42),
            STOCKS_WITH_RANGES: calibration(len(NAMES), 43),
            OTHERS: calibration(len(NAMES), 44, drift=False),
            OTHERS_WITH_RANGES: calibration(len(NAMES), 45, drift=False),
        },
        evidence={"equity": evidence_table("equity", 1), "index": evidence_table("index", 2)},
        manifest={},
    )
    return replace(model_set, **changes)  # type: ignore[arg-type]


def set_with_ranges() -> ModelSet:
    """The same and a fourth member, har_range, which has a weight where there are ranges and needs them."""
    plain = made_up_set()
    member = MemberSpec(
        "har_range", "version-of-har_range", "har_range.npz", "sha256:0", "linear", "ranges", ROW_WIDTHS["ranges"]
    )
    nothing = np.zeros((1, len(GRID.horizons)))
    without = {
        kind: replace(each, weights=np.concatenate([each.weights, nothing])) for kind, each in plain.calibration.items()
    }
    fitted = {
        STOCKS_WITH_RANGES: calibration(len(NAMES) + 1, 46),
        OTHERS_WITH_RANGES: calibration(len(NAMES) + 1, 47, drift=False),
    }
    return replace(plain, members=(*plain.members, member), calibration=without | fitted)


def uncalibrated_set() -> ModelSet:
    """Nothing to correct: what the members say is what comes out."""
    model_set = made_up_set()
    nothing = {
        kind: replace(
            each,
            offsets=np.zeros_like(each.offsets),
            direction=np.tile([0.0, 1.0], (STEPS, 1)),
            drift=np.array(1.0),
            rates=np.zeros(2),
        )
        for kind, each in model_set.calibration.items()
    }
    return replace(model_set, calibration=nothing)
