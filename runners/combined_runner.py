"""Every member in one runner process."""

from __future__ import annotations

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument

from runners.base import MemberService, Rows, batched, runner_options
from runners.questions import MEMBERS, answered


@bentoml.service(**runner_options("CombinedRunner"))
class CombinedRunner(MemberService):
    """All members of the model set that need a process."""

    member, others = MEMBERS[0], MEMBERS[1:]

    @batched
    def predict(self, rows: Rows) -> np.ndarray:
        """Questions -> (n_rows, n_horizons, n_levels) float64; NaN for a member that cannot answer while others can."""
        try:
            return answered(self._hosted, rows)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None

    @batched
    def contributions(self, rows: Rows) -> np.ndarray:
        """As XgboostRunner.contributions."""
        return self._ask("xgboost", rows, "contributions")

    @batched
    def attention(self, rows: Rows) -> np.ndarray:
        """As TransformerRunner.attention."""
        return self._ask("transformer", rows, "attention")
