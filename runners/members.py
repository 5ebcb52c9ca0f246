"""The models themselves, free of any serving framework: rows in, one block of z quantiles per row out.

Every member works in three steps: ``prepare`` (what the engine takes), ``compute`` (the engine), ``finish``
(one shape and dtype for all members, quantiles in order). One thread each: the parallelism is in processes
and batches.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from contracts import Floats, Floats32, Grid, MemberSpec
from errors import ArtefactError
from features.filtered import KNOTS, knot_weights, unit

WARM_UP_SIZES = (1, 64)
LARGEST_LOG_SCALE = 2.0
LARGEST_RUN = 64
ATTENTION = "attention"
"""Name of the second output of a network that shows what it read."""


class Member(ABC):
    """A loaded model. ``predict`` is the only thing callers need."""

    def __init__(self, spec: MemberSpec, grid: Grid) -> None:
        self.spec = spec
        self.grid = grid

    def predict(self, rows: Floats32) -> Floats:
        """(n_rows, row_width) float32 -> (n_rows, n_horizons, n_levels) float64, sorted along the levels."""
        check_rows(rows, self.spec)
        return self.finish(self.compute(self.prepare(rows)), len(rows))

    def prepare(self, rows: Floats32) -> Floats32:
        """(n_rows, row_width) -> the matrix that the engine takes."""
        return np.ascontiguousarray(rows)

    @abstractmethod
    def compute(self, matrix: Floats32) -> Floats32:
        """The engine's own answer for the prepared matrix."""

    def finish(self, raw: Floats32, n_rows: int) -> Floats:
        """The engine's answer -> (n_rows, n_horizons, n_levels), finite and sorted along the levels."""
        if raw.size != n_rows * self.grid.shape[0] * self.grid.shape[1]:
            raise RuntimeError(f"{self.spec.name} answered shape {raw.shape} for {n_rows} rows, grid {self.grid.shape}")
        answer = np.sort(raw.astype(np.float64).reshape(n_rows, *self.grid.shape), axis=-1)
        if not np.isfinite(answer).all():
            raise RuntimeError(f"{self.spec.name} answered a number that is not finite")
        return answer

    def warm_up(self) -> None:
        """Pay for first-call costs now, at the batch sizes that traffic brings."""
        for size in WARM_UP_SIZES:
            self.predict(np.zeros((size, self.spec.row_width), np.float32))


class XgboostMember(Member):
    """A multi-quantile booster that sees each row once per horizon, with log(horizon) as its last column. It answers in
    units of the volatility ahead, which the last features hold."""

    def __init__(self, spec: MemberSpec, grid: Grid, path: Path) -> None:
        super().__init__(spec, grid)
        with _hidden("sklearn"):
            import xgboost
        self._booster = xgboost.Booster(params={"nthread": 1}, model_file=str(path))
        self._log_horizons = np.log(np.asarray(grid.horizons, np.float64)).astype(np.float32)
        self._knot_weights = knot_weights(grid.horizons)
        if self._booster.num_features() != spec.row_width + 1:
            raise _misfit(spec, f"{self._booster.num_features()} columns, expected {spec.row_width} + log(horizon)")

    def prepare(self, rows: Floats32) -> Floats32:
        """(n_rows, row_width) -> (n_rows * n_horizons, row_width + 1)."""
        expanded = np.empty((len(rows), len(self._log_horizons), rows.shape[1] + 1), np.float32)
        expanded[:, :, :-1] = rows[:, None, :]
        expanded[:, :, -1] = self._log_horizons
        return expanded.reshape(-1, rows.shape[1] + 1)

    def compute(self, matrix: Floats32) -> Floats32:
        answer = self._booster.inplace_predict(matrix, validate_features=False)
        return (answer * self._units(matrix)[:, None]).astype(np.float32)

    def _units(self, matrix: Floats32) -> Floats:
        """(n, row_width + 1) rows, log(horizon) last, at horizons of the grid -> (n,) units of their answers."""
        at = np.abs(matrix[:, -1:] - self._log_horizons).argmin(axis=1)
        columns = matrix[:, -1 - len(KNOTS) : -1]
        every = unit(columns, self._knot_weights)
        result: Floats = np.take_along_axis(every, at[:, None], axis=1)[:, 0]
        return result

    def contributions(self, rows: Floats32) -> Floats:
        """(n_rows, row_width + 1), log(horizon) last -> (n_rows, n_levels, row_width + 2): what each column adds to
        each quantile, the bias last. Exact for trees (TreeSHAP: Lundberg et al., 2020): a quantile is their sum. What
        trees add is in units of the volatility ahead, which is thus a factor of every part and has none itself.

        Where the booster's quantiles cross, they are put in order as ``finish`` does, each with its contributions.
        """
        import xgboost

        check_rows(rows, replace(self.spec, row_width=self.spec.row_width + 1))
        raw = self._booster.predict(xgboost.DMatrix(rows, nthread=1), pred_contribs=True).astype(np.float64)
        order = np.argsort(raw.sum(axis=-1), axis=-1, kind="stable")
        return np.take_along_axis(raw, order[..., None], axis=1) * self._units(rows)[:, None, None]


