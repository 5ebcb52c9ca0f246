"""The one error shape, and how everything that can go wrong becomes it.

``problem_of`` is the single place where an exception gets its status, code and words. Nothing of an
unexpected exception reaches the caller: its text may hold a path, a query or a secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from errors import (
    ConfigurationError,
    DeepFinanceError,
    ErrorDetail,
    InvalidRequest,
    MalformedBody,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from gateway import request_id
from gateway.field_problems import details_of, is_malformed

logger = logging.getLogger("deepfinance.gateway")

#: How every body in our shape begins. The door tells foreign errors by its absence.
ERROR_PREFIX = b'{"error":{"code":"'

_INTERNAL = "something went wrong on our side; quote the request id when you report it"


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it goes out."""

    status: int
    code: str
    message: str
    details: tuple[ErrorDetail, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


INTERNAL = Problem(500, "internal_error", _INTERNAL)

#: For errors that others answer: frameworks and routers, which know a status and little else.
_BY_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "the request cannot be understood"),
    401: ("unauthorized", "a valid API key is needed"),
    403: ("forbidden", "this key may not do that"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take that method"),
    408: ("timeout", "the request did not arrive in time"),
    413: ("payload_too_large", "the body is too large"),
    414: ("uri_too_long", "the address is too long"),
    415: ("unsupported_media_type", "the body must be application/json"),
    422: ("invalid_request", "the request is not valid"),
    429: ("rate_limited", "too many requests at once; ask again in a moment"),
    431: ("headers_too_large", "the headers are too large"),
    502: ("unavailable", "nothing can answer at the moment; ask again in a moment"),
    503: ("unavailable", "nothing can answer at the moment; ask again in a moment"),
    504: ("timeout", "no answer in time"),
}
_RETRY_AFTER = {429: "1", 502: "5", 503: "5"}


def problem_of(exc: BaseException) -> Problem:
    """The answer to an exception of any kind."""
    if isinstance(exc, DeepFinanceError):
        return _ours(exc)
    if isinstance(exc, ValidationError):
        return _invalid(exc)
    if isinstance(exc, HTTPException):
        return problem_for_status(exc.status_code, exc.headers or {})
    if isinstance(exc, (TimeoutError, asyncio.CancelledError)):
        return problem_for_status(504)
    return INTERNAL


def _ours(exc: DeepFinanceError) -> Problem:
    # Written for whoever runs the service, so it may name a path or a setting.
    if isinstance(exc, ConfigurationError):
        return INTERNAL
    headers: dict[str, str] = {}
    if isinstance(exc, (Unavailable, RateLimited)):
        headers["Retry-After"] = str(max(1, exc.retry_after))
    if isinstance(exc, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return Problem(exc.status, exc.code, exc.message, exc.details, headers)


def _invalid(exc: ValidationError) -> Problem:
    if is_malformed(exc):
        return _ours(MalformedBody("the body is not JSON"))
    details = details_of(exc)
    message = "1 field is wrong" if len(details) == 1 else f"{len(details)} fields are wrong"
    return _ours(InvalidRequest(message, details))


def problem_for_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """The answer in our words where only a status is known. ``headers`` (such as Allow) are kept."""
    code, message = _BY_STATUS.get(status) or _unlisted(status)
    kept = dict(headers or {})
    if status in _RETRY_AFTER and not any(name.lower() == "retry-after" for name in kept):
        kept["Retry-After"] = _RETRY_AFTER[status]
    return Problem(status, code, message, headers=kept)


def _unlisted(status: int) -> tuple[str, str]:
    return _BY_STATUS[400] if status < 500 else (INTERNAL.code, INTERNAL.message)


def error_info(problem: Problem) -> dict[str, Any]:
    """What stands under ``error``."""
    return {
        "code": problem.code,
        "message": problem.message,
        "details": [{"field": detail.field, "problem": detail.problem} for detail in problem.details],
        "request_id": request_id.current(),
    }


def error_body(problem: Problem) -> bytes:
    """The body, beginning with ERROR_PREFIX."""
    return orjson.dumps({"error": error_info(problem)})


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response through the fast encoder; numpy numbers are let through."""
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, status, dict(headers or {}), "application/json")


def error_response(exc: BaseException) -> Response:
    """The answer to an exception, which is logged if nobody foresaw it."""
    problem = problem_of(exc)
    log_if_unforeseen(exc, problem)
    return Response(error_body(problem), problem.status, dict(problem.headers), "application/json")


def log_if_unforeseen(exc: BaseException, problem: Problem) -> None:
    """Write the traceback of what became a 500, with the id that the caller was given."""
    if problem.status == INTERNAL.status:
        logger.error("request %s failed", request_id.current(), exc_info=exc)
