"""How a runner is served."""

from __future__ import annotations

from _bentoml_sdk import Service
from starlette.types import ASGIApp

from logs import configure_logging


class RunnerService(Service):  # type: ignore[misc]
    """A BentoML service that writes its log as the gateway does."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        configure_logging()
        app: ASGIApp = super().to_asgi(is_main)
        return app
