"""A service whose door is set as the environment says, with a websocket that echoes and a route that fails."""

from __future__ import annotations

import logging
import os
from functools import partial

import bentoml
from fastapi import FastAPI, Request, WebSocket
from starlette.responses import Response

from gateway import factory, limits
from gateway.factory import gateway_service
from gateway.options import GatewayOptions
from gateway.shared_limits import RedisWindows
from logs import configure_logging
from settings import load_settings

# What is tested is the count, and a busy machine may be late; a Redis that is dead refuses at once.
limits._PATIENCE = 60.0
factory.RedisWindows = partial(RedisWindows, patience=60.0)  # type: ignore[assignment,misc]


def options() -> GatewayOptions:
    settings = load_settings()
    return GatewayOptions(
        api_keys=settings.api_keys,
        rate_limit=settings.rate_limit,
        redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
        trusted_proxies=settings.trusted_proxies,
        body_timeout_s=3.0,
    )


app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/echo")
async def echo() -> Response:
    return Response(b"here")


@app.post("/body")
async def body(request: Request) -> Response:
    return Response(str(len(await request.body())))


@app.get("/fails")
async def fails() -> Response:
    raise RuntimeError(f"cannot log in with {os.environ['REDIS_URL']}")


@app.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    await socket.accept()
    logging.getLogger("uvicorn.error").warning("a library says %s", socket.url)
    async for text in socket.iter_text():
        if text == "fail":
            raise RuntimeError(f"cannot ask https://provider.example/?apikey={os.environ['FINNHUB_API_KEY']}")
        await socket.send_text("yes" if socket.scope["deepfinance.caller"].hit() else "no")


@bentoml.asgi_app(app, path="/api/v1")
@bentoml.service(name="guarded", service_class=gateway_service(options))
class Guarded:
    def __init__(self) -> None:
        settings = load_settings()
        configure_logging(settings.debug, settings.secrets)
