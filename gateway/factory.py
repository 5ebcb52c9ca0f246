"""BentoML's service and app factory, bent where the contract needs it. (Signature first; body follows.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.options import GatewayOptions


def gateway_service(options: Callable[[], GatewayOptions]) -> type[Any]:
    """The class for ``@bentoml.service(service_class=...)``. ``options`` is called once, when the app is built,
    so that importing the service reads no environment."""
    raise NotImplementedError
