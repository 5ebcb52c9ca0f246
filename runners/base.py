"""What the runner services share: loading, warm-up, one batched call, and the options BentoML needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument
from bentoml.validators import DType

from runners.artefact import read_member
from runners.dispatcher import cap_learned_wait
from runners.members import load_member
from runners.store import declared_model_set
from settings import model_set_folder, service_options

MAX_BATCH_ROWS = 512

_ALWAYS: dict[str, Any] = {
    # the proxy closes its session every 100 calls, calls in flight included, unless told otherwise
    "runner_connection": {"max_requests": 2_000_000_000, "max_age": 1e9},
    "envs": [{"name": f"{library}_NUM_THREADS", "value": "1"} for library in ("OMP", "OPENBLAS", "MKL")],
}

cap_learned_wait()


def runner_options(service: str) -> dict[str, Any]:
    """What ``@bentoml.service`` needs to know about a runner."""
    return {**service_options(service), **_ALWAYS}


class MemberService:
    """One model. A row in, its z quantiles out; callers' rows are batched together."""

    member: ClassVar[str]
    model_set = declared_model_set(model_set_folder())

    def __init__(self) -> None:
        folder = Path(self.model_set.path)
        spec, grid = read_member(folder, self.member)
        self._model = load_member(spec, grid, folder / spec.file)
        self._model.warm_up()

    # The limit is far above the 30 ms of a full batch: where it is near, a burst is refused instead of queued.
    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_ROWS, max_latency_ms=10_000)  # type: ignore[untyped-decorator]
    def predict(self, rows: Annotated[np.ndarray, DType("float32")]) -> np.ndarray:
        """(n_rows, row_width) float32 -> (n_rows, n_horizons, n_levels) float64."""
        try:
            return self._model.predict(rows)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
