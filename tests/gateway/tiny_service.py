"""The smallest service that has the whole gateway: its backend is the fake, and it has no runners."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import bentoml
from starlette.responses import Response

from gateway.factory import gateway_service
from gateway.options import GatewayOptions
from gateway.predict import answer_batch, answer_predict
from gateway.routes import build_routes
from gateway.schemas import BatchRequest, BatchResponse, PredictRequest, PredictResponse
from tests.gateway.fakes import FakeBackend

KEY = "a-key-for-tests-0123456789"
ORIGIN = "https://app.example"
BACKEND = FakeBackend()
SECONDS = int(os.environ.get("TINY_SECONDS", "4"))
"""An answer may take so long and a body a quarter of it: in a process of its own it may have to wait for others."""
OPTIONS = GatewayOptions(
    api_keys=("another-key", KEY), rate_limit="1000000/minute", frontend_origin=ORIGIN, body_timeout_s=SECONDS / 4
)


@bentoml.asgi_app(build_routes(lambda: BACKEND), path="/api/v1")
@bentoml.service(name="tiny", service_class=gateway_service(lambda: OPTIONS), traffic={"timeout": SECONDS})
class Tiny:
    @bentoml.api(route="/api/v1/predict", output_spec=PredictResponse)  # type: ignore[untyped-decorator]
    async def predict(self, body: PredictRequest, /) -> Response:
        if body.symbol == "SLOW":
            await asyncio.sleep(3600)
        return await answer_predict(body, BACKEND)

    @bentoml.api(route="/api/v1/predict/batch", output_spec=BatchResponse)  # type: ignore[untyped-decorator]
    async def predict_batch(self, body: BatchRequest, /) -> Response:
        return await answer_batch(body, BACKEND)


#: The same object, as what the decorator makes of it.
SERVICE: Any = Tiny
