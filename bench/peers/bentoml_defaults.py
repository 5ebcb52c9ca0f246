"""The same runners as BentoML's tutorials show them: defaults everywhere, each request awaits each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bentoml
import numpy as np
from starlette.responses import Response

from bench.peers.shared import FOLDER, MODELS, answered, body_of, plain_ports
from contracts import Floats, Floats32, MemberSpec
from gateway.backend import Catalogue
from gateway.convert import to_request
from gateway.schemas import PredictRequest, PredictResponse
from runners.members import load_member

SPECS = {spec.name: spec for spec in MODELS.members}


def _model(name: str) -> Any:
    return load_member(SPECS[name], MODELS.grid, FOLDER / SPECS[name].file)


@bentoml.service
class Xgboost:
    def __init__(self) -> None:
        self.model = _model("xgboost")

    @bentoml.api(batchable=True)  # type: ignore[untyped-decorator]
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(rows.astype(np.float32)))


@bentoml.service
class Lstm:
    def __init__(self) -> None:
        self.model = _model("lstm")

    @bentoml.api(batchable=True)  # type: ignore[untyped-decorator]
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(rows.astype(np.float32)))


@bentoml.service
class Transformer:
    def __init__(self) -> None:
        self.model = _model("transformer")

    @bentoml.api(batchable=True)  # type: ignore[untyped-decorator]
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(rows.astype(np.float32)))


class _Awaited:
    """A runner asked once a request."""

    def __init__(self, spec: MemberSpec, runner: Any) -> None:
        self.spec = spec
        self._runner = runner

    async def predict(self, keys: Sequence[str], rows: Floats32) -> Floats:
        return np.asarray(await self._runner.to_async.predict(rows), dtype=np.float64)


@bentoml.service
class Defaults:
    xgboost = bentoml.depends(Xgboost)
    lstm = bentoml.depends(Lstm)
    transformer = bentoml.depends(Transformer)

    def __init__(self) -> None:
        ports = plain_ports()
        remote = {name: _Awaited(SPECS[name], getattr(self, name)) for name in ("xgboost", "lstm", "transformer")}
        self.ports = type(ports)(ports.market, ports.calendar, {**ports.runners, **remote})
        self.catalogue = Catalogue(MODELS.names)

    @bentoml.api(route="/api/v1/predict", output_spec=PredictResponse)  # type: ignore[untyped-decorator]
    async def predict(self, body: PredictRequest, /) -> Response:
        (outcome,) = await answered([to_request(body, self.catalogue)], self.ports)
        status, content = body_of(outcome)
        return Response(content, status, media_type="application/json")
