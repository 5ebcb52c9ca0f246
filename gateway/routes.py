"""The read-only routes, mounted at /api/v1. (Signature first; body follows.)"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from gateway.backend import Backend


def build_routes(backend: Callable[[], Backend]) -> FastAPI:
    """GET /health, /models, /models/{name}, /symbols, /symbols/{symbol}; ``backend`` is called for every request."""
    raise NotImplementedError
