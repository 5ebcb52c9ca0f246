"""The one BentoML service: endpoints and wiring, nothing else.

Every process of the service imports this module, the runners' too: what only the gateway needs is imported
when it starts.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLConfigException
from starlette.responses import Response

from errors import ConfigurationError
from gateway.factory import gateway_service
from gateway.options import GatewayOptions
from gateway.predict import answer_batch, answer_predict
from gateway.routes import build_routes
from gateway.schemas import BatchRequest, BatchResponse, PredictRequest, PredictResponse
from logs import configure_logging
from market.source import Source
from runners.artefact import verify_model_set
from runners.coalesce import CoalescingRunner, Limits
from runners.lstm_runner import LstmRunner
from runners.store import declared_model_set
from runners.transformer_runner import TransformerRunner
from runners.xgboost_runner import XgboostRunner
from settings import Settings, load_settings, model_set_folder, service_options

log = logging.getLogger("deepfinance.service")

MODEL_SET = declared_model_set(model_set_folder())

SERVICE_OPTIONS: dict[str, Any] = {
    **service_options("DeepFinance"),
    "runner_probe": {"enabled": False},  # it waits for the timeout of a dead runner; __is_ready__ does not
    "envs": [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "OPENBLAS_NUM_THREADS", "value": "1"}],
}


def gateway_options() -> GatewayOptions:
    """What the front door needs to know."""
    settings = load_settings()
    return GatewayOptions(
        api_keys=settings.api_keys, auth=settings.auth == "on", frontend_origin=settings.frontend_origin
    )


@bentoml.asgi_app(build_routes(lambda: bentoml.get_current_service().backend), path="/api/v1")
@bentoml.service(service_class=gateway_service(gateway_options), **SERVICE_OPTIONS)
class DeepFinance:
    """Price forecasts from several models, with the evidence beside every number."""

    model_set = MODEL_SET
    xgboost = bentoml.depends(XgboostRunner)
    lstm = bentoml.depends(LstmRunner)
    transformer = bentoml.depends(TransformerRunner)

    def __init__(self) -> None:
        settings = load_settings()
        configure_logging(settings.debug)
        self.backend = build_backend(self, settings)

    @bentoml.api(route="/api/v1/predict", output_spec=PredictResponse)  # type: ignore[untyped-decorator]
    async def predict(self, body: PredictRequest, /) -> Response:
        return await answer_predict(body, self.backend)

    @bentoml.api(route="/api/v1/predict/batch", output_spec=BatchResponse)  # type: ignore[untyped-decorator]
    async def predict_batch(self, body: BatchRequest, /) -> Response:
        return await answer_batch(body, self.backend)

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Before any process starts: refuse what could not work, in words and without a trace."""
        try:
            settings = load_settings()
            verify_model_set(Path(MODEL_SET.resolve().path))
        except ConfigurationError as error:
            raise BentoMLConfigException(error.message) from None
        for warning in settings.warnings:
            log.warning("%s", warning)

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        self._warming_up = asyncio.get_running_loop().create_task(self.backend.warm_up())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        self._warming_up.cancel()
        await self.backend.close()

    async def __is_ready__(self) -> bool:
        return await self.backend.is_ready()


def build_backend(service: Any, settings: Settings) -> Any:
    """Market data, calendar, models and runners, put together as ``settings`` say."""
    from forecaster import Forecaster
    from market.aside import build_aside
    from market.calendars import ExchangeCalendars
    from market.chain import SourceChain
    from pipeline import Ports
    from runners.hosts import call_of, explainers_of
    from runners.metrics import rows_per_call
    from runners.model_set import load_model_set

    folder = Path(service.model_set.path)
    model_set = load_model_set(folder)
    limits = Limits(timeout=settings.runner_timeout)
    runners = {
        spec.name: CoalescingRunner(
            spec, model_set.grid, call_of(service, spec, folder), limits, rows_per_call(spec.name)
        )
        for spec in model_set.members
    }
    market = SourceChain(_sources(settings))
    calendar = ExchangeCalendars(build_aside)
    calendar.warm_up()
    explainers = explainers_of(service, model_set.names, settings.runner_timeout)
    return Forecaster(Ports(market, calendar, runners, explainers=explainers), runners, model_set)


def _sources(settings: Settings) -> list[Source]:
    from market.bundled import BundledSource
    from market.files import FilesSource

    def source(name: str) -> Source:
        return FilesSource(settings.data_dir) if name == "files" and settings.data_dir else BundledSource()

    return [source(name) for name in settings.providers]
