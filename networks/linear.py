"""A heterogeneous autoregressive (Corsi, 2009) quantile model: one scale and one shift a horizon, linear in the inputs.

quantile = shift(x) + base * exp(log_scale(x)), with ``base`` the quantiles of a standardised return. What HAR does
for realised variance, fitted to the quantile loss instead of to a variance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST_LOG_SCALE = 2.0


class LinearQuantiles(nn.Module):
    """``base`` (n_horizons, n_levels) are quantiles in units of the volatility ahead. Its logarithm, the last inputs by
    ``unit`` (n_knots, n_horizons; features.filtered.knot_weights), is the scale that the network starts from."""

    def __init__(self, mean: Tensor, deviation: Tensor, base: Tensor, unit: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        n_horizons = base.shape[0]
        self.shift = nn.Parameter(torch.zeros(len(mean), n_horizons))
        start = torch.zeros(len(mean), n_horizons)
        start[-len(unit) :] = deviation[-len(unit) :, None] * unit
        self.log_scale = nn.Parameter(start)
        self.base = nn.Parameter(base * torch.exp(mean[-len(unit) :] @ unit)[:, None])

    def forward(self, rows: Tensor) -> Tensor:
        """(n_rows, row_width) -> (n_rows, n_horizons, n_levels)."""
        inputs = (rows - self.mean) / self.deviation
        scale = torch.exp(torch.clamp(inputs @ self.log_scale, -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE))
        return (inputs @ self.shift)[..., None] + self.base * scale[..., None]
