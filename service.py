"""The one BentoML service: endpoints and wiring, nothing else.

Every process of the service imports this module, the runners' too: what only the gateway needs is imported
when it starts.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import bentoml
from bentoml import get_current_service  # bentoml looks it up anew each time it is asked for it
from bentoml.exceptions import BentoMLConfigException
from starlette.responses import Response

from counting import COUNTS
from errors import ConfigurationError
from gateway import request_id
from gateway.draining import DRAINING
from gateway.factory import gateway_service
from gateway.hot import hot_answers
from gateway.options import GatewayOptions
from gateway.predict import answer_batch, answer_predict
from gateway.routes import build_routes
from gateway.schemas import BatchRequest, BatchResponse, PredictRequest, PredictResponse
from logs import configure_logging
from runners.artefact import read_manifest, verify_servable
from runners.combined_runner import CombinedRunner
from runners.joined import joined
from runners.layout import chosen_layout, chosen_workers, cores_at_hand
from runners.lstm_runner import LstmRunner
from runners.store import declared_model_set, serve_version
from runners.transformer_runner import TransformerRunner
from runners.xgboost_runner import XgboostRunner
from settings import gateway_workers, load_settings, model_set_folder, runner_layout, runner_urls, service_options

log = logging.getLogger("deepfinance.service")

MODEL_SET = declared_model_set(model_set_folder())
LAYOUT = chosen_layout(runner_layout(), cores_at_hand())
LAYOUT = replace(LAYOUT, workers=chosen_workers(gateway_workers(), LAYOUT.name, cores_at_hand()))
RUNNER_URLS = runner_urls()
RUNNERS: dict[str, dict[str, Any]] = {
    "per_model": {"xgboost": XgboostRunner, "lstm": LstmRunner, "transformer": TransformerRunner},
    "combined": {"combined": CombinedRunner},
    "embedded": {},
}

SERVICE_OPTIONS: dict[str, Any] = {
    **service_options("DeepFinance"),
    "workers": LAYOUT.workers,
    "runner_probe": {"enabled": False},  # it waits for the timeout of a dead runner; __is_ready__ does not
    "envs": [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "OPENBLAS_NUM_THREADS", "value": "1"}],
}


def gateway_options() -> GatewayOptions:
    """What the front door needs to know."""
    settings = load_settings()
    return GatewayOptions(
        api_keys=settings.api_keys,
        auth=settings.auth == "on",
        rate_limit=settings.rate_limit,
        redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
        windows_file=settings.state_dir / "limits.db" if LAYOUT.workers > 1 else None,
        trusted_proxies=settings.trusted_proxies,
        frontend_origin=settings.frontend_origin,
        hot=hot_answers(),
        traced=settings.traces == "otlp",
    )


def backend() -> Any:
    """That of the gateway in this process, once it has started."""
    return get_current_service().backend


@bentoml.asgi_app(build_routes(backend, lambda: backend().broadcaster), path="/api/v1")
@bentoml.service(service_class=gateway_service(gateway_options, backend), **SERVICE_OPTIONS)
class DeepFinance(joined(RUNNERS[LAYOUT.name], RUNNER_URLS)):  # type: ignore[misc]
    """Price forecasts from several models, with the evidence beside every number."""

    model_set = MODEL_SET
    layout = LAYOUT
    runner_urls = RUNNER_URLS

    def __init__(self) -> None:
        settings = load_settings()
        configure_logging(settings.debug, settings.secrets, request_id.current)
        log.info("runner layout %s: %s; gateway workers: %d", LAYOUT.name, LAYOUT.reason, LAYOUT.workers)
        from wiring import build_backend  # the gateway alone needs it

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
            folder = Path(MODEL_SET.resolve().path)
            verify_servable(folder)
        except ConfigurationError as error:
            raise BentoMLConfigException(error.message) from None
        configure_logging(settings.debug, settings.secrets)
        from runners.supervisor import supervise_in_order  # the supervisor alone needs it

        supervise_in_order()
        try:
            serve_version(str(read_manifest(folder)["models_version"]))
        except OSError as error:
            # an image: its file system is read-only and its set is its own
            log.info("the model set stays the same while this runs: %s", error.strerror)
        for warning in settings.warnings:
            log.warning("%s", warning)

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        DRAINING.take_over()
        self.backend.on_reloaded(lambda _: hot_answers().clear())
        self.backend.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        await self.backend.close()
        COUNTS.hand_over()

    async def __is_ready__(self) -> bool:
        return not DRAINING.active and await self.backend.is_ready()
