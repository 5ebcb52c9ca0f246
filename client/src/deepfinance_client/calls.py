"""What a request is: where it goes, what it says, and as what its answer is read.

An argument that is None is not sent, so the service's own default holds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypedDict, TypeVar

from deepfinance_client.body import Body

MAX_BATCH = 500
"""Most requests in one batch."""

Answer = TypeVar("Answer", bound=Body)
Timeframe = Literal["1d", "1h"]
Frequency = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
Covariance = Literal["sample", "ledoit_wolf"]


class Request(TypedDict, total=False):
    """One forecast to ask for. Only ``symbol`` is needed."""

    symbol: str
    horizon: int
    timeframe: Timeframe
    models: Sequence[str]
    weights: Mapping[str, float]
    confidence_level: float
    explain: bool


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, and what its answer is."""

    method: Literal["GET", "POST"]
    path: str
    answer: type[Answer]
    body: Mapping[str, Any] | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    may_be: frozenset[int] = frozenset()
    """Statuses above 399 that carry the answer all the same."""


def said(**arguments: Any) -> dict[str, Any]:
    """Those arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def request_of(asked: str | Request | Mapping[str, Any]) -> dict[str, Any]:
    """A symbol alone, or a request as it stands."""
    return {"symbol": asked} if isinstance(asked, str) else dict(asked)


def described(method: Any, route: Callable[..., Any], answer: str | None = None) -> None:
    """Give a method of a client the name, the documentation and the arguments of the route that it asks. ``answer`` is
    what it gives, where that is not what the call is read as.
    """
    asked = inspect.signature(route)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    answer = answer or str(asked.return_annotation).removeprefix("Call[").removesuffix("]")
    method.__name__ = method.__qualname__ = route.__name__
    method.__doc__ = route.__doc__
    method.__signature__ = asked.replace(parameters=[itself, *asked.parameters.values()], return_annotation=answer)
