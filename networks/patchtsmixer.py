"""PatchTSMixer (Ekambaram, Jati, Nguyen, Sinthong and Kalagnanam, 2023), small: perceptrons that mix patches, then
features, each with a gate; no attention between bars. Channels share the weights and meet in the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.quantile_head import Layout, QuantileHead


class Mixer(nn.Module):
    """Norm, two-layer perceptron over the last axis, gate (softmax of a linear map, times the input), residual."""

    def __init__(self, size: int, normed: int, over_patches: bool, dropout: float = 0.1) -> None:
        super().__init__()
        self.over_patches = over_patches
        self.norm = nn.LayerNorm(normed)
        self.perceptron = nn.Sequential(
            nn.Linear(size, 2 * size), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * size, size), nn.Dropout(dropout)
        )
        self.gate = nn.Linear(size, size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n_series, n_patches, width) -> the same shape."""
        mixed = self.norm(tokens)
        if self.over_patches:
            mixed = mixed.transpose(1, 2)
        mixed = self.perceptron(mixed)
        mixed = mixed * torch.softmax(self.gate(mixed), dim=-1)
        return tokens + (mixed.transpose(1, 2) if self.over_patches else mixed)


class PatchTsMixer(nn.Module):
    def __init__(self, layout: Layout, patch: int = 8, width: int = 16, layers: int = 2) -> None:
        super().__init__()
        self.layout, self.patch = layout, patch
        self.n_patches = layout.n_steps // patch
        self.embed = nn.Linear(patch, width)
        mixers = [(Mixer(self.n_patches, width, True), Mixer(width, width, False)) for _ in range(layers)]
        self.layers = nn.Sequential(*(mixer for pair in mixers for mixer in pair))
        self.n_series = layout.n_channels * width
        self.head = QuantileHead(self.n_series + layout.n_features, layout.base, layout.unit)

    def forward(self, rows: Tensor) -> Tensor:
        """(n_rows, row_width) -> (n_rows, n_horizons, n_levels)."""
        tabular, window = self.layout.split(rows)
        series = self.encode(window).mean(dim=1).reshape(-1, self.n_series)  # the channels side by side
        return self.head(torch.cat([series, tabular], dim=1))

    def encode(self, window: Tensor) -> Tensor:
        """(n_rows, n_steps, n_channels) -> (n_rows * n_channels, n_patches, width), each channel on its own."""
        patches = window.transpose(1, 2).reshape(-1, self.n_patches, self.patch)
        return self.layers(self.embed(patches))
