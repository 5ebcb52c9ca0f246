"""A one-layer LSTM (Hochreiter and Schmidhuber, 1997) over the window, its last state beside the tabular features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.quantile_head import Layout, QuantileHead


class LstmForecaster(nn.Module):
    def __init__(self, layout: Layout, hidden: int = 24) -> None:
        super().__init__()
        self.layout = layout
        self.recurrent = nn.LSTM(layout.n_channels, hidden, batch_first=True)
        self.head = QuantileHead(hidden + layout.n_features, layout.base, layout.unit)

    def forward(self, rows: Tensor) -> Tensor:
        """(n_rows, row_width) -> (n_rows, n_horizons, n_levels)."""
        tabular, window = self.layout.split(rows)
        states, _ = self.recurrent(window)  # (n_rows, n_steps, hidden)
        return self.head(torch.cat([states[:, -1], tabular], dim=1))
