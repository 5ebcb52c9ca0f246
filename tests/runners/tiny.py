"""A model set that is real but tiny: a booster of a few trees and two linear graphs, built in a second."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import xgboost
from onnx import TensorProto, helper, numpy_helper

from contracts import Grid
from features.spec import ROW_WIDTHS, fingerprint

GRID = Grid(horizons=(1, 5, 20, 90), levels=(0.05, 0.25, 0.5, 0.75, 0.95))
TABULAR_WIDTH = ROW_WIDTHS["tabular"]
FLAT_WIDTH = ROW_WIDTHS["flat"]
KINDS = ("stocks", "stocks with ranges", "others", "others with ranges")
FLAT = {"takes": "flat", "row_width": FLAT_WIDTH, "kind": "onnx"}
MEMBERS: dict[str, dict[str, Any]] = {
    "xgboost": {"takes": "tabular", "row_width": TABULAR_WIDTH, "kind": "xgboost", "file": "xgboost.ubj"},
    "lstm": {**FLAT, "file": "lstm.onnx"},
    "transformer": {**FLAT, "file": "transformer.onnx"},
}


def write_model_set(folder: Path, version: str = "2001.01.01-tiny") -> Path:
    """Write the set and its manifest into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_booster(folder / "xgboost.ubj")
    _write_graph(folder / "lstm.onnx", seed=1)
    _write_graph(folder / "transformer.onnx", seed=2)
    (folder / "MODEL_CARD.md").write_text("A toy for the tests.\n")
    _write_calibration(folder)
    write_manifest(folder, version)
    return folder


def write_manifest(folder: Path, version: str = "2001.01.01-tiny", **changes: Any) -> None:
    """A manifest that fits the files in ``folder``, but for ``changes``."""
    manifest = {
        "models_version": version,
        "features": {"fingerprint": fingerprint()},
        "grid": {"horizons": GRID.horizons, "levels": GRID.levels},
        "members": [
            {
                "name": name,
                "version": f"{version}-{name}",
                "sha256": _sha256(folder / member["file"]),
                **member,
            }
            for name, member in MEMBERS.items()
        ],
        "kinds": KINDS,
        "evidence": {},
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


def rows_for(member: str, n_rows: int, seed: int = 0) -> np.ndarray:
    """(n_rows, row_width) float32 rows for ``member``."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_rows, MEMBERS[member]["row_width"]), dtype=np.float32)


def _write_booster(path: Path) -> None:
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((400, TABULAR_WIDTH), dtype=np.float32)
    log_horizon = np.log(rng.choice(GRID.horizons, len(rows))).astype(np.float32)
    target = rows[:, 0] * 0.3 + rng.standard_normal(len(rows))
    matrix = xgboost.QuantileDMatrix(np.column_stack([rows, log_horizon]), label=target)
    booster = xgboost.train(
        {"objective": "reg:quantileerror", "quantile_alpha": list(GRID.levels), "max_depth": 3, "nthread": 1},
        matrix,
        num_boost_round=8,
    )
    booster.save_model(path)


def _write_graph(path: Path, seed: int) -> None:
    """quantiles = reshape(row @ weights + bias): as good as any network for testing what surrounds it."""
    n_horizons, n_levels = GRID.shape
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((FLAT_WIDTH, n_horizons * n_levels), dtype=np.float32) * 0.01
    bias = np.tile(np.linspace(-1.6, 1.6, n_levels, dtype=np.float32), n_horizons)
    shape = np.asarray([-1, n_horizons, n_levels], np.int64)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["row", "weights", "bias"], ["flat"]),
            helper.make_node("Reshape", ["flat", "shape"], ["quantiles"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["n", FLAT_WIDTH])],
        [helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["n", n_horizons, n_levels])],
        [numpy_helper.from_array(a, n) for a, n in ((weights, "weights"), (bias, "bias"), (shape, "shape"))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def _write_calibration(folder: Path) -> None:
    """Equal weights, nothing to correct, nothing measured."""
    subsets = np.arange(1, 2 ** len(MEMBERS))
    arrays = {
        "weights": np.full((len(MEMBERS), len(GRID.horizons)), 1 / len(MEMBERS)),
        "masks": subsets.astype(np.float64),
        "offsets": np.zeros((len(subsets), *GRID.shape)),
        "direction": np.tile([0.0, 1.0], (GRID.horizons[-1], 1)),
        "regime": np.linspace(-1, 1, 21),
        "drift": np.array(1.0),
        "rates": np.zeros(2),
    }
    named = {f"{kind}.{name}": array for kind in KINDS for name, array in arrays.items()}
    np.savez(folder / "calibration.npz", allow_pickle=False, **named)
    np.savez(folder / "evidence.npz")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