class OnnxMember(Member):
    """A network: input ``row`` (n_rows, row_width), output ``quantiles`` (n_rows, n_horizons, n_levels), and
    ``attention`` where it has any and is asked for it."""

    def __init__(self, spec: MemberSpec, grid: Grid, path: Path) -> None:
        super().__init__(spec, grid)
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _check_graph(self._session, spec, grid)

    def prepare(self, rows: Floats32) -> Floats32:
        """A lone row goes in twice: the engine takes another path for a batch of one, which differs in the last bits,
        and a row must have the same answer alone and in company."""
        return np.repeat(rows, 2, axis=0) if len(rows) == 1 else np.ascontiguousarray(rows)

    def compute(self, matrix: Floats32) -> Floats32:
        """In parts of at most LARGEST_RUN rows: larger ones are no faster, and the engine keeps the memory they took.
        Parts are of nearly equal length, so none is a lone row."""
        parts = np.array_split(matrix, max(-(-len(matrix) // LARGEST_RUN), 1))
        return np.concatenate([self._session.run(["quantiles"], {"row": part})[0] for part in parts])

    def attention(self, rows: Floats32) -> Floats:
        """(n_rows, row_width) -> (n_rows, n_layers, n_heads, n_patches, n_patches); the last axis sums to one. Raises
        ValueError for a network without attention."""
        check_rows(rows, self.spec)
        if ATTENTION not in {port.name for port in self._session.get_outputs()}:
            raise ValueError(f"{self.spec.name} has no attention to show")
        weights: Floats = self._session.run([ATTENTION], {"row": self.prepare(rows)})[0].astype(np.float64)
        return weights[: len(rows)]

    def finish(self, raw: Floats32, n_rows: int) -> Floats:
        return super().finish(raw[:n_rows], n_rows)


class LinearMember(Member):
    """Quantiles that are linear in the inputs, times a scale whose logarithm is linear in them (see networks/linear).

    The statistical members are of this form too, with nothing but the volatility ahead for a scale. A few dozen
    multiplications, so it needs no process of its own and answers when no runner does.
    """

    def __init__(self, spec: MemberSpec, grid: Grid, path: Path) -> None:
        super().__init__(spec, grid)
        with np.load(path, allow_pickle=False) as stored:
            self._mean, self._deviation = stored["mean"], stored["deviation"]
            self._shift, self._log_scale, self._base = stored["shift"], stored["log_scale"], stored["base"]
        if self._mean.shape != (spec.row_width,) or self._base.shape != grid.shape:
            raise _misfit(spec, f"holds {self._mean.shape[0]} inputs and a grid of {self._base.shape}")

    def compute(self, matrix: Floats32) -> Floats32:
        inputs = (matrix - self._mean) / self._deviation
        # einsum without BLAS: a row gives the same bits alone and in a batch
        scale = np.exp(np.clip(np.einsum("nf,fh->nh", inputs, self._log_scale), -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE))
        shift = np.einsum("nf,fh->nh", inputs, self._shift)
        return (shift[..., None] + self._base * scale[..., None]).astype(np.float32)


def load_member(spec: MemberSpec, grid: Grid, path: Path) -> Member:
    """The model in ``path``; raises ArtefactError where it is not what the manifest says."""
    kinds: dict[str, type[XgboostMember] | type[OnnxMember] | type[LinearMember]] = {
        "xgboost": XgboostMember,
        "onnx": OnnxMember,
        "linear": LinearMember,
        "garch": LinearMember,
    }
    try:
        return kinds[spec.kind](spec, grid, path)
    except ArtefactError:
        raise
    except Exception as error:
        raise _misfit(spec, f"{type(error).__name__}: {str(error).splitlines()[0]}") from error


def check_rows(rows: Floats32, spec: MemberSpec) -> None:
    """Raise ValueError unless ``rows`` is finite float32 of shape (n_rows, row_width)."""
    if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != spec.row_width:
        raise ValueError(f"expected float32 rows of shape (n, {spec.row_width}), got {rows.dtype} {rows.shape}")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise ValueError(f"{bad.size} of {len(rows)} rows hold a number that is not finite, first: row {bad[0]}")


def _check_graph(session: Any, spec: MemberSpec, grid: Grid) -> None:
    inputs = {port.name: port.shape[1:] for port in session.get_inputs()}
    outputs = {port.name: port.shape[1:] for port in session.get_outputs()}
    if inputs != {"row": [spec.row_width]}:
        raise _misfit(spec, f"takes {inputs}, expected row (n, {spec.row_width})")
    outputs.pop(ATTENTION, None)
    if outputs != {"quantiles": list(grid.shape)}:
        raise _misfit(spec, f"gives {outputs}, expected quantiles (n, {grid.shape[0]}, {grid.shape[1]})")


def _misfit(spec: MemberSpec, problem: str) -> ArtefactError:
    return ArtefactError(f"{spec.file} does not fit its manifest: {problem}; publish the set again with `make train`")


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Make ``module`` look absent for a while. xgboost imports scikit-learn where it is installed: a second
    at start and 100 MB for wrappers that a bare booster does not use."""
    if module in sys.modules or "xgboost" in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
