"""The networks that read patches of the window."""

from __future__ import annotations

import bentoml
import numpy as np

from runners.base import MemberService, Rows, batched, runner_options


@bentoml.service(**runner_options("TransformerRunner"))
class TransformerRunner(MemberService):
    """The `transformer` member of the model set, its attention, and the other networks over patches."""

    member = "transformer"
    others = ("patchtst", "patchtsmixer")

    @batched
    def attention(self, rows: Rows) -> np.ndarray:
        """What `transformer` read: (n_rows, 1 + row_width) -> (n_rows, n_layers, n_heads, n_patches, n_patches)."""
        return self._ask("transformer", rows, "attention")

    @batched
    def patchtst(self, rows: Rows) -> np.ndarray:
        """As ``predict``, of `patchtst`."""
        return self._ask("patchtst", rows)

    @batched
    def patchtsmixer(self, rows: Rows) -> np.ndarray:
        """As ``predict``, of `patchtsmixer`."""
        return self._ask("patchtsmixer", rows)
