"""PatchTST (Nie, Nguyen, Sinthong and Kalagnanam, 2023), small: patches that overlap by half, and channels that never
mix before the head. Channels share embedding and encoder; windows come in units of current volatility, so the paper's
instance normalisation is done already. The head reads each channel's mean patch: flattened, as in the paper, it
learned the training years by heart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.quantile_head import Layout, QuantileHead
from networks.transformer import EncoderLayer


class PatchTst(nn.Module):
    def __init__(self, layout: Layout, patch: int = 16, width: int = 16, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.layout, self.half = layout, patch // 2
        n_tokens = layout.n_steps // self.half - 1
        self.embed = nn.Linear(patch, width)
        self.position = nn.Parameter(0.02 * torch.randn(n_tokens, width))
        self.layers = nn.Sequential(*(EncoderLayer(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.n_series = layout.n_channels * width
        self.head = QuantileHead(self.n_series + layout.n_features, layout.base, layout.unit)

    def forward(self, rows: Tensor) -> Tensor:
        """(n_rows, row_width) -> (n_rows, n_horizons, n_levels)."""
        tabular, window = self.layout.split(rows)
        series = self.encode(window).mean(dim=1).reshape(-1, self.n_series)  # the channels side by side
        return self.head(torch.cat([series, tabular], dim=1))

    def encode(self, window: Tensor) -> Tensor:
        """(n_rows, n_steps, n_channels) -> (n_rows * n_channels, n_tokens, width), each channel on its own."""
        halves = window.transpose(1, 2).reshape(-1, self.layout.n_steps // self.half, self.half)
        patches = torch.cat([halves[:, :-1], halves[:, 1:]], dim=2)
        return self.norm(self.layers(self.embed(patches) + self.position))
