"""The linear members: `har` on closes alone, `har_range` on open, high, low and volume as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from contracts import MemberInput
from features.filtered import knot_weights
from networks.linear import LinearQuantiles
from training.fit_network import quantile_loss
from training.history import History, units
from training.plan import Plan

EPOCHS = {"tabular": 8, "ranges": 10}
BATCH = 2048
RATE = 3e-3
WEIGHT_DECAY = 1e-3
SHIFT_PENALTY = 1e-4  # a drift is easily learned by heart


def fit_linear(takes: MemberInput, histories: Sequence[History], plan: Plan, path: Path) -> None:
    """Fit on the training window, no early stopping (there is little to overfit), and write ``path`` (.npz)."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(1)
    inputs, outcomes, in_units = _rows(takes, histories, plan)
    base = np.nanquantile(outcomes / in_units, plan.grid.levels, axis=0).T
    network = LinearQuantiles(
        torch.from_numpy(inputs.mean(axis=0)),
        torch.from_numpy(inputs.std(axis=0) + 1e-6),
        torch.tensor(base, dtype=torch.float32),
        torch.tensor(knot_weights(plan.grid.horizons), dtype=torch.float32),
    )
    _train(network, torch.from_numpy(inputs), torch.from_numpy(outcomes), 1 if plan.fast else EPOCHS[takes], plan)
    np.savez_compressed(path, allow_pickle=False, **{k: v.detach().numpy() for k, v in network.state_dict().items()})


def _train(network: LinearQuantiles, inputs: torch.Tensor, outcomes: torch.Tensor, epochs: int, plan: Plan) -> None:
    parts = max(len(inputs) // BATCH, 1)
    linear = {"params": [network.shift, network.log_scale], "weight_decay": WEIGHT_DECAY}
    optimiser = torch.optim.AdamW([linear, {"params": [network.base], "weight_decay": 0.0}], lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * parts + 1)
    for _ in range(epochs):
        for picked in torch.randperm(len(inputs)).chunk(parts):
            loss = quantile_loss(network(inputs[picked]), outcomes[picked], plan)
            loss = loss + SHIFT_PENALTY * network.shift.abs().sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def _rows(takes: MemberInput, histories: Sequence[History], plan: Plan) -> tuple[np.ndarray, ...]:
    """(n, row_width) inputs of the training window, their (n, n_horizons) z outcomes, NaN where purged, and the
    volatility ahead."""
    inputs, outcomes, ahead = [], [], []
    for history in histories:
        inside = history.inside(plan.windows.training, plan.grid.horizons)
        rows = np.flatnonzero(inside.any(axis=1))
        inputs.append(history.matrix.take(rows).rows_for(takes))
        outcomes.append(np.where(inside, history.z(plan.grid), np.nan)[rows].astype(np.float32))
        ahead.append(units(history, takes, plan.grid)[rows])
    return np.concatenate(inputs), np.concatenate(outcomes), np.concatenate(ahead)
