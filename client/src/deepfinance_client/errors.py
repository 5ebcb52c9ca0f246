"""What can go wrong, as one tree.

DeepFinanceError
├── Unreachable             no connection, or it broke before the answer was there
├── NoAnswerInTime          connected, but no answer within the client's timeout
├── UnexpectedAnswer        an answer that is not the service's: a proxy, another version
└── Refused                 the service said no: status, code, message, details, request_id
    ├── InvalidRequest      400, 413, 415, 422; ``details`` name the fields
    ├── Unauthorized        401
    ├── Forbidden           403
    ├── NotFound            404
    │   ├── UnknownSymbol
    │   └── UnknownModel
    ├── RateLimited         429; ``retry_after`` seconds
    └── ServiceFailed       5xx
        ├── Unavailable     503; ``retry_after`` seconds
        └── Timeout         504
"""

from __future__ import annotations

import httpx
from pydantic import ValidationError

from deepfinance_client.responses import ErrorBody, ErrorInfo, FieldProblem


class DeepFinanceError(Exception):
    """Root of every error that this package raises on purpose."""


class Unreachable(DeepFinanceError):
    """There was no connection, or it broke before the answer was there."""


class NoAnswerInTime(DeepFinanceError):
    """No answer within the timeout of the client."""


class UnexpectedAnswer(DeepFinanceError):
    """Something answered that is not the service, or not a version of it that this package knows."""


class Refused(DeepFinanceError):
    """The service answered with an error.

    ``retry_after``: seconds after which asking again makes sense, None where the service does not say.
    """

    def __init__(self, status: int, info: ErrorInfo, retry_after: float | None = None) -> None:
        super().__init__(_said(info))
        self.status, self.info, self.retry_after = status, info, retry_after

    @property
    def code(self) -> str:
        """For programs, such as ``unknown_symbol``."""
        return self.info.code

    @property
    def message(self) -> str:
        """For people."""
        return self.info.message

    @property
    def details(self) -> list[FieldProblem]:
        """The fields that are wrong, if any."""
        return self.info.details

    @property
    def request_id(self) -> str:
        """What the service's log has this request under."""
        return self.info.request_id


class InvalidRequest(Refused):
    """A field is wrong, or the whole body is."""


class Unauthorized(Refused):
    """No key, or one that is not known."""


class Forbidden(Refused):
    """The key may not do this."""


class NotFound(Refused):
    """There is no such thing."""


class UnknownSymbol(NotFound):
    """No data source knows the symbol."""


class UnknownModel(NotFound):
    """No such model is published."""


class RateLimited(Refused):
    """More was asked than the key may ask."""


class ServiceFailed(Refused):
    """The service could not answer."""


class Unavailable(ServiceFailed):
    """It cannot answer now."""


class Timeout(ServiceFailed):
    """It did not answer within its own time."""


_OF_CODE: dict[str, type[Refused]] = {"unknown_symbol": UnknownSymbol, "unknown_model": UnknownModel}
_OF_STATUS: dict[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    429: RateLimited,
    503: Unavailable,
    504: Timeout,
}
_STATUS_OF_CODE = {"timeout": 504, "unavailable": 503, "source_unavailable": 503, "runner_unavailable": 503}


def refusal_late(info: ErrorInfo) -> Refused:
    """The error that ends a stream: its status has gone out long before, so its code tells it."""
    return refusal(_STATUS_OF_CODE.get(info.code, 500), info)


def refusal(status: int, info: ErrorInfo, retry_after: float | None = None) -> Refused:
    """The error of the tree for an error of the service."""
    otherwise = InvalidRequest if status < 500 else ServiceFailed
    kind = _OF_CODE.get(info.code) or _OF_STATUS.get(status) or otherwise
    return kind(status, info, retry_after)


def refusal_in(response: httpx.Response) -> DeepFinanceError:
    """The error in a response that has been read. One without the service's body is told by its status alone."""
    retry_after = _seconds(response.headers.get("retry-after"))
    try:
        return refusal(response.status_code, ErrorBody.model_validate_json(response.content).error, retry_after)
    except ValidationError:
        if response.status_code < 400 or response.status_code == 404:
            return UnexpectedAnswer(f"{response.url} answered {response.status_code}, but not as DeepFinance does")
    message = f"{response.url} answered {response.status_code} {response.reason_phrase}"
    request_id = response.headers.get("x-request-id", "")
    info = ErrorInfo(code="http_error", message=message, details=[], request_id=request_id)
    return refusal(response.status_code, info, retry_after)


def broken(error: httpx.TransportError) -> DeepFinanceError:
    """The error of the tree for a connection that failed."""
    said = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return NoAnswerInTime(f"no answer in time ({said})")
    return Unreachable(f"the service cannot be reached: {said}")


def _seconds(header: str | None) -> float | None:
    """``Retry-After`` in seconds; the form with a date is not used by the service and counts as not said."""
    return float(header) if header is not None and header.isascii() and header.isdigit() else None


def _said(info: ErrorInfo) -> str:
    fields = "".join(f"; {it.field}: {it.problem}" for it in info.details)
    named = f" (request {info.request_id})" if info.request_id else ""
    return f"{info.message}{fields} [{info.code}]{named}"
