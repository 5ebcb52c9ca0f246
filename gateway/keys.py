"""API keys as they are written in ``ML_SERVICE_API_KEY``: ``KEY;name=desk;scopes=read+predict;limit=1000/minute``.

What is wrong is said without repeating a word of it: a part in the wrong place may be the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Literal

from gateway.limits import Limit

Scope = Literal["read", "predict", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "predict", "admin")
_PARTS = ("name", "scopes", "limit", "expires")
_LONGEST_NAME = 32


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without the key: ``digest`` is its SHA-256. ``limit`` None means the limit of the service.

    ``expires_at`` is in seconds since 1970; from then on the key is refused.
    """

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[Scope] = frozenset(SCOPES)
    limit: Limit | None = None
    expires_at: float = inf


def digest_of(key: bytes) -> bytes:
    """Keys are random and long: one round of SHA-256 is enough."""
    return hashlib.sha256(key).digest()


def parse_keys(texts: Sequence[str]) -> tuple[ApiKey, ...]:
    """Every key, in order. Raises ValueError that says which one is wrong by its place, counted from 1."""
    keys = tuple(_parse(text, place) for place, text in enumerate(texts, 1))
    _refuse_twins([key.digest for key in keys], "are the same key")
    _refuse_twins([key.name for key in keys], "have the same name")
    return keys


def _parse(text: str, place: int) -> ApiKey:
    key, *parts = (part.strip() for part in text.split(";"))
    if not key:
        raise ValueError(f"API key {place} must not be empty")
    if key.partition("=")[0] in _PARTS:
        raise ValueError(f"API key {place}: the key itself comes first, then ;{key.partition('=')[0]}=...")
    said = _said(parts, place)
    try:
        return ApiKey(
            name=_name(said.get("name", f"key-{place}")),
            digest=digest_of(key.encode()),
            scopes=_scopes(said["scopes"]) if "scopes" in said else frozenset(SCOPES),
            limit=Limit.parse(said["limit"]) if "limit" in said else None,
            expires_at=_expiry(said["expires"]) if "expires" in said else inf,
        )
    except ValueError as error:
        raise ValueError(f"API key {place}: {error}") from None


def _said(parts: Sequence[str], place: int) -> dict[str, str]:
    said: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or name not in _PARTS:
            known = ", ".join(f"{known}=" for known in _PARTS)
            raise ValueError(f"API key {place}: after the key and a semicolon come {known} and nothing else")
        if name in said:
            raise ValueError(f"API key {place}: {name}= is said twice")
        said[name] = value
    return said


def _name(text: str) -> str:
    if not 0 < len(text) <= _LONGEST_NAME or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"a name is up to {_LONGEST_NAME} letters, digits, - and _")
    return text


def _scopes(text: str) -> frozenset[Scope]:
    named = text.split("+")
    if not set(named) <= set(SCOPES):
        raise ValueError(f"scopes are {', '.join(SCOPES)}, joined by +")
    return frozenset(scope for scope in SCOPES if scope in named)


def _expiry(text: str) -> float:
    """The end of the day in UTC; a time without an offset is UTC as well."""
    try:
        moment = datetime.fromisoformat(text)
        if len(text) <= len("2027-01-31"):
            moment += timedelta(days=1)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("expires is a date such as 2027-01-31 (through that day, UTC), or a date and time") from None


def _refuse_twins(values: Sequence[object], what: str) -> None:
    first: dict[object, int] = {}
    for place, value in enumerate(values, 1):
        if (other := first.setdefault(value, place)) != place:
            raise ValueError(f"API keys {other} and {place} {what}")
