"""A small Transformer encoder over patches of the window (Vaswani et al., 2017; patches as in Nie et al., 2023).

Attention is written out, so that the exported graph stays plain and the weights can be read.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from networks.quantile_head import Layout, QuantileHead


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and a two-layer perceptron, both with residuals."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.norm_perceptron = nn.LayerNorm(width)
        self.to_query_key_value = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n_rows, n_tokens, width) -> the same shape."""
        return self.step(tokens)[0]

    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(n_rows, n_tokens, width) -> the same shape, and the (n_rows, heads, n_tokens, n_tokens) weights used."""
        mixed, weights = self.attend(self.norm_attention(tokens))
        tokens = tokens + self.dropout(mixed)
        return tokens + self.dropout(self.perceptron(self.norm_perceptron(tokens))), weights

    def attend(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        n_tokens, width = tokens.shape[1], tokens.shape[2]
        parts = self.to_query_key_value(tokens).reshape(-1, n_tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (n_rows, heads, n_tokens, width / heads)
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        weights = torch.softmax(scores, dim=-1)
        mixed = weights @ value
        return self.merge(mixed.transpose(1, 2).reshape(-1, n_tokens, width)), weights


class TransformerForecaster(nn.Module):
    def __init__(self, layout: Layout, patch: int = 8, width: int = 32, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.layout, self.patch = layout, patch
        n_tokens = layout.n_steps // patch
        self.embed = nn.Linear(patch * layout.n_channels, width)
        self.position = nn.Parameter(0.02 * torch.randn(n_tokens, width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = QuantileHead(width + layout.n_features, layout.base, layout.unit)

    def forward(self, rows: Tensor) -> Tensor:
        """(n_rows, row_width) -> (n_rows, n_horizons, n_levels)."""
        return self.with_attention(rows)[0]

    def with_attention(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The answer, and (n_rows, n_layers, heads, n_tokens, n_tokens): how much each patch read of each patch."""
        tabular, window = self.layout.split(rows)
        patches = window.reshape(-1, self.layout.n_steps // self.patch, self.patch * self.layout.n_channels)
        tokens = self.embed(patches) + self.position
        read = []
        for layer in self.layers:
            tokens, weights = layer.step(tokens)
            read.append(weights)
        answer = self.head(torch.cat([self.norm(tokens).mean(dim=1), tabular], dim=1))
        return answer, torch.stack(read, dim=1)


class BothAnswers(nn.Module):
    """What is exported of a Transformer: quantiles and attention."""

    def __init__(self, network: TransformerForecaster) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(n_rows, row_width) -> as ``with_attention``."""
        return self.network.with_attention(rows)
