"""The error tree. Each class carries its wire code and HTTP status; foreign errors are translated where they enter.

DeepFinanceError
├── InvalidRequest          422  a field is wrong; ``details`` name it
│   ├── ModelSetRefused     422  the published model set cannot be served; the one in use stays
│   ├── MalformedBody       400  not JSON
│   ├── PayloadTooLarge     413
│   ├── UriTooLong          414
│   └── HeadersTooLarge     431
├── Unauthorized            401
├── Forbidden               403
├── NotFound                404
│   ├── UnknownSymbol       404
│   └── UnknownModel        404
├── MethodNotAllowed        405
├── UnsupportedMediaType    415
├── RateLimited             429  with ``retry_after`` seconds
├── UnusableSeries          422  the symbol exists but its bars cannot carry a forecast
├── Unavailable             503  with ``retry_after`` seconds
│   ├── SourceUnavailable   503  no data source could answer
│   ├── RunnerUnavailable   503  a model runner could not answer
│   └── HistoryUnavailable  503  the database of forecasts is away; forecasts go on
├── Timeout                 504
├── TaskFailed              a part of a batch has no result; never reaches a caller
└── ConfigurationError      stops the start; never reaches a caller
    └── ArtefactError       a model set that does not fit the code or its own manifest
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One offending field: where it is (``weights.xgboost``), what is wrong, and what would be right."""

    field: str
    problem: str


class DeepFinanceError(Exception):
    """Root of every error this project raises on purpose.

    ``message`` is written for the caller of the API: no path, no class name, no secret.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


class InvalidRequest(DeepFinanceError):
    code, status = "invalid_request", 422


class ModelSetRefused(InvalidRequest):
    code = "model_set_refused"


class MalformedBody(InvalidRequest):
    code, status = "malformed_body", 400


class PayloadTooLarge(InvalidRequest):
    code, status = "payload_too_large", 413


class UriTooLong(InvalidRequest):
    code, status = "uri_too_long", 414


class HeadersTooLarge(InvalidRequest):
    code, status = "headers_too_large", 431


class Unauthorized(DeepFinanceError):
    code, status = "unauthorized", 401


class Forbidden(DeepFinanceError):
    code, status = "forbidden", 403


class NotFound(DeepFinanceError):
    code, status = "not_found", 404


class UnknownSymbol(NotFound):
    code = "unknown_symbol"


class UnknownModel(NotFound):
    code = "unknown_model"


class MethodNotAllowed(DeepFinanceError):
    code, status = "method_not_allowed", 405


class UnsupportedMediaType(DeepFinanceError):
    code, status = "unsupported_media_type", 415


class RateLimited(DeepFinanceError):
    """Too much was asked for; ``retry_after`` is the number of seconds after which asking again makes sense."""

    code, status = "rate_limited", 429

    def __init__(self, message: str, details: Sequence[ErrorDetail] = (), *, retry_after: int = 1) -> None:
        super().__init__(message, details)
        self.retry_after = retry_after


class UnusableSeries(DeepFinanceError):
    code, status = "unusable_series", 422


class Unavailable(DeepFinanceError):
    """Nothing can answer now; ``retry_after`` is the number of seconds after which asking again makes sense."""

    code, status = "unavailable", 503

    def __init__(self, message: str, details: Sequence[ErrorDetail] = (), *, retry_after: int = 5) -> None:
        super().__init__(message, details)
        self.retry_after = retry_after


class SourceUnavailable(Unavailable):
    code = "source_unavailable"


class RunnerUnavailable(Unavailable):
    code = "runner_unavailable"


class HistoryUnavailable(Unavailable):
    code = "history_unavailable"


class Timeout(DeepFinanceError):
    code, status = "timeout", 504


class TaskFailed(DeepFinanceError):
    """Tasks of a batch; the message says why the first of them failed, and there is a detail for each."""

    code = "task_failed"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(detail.field for detail in self.details)


class ConfigurationError(DeepFinanceError):
    code = "configuration_error"


class ArtefactError(ConfigurationError):
    code = "artefact_error"
