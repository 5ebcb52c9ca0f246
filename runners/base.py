"""What the runner services share: loading, warm-up, batched calls, and the options BentoML needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument
from bentoml.validators import DType

from runners.dispatcher import cap_learned_wait
from runners.hosted import HostedSets
from runners.served import RunnerService
from runners.stopping import leave_stopping_to_supervisor
from runners.store import declared_model_set
from settings import model_set_folder, service_options, traces_are_sent

MAX_BATCH_ROWS = 512

Rows = Annotated[np.ndarray, DType("float32")]

_ALWAYS: dict[str, Any] = {
    # the proxy closes its session every 100 calls, calls in flight included, unless told otherwise
    "runner_connection": {"max_requests": 2_000_000_000, "max_age": 1e9},
    "envs": [{"name": f"{library}_NUM_THREADS", "value": "1"} for library in ("OMP", "OPENBLAS", "MKL")],
}

cap_learned_wait()


def runner_options(service: str) -> dict[str, Any]:
    """What ``@bentoml.service`` needs to know about a runner."""
    return {**service_options(service), **_ALWAYS, "service_class": _service_class()}


def _service_class() -> type[RunnerService]:
    if not traces_are_sent():
        return RunnerService
    from runners.tracing import TracedService  # for those who want it

    return TracedService


def batched(method: Callable[..., Any]) -> Any:
    """An endpoint of a runner: ``rows`` of many callers in, an array with as many rows out.

    The limit is far above the time of a full batch: where it is near, a burst is refused instead of queued.
    """
    return bentoml.api(batchable=True, max_batch_size=MAX_BATCH_ROWS, max_latency_ms=10_000)(method)


class MemberService:
    """One model behind ``predict``, and in the same process those of ``others`` that the set has, behind methods of
    their own. A stamped row in (hosted.py), its z quantiles out; callers' rows are batched together."""

    member: ClassVar[str]
    others: ClassVar[tuple[str, ...]] = ()
    model_set = declared_model_set(model_set_folder())

    def __init__(self) -> None:
        self._hosted = HostedSets([self.member, *self.others])
        self._hosted.load(Path(self.model_set.path))
        leave_stopping_to_supervisor()

    @batched
    def predict(self, rows: Rows) -> np.ndarray:
        """(n_rows, 1 + row_width) stamped float32 -> (n_rows, n_horizons, n_levels) float64."""
        return self._ask(self.member, rows)

    def _ask(self, name: str, rows: np.ndarray, what: str = "predict") -> np.ndarray:
        """What the model called ``name`` says to these stamped rows; ``what`` is a method of it."""
        try:
            return self._hosted.ask(name, rows, what)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
