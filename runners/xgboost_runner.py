"""The trees."""

from __future__ import annotations

import bentoml
import numpy as np

from runners.base import MemberService, Rows, batched, runner_options


@bentoml.service(**runner_options("XgboostRunner"))
class XgboostRunner(MemberService):
    """The `xgboost` member of the model set, what its inputs contribute, and the other trees."""

    member = "xgboost"
    others = ("random_forest",)

    @batched
    def contributions(self, rows: Rows) -> np.ndarray:
        """(n_rows, 1 + row_width + 1), log(horizon) last -> (n_rows, n_levels, row_width + 2), the bias last."""
        return self._ask("xgboost", rows, "contributions")

    @batched
    def random_forest(self, rows: Rows) -> np.ndarray:
        """As ``predict``, of `random_forest`."""
        return self._ask("random_forest", rows)
