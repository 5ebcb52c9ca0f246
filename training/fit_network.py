"""Fit a network on flat rows and export it. Both networks share this; they differ in architecture and rate alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from contracts import Floats
from features.filtered import knot_weights
from features.spec import FEATURE_NAMES, WINDOW_CHANNELS, WINDOW_STEPS
from networks.lstm import LstmForecaster
from networks.patchtsmixer import PatchTsMixer
from networks.patchtst import PatchTst
from networks.quantile_head import Layout
from networks.transformer import TransformerForecaster
from training.export import export_onnx
from training.history import History, units
from training.members import Report
from training.plan import HORIZON_WEIGHTS, Plan


@dataclass(frozen=True, slots=True)
class Recipe:
    """``stride`` takes every n-th row: neighbouring windows share 63 of their 64 bars."""

    network: Callable[[Layout], nn.Module]
    rate: float
    epochs: int = 8
    stride: int = 2
    batch: int = 512
    weight_decay: float = 0.01


RECIPES = {
    "lstm": Recipe(LstmForecaster, rate=1e-3),
    "transformer": Recipe(TransformerForecaster, rate=5e-4),
    "patchtst": Recipe(PatchTst, rate=5e-4),
    "patchtsmixer": Recipe(PatchTsMixer, rate=1e-3),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """(n_rows, row_width) inputs and (n_rows, n_horizons) z outcomes, NaN where purged."""

    inputs: Tensor
    outcomes: Tensor


def fit_network(name: str, histories: Sequence[History], plan: Plan, path: Path, report: Report) -> None:
    """Fit on the training window up to ``windows.stopping``, keep the epoch that did best after it, write ONNX."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(1)
    recipe = RECIPES[name]
    stride = recipe.stride * (20 if plan.fast else 1)
    fitting, stopping = _rows(histories, plan, stride, before=True), _rows(histories, plan, 5, before=False)
    weights = torch.tensor(knot_weights(plan.grid.horizons), dtype=torch.float32)
    layout = Layout(len(FEATURE_NAMES), WINDOW_STEPS, len(WINDOW_CHANNELS), _base(histories, plan), weights)
    network = recipe.network(layout)
    best = float("inf")
    kept = copy.deepcopy(network.state_dict())
    for epoch, loss in enumerate(_epochs(network, fitting, recipe, plan)):
        held_out = float(quantile_loss(_answers(network, stopping.inputs), stopping.outcomes, plan))
        report(epoch + 1, loss, held_out)
        if held_out < best:
            best, kept = held_out, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    export_onnx(network, fitting.inputs[:256], path)


def quantile_loss(quantiles: Tensor, outcomes: Tensor, plan: Plan) -> Tensor:
    """Mean pinball loss over known outcomes, horizons weighted; (n, H, Q) and (n, H) -> scalar."""
    levels = torch.tensor(plan.grid.levels)
    weight = torch.tensor(HORIZON_WEIGHTS) * ~torch.isnan(outcomes)
    miss = torch.nan_to_num(outcomes)[..., None] - quantiles
    loss = torch.maximum(levels * miss, (levels - 1) * miss).mean(dim=-1)
    return (loss * weight).sum() / weight.sum()


def _epochs(network: nn.Module, rows: Rows, recipe: Recipe, plan: Plan) -> Iterator[float]:
    """Train one epoch at a time, yielding its mean loss."""
    epochs = 1 if plan.fast else recipe.epochs
    batches = max(len(rows.inputs) // recipe.batch, 1)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=max(epochs * batches, 10), pct_start=0.2
    )
    for _ in range(epochs):
        network.train()
        order = torch.randperm(len(rows.inputs))
        total = 0.0
        for picked in order[: batches * recipe.batch].chunk(batches):
            loss = quantile_loss(network(rows.inputs[picked]), rows.outcomes[picked], plan)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        yield total / batches


def _answers(network: nn.Module, inputs: Tensor) -> Tensor:
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in inputs.split(4096)])


def _rows(histories: Sequence[History], plan: Plan, stride: int, *, before: bool) -> Rows:
    """Rows of the training window whose outcomes lie before ``stopping``, or whose origins lie after it."""
    split = np.datetime64(plan.windows.stopping)
    inputs, outcomes = [], []
    for history in histories:
        inside = history.inside(plan.windows.training, plan.grid.horizons)
        ends = history.ends[:, np.asarray(plan.grid.horizons) - 1]
        usable = inside & ((ends < split) if before else (history.origins >= split)[:, None])
        rows = np.flatnonzero(usable.any(axis=1))[::stride]
        inputs.append(history.matrix.take(rows).rows_for("flat"))
        outcomes.append(np.where(usable, history.z(plan.grid), np.nan)[rows].astype(np.float32))
    return Rows(torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(outcomes)))


def _base(histories: Sequence[History], plan: Plan) -> Tensor:
    """Quantiles of the training window in units of the volatility ahead, (n_horizons, n_levels)."""
    z = np.concatenate([history.z(plan.grid) / units(history, "tabular", plan.grid) for history in histories])
    usable = np.concatenate([history.inside(plan.windows.training, plan.grid.horizons) for history in histories])
    base: list[Floats] = [np.quantile(z[usable[:, i], i], plan.grid.levels) for i in range(z.shape[1])]
    return torch.tensor(np.stack(base), dtype=torch.float32)
