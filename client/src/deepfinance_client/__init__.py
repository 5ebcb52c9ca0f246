"""Typed client of a DeepFinance service: ``Client`` and ``AsyncClient``, with the same methods."""

from deepfinance_client.async_client import AsyncClient
from deepfinance_client.calls import Request
from deepfinance_client.client import Client
from deepfinance_client.errors import (
    DeepFinanceError,
    Forbidden,
    InvalidRequest,
    NoAnswerInTime,
    NotFound,
    RateLimited,
    Refused,
    ServiceFailed,
    Timeout,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    UnknownModel,
    UnknownSymbol,
    Unreachable,
)
from deepfinance_client.events import Event, MemberEvent
from deepfinance_client.forecasts import Forecasts
from deepfinance_client.retries import Retries
from deepfinance_client.subscriptions import Change, NoForecast, Update

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Change",
    "Client",
    "DeepFinanceError",
    "Event",
    "Forbidden",
    "Forecasts",
    "InvalidRequest",
    "MemberEvent",
    "NoAnswerInTime",
    "NoForecast",
    "NotFound",
    "RateLimited",
    "Refused",
    "Request",
    "Retries",
    "ServiceFailed",
    "Timeout",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "UnknownModel",
    "UnknownSymbol",
    "Unreachable",
    "Update",
    "__version__",
]
