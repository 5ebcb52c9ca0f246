"""What the networks share: splitting a flat row, and a head whose quantiles cannot cross."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of a flat row and of an answer. ``base`` are the quantiles of the training window in units of the
    volatility ahead, (n_horizons, n_levels), from which a network learns to deviate; ``unit`` (n_knots, n_horizons)
    makes these units from the last features (features.filtered.knot_weights)."""

    n_features: int
    n_steps: int
    n_channels: int
    base: Tensor
    unit: Tensor

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(n_rows, row_width) -> (n_rows, n_features) and (n_rows, n_steps, n_channels)."""
        tabular = rows[:, : self.n_features]
        window = rows[:, self.n_features :].reshape(-1, self.n_steps, self.n_channels)
        return tabular, window


class QuantileHead(nn.Module):
    """Features to quantiles: the base median plus a shift, and the base spacings times positive factors, all of it in
    units of the volatility ahead, which the last columns of the inputs hold (features/filtered.py).

    The last layer starts at zero, so an untrained network answers the unconditional quantiles.
    """

    def __init__(self, n_inputs: int, base: Tensor, unit: Tensor, hidden: int = 48, dropout: float = 0.1) -> None:
        super().__init__()
        self.n_horizons, self.n_levels = base.shape
        self.middle = self.n_levels // 2
        self.register_buffer("median", base[:, self.middle].clone())
        self.register_buffer("spacing", torch.diff(base, dim=1))
        self.body = nn.Sequential(
            nn.Linear(n_inputs, hidden), nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.register_buffer("unit", unit.clone())
        self.last = nn.Linear(hidden, self.n_horizons * (self.n_levels + 1))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n_rows, n_inputs) -> (n_rows, n_horizons, n_levels), increasing along the levels."""
        raw = self.last(self.body(inputs)).reshape(-1, self.n_horizons, self.n_levels + 1)
        shift, scale, shape = raw[..., :1], raw[..., 1:2], raw[..., 2:]
        spacing = self.spacing * torch.exp(torch.clamp(scale + shape, -3.0, 3.0))
        upper = torch.cumsum(spacing[..., self.middle :], dim=-1)
        lower = torch.cumsum(spacing[..., : self.middle].flip(-1), dim=-1).flip(-1)
        median = (self.median[:, None] + shift).expand(-1, -1, 1)
        volatility = torch.exp(inputs[:, -len(self.unit) :] @ self.unit)
        return torch.cat([median - lower, median, median + upper], dim=-1) * volatility[..., None]
