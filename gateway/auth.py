"""Who may come in: API keys, kept as hashes and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from errors import Unauthorized
from gateway.asgi import first_header

#: Answered without a key: the documentation, and the probes of orchestrators and load balancers.
PUBLIC_PATHS = frozenset(
    {"/", "/docs", "/docs.json", "/livez", "/readyz", "/healthz", "/api/v1/health"},
)


class KeyRing:
    """The keys that open the door, hashed. Keys are random and long: one round of SHA-256 is enough."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key.strip().encode()) for key in keys)

    def opens(self, key: bytes) -> bool:
        """Whether the key is one of ours. Every stored key is compared, so the time tells nothing."""
        digest = _digest(key)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class Gatekeeper:
    """Decides from the path of a request and the key it carries. With ``keys`` None everyone may come in."""

    def __init__(self, keys: KeyRing | None) -> None:
        self._keys = keys

    def check(self, scope: Mapping[str, Any]) -> None:
        """Let the request pass, or raise Unauthorized."""
        if self._keys is None or scope["path"] in PUBLIC_PATHS:
            return
        key = _key_of(scope)
        if key is None:
            raise Unauthorized("an API key is needed, in X-API-Key or as Authorization: Bearer")
        if not self._keys.opens(key):
            raise Unauthorized("this API key is not valid")


def _key_of(scope: Mapping[str, Any]) -> bytes | None:
    key = first_header(scope, b"x-api-key")
    if key is not None:
        return key
    scheme, _, token = (first_header(scope, b"authorization") or b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return token.strip()
    # Browsers cannot set headers on a websocket. Over HTTP a key in the address would end up in logs.
    return _key_in_query(scope) if scope["type"] == "websocket" else None


def _key_in_query(scope: Mapping[str, Any]) -> bytes | None:
    values = parse_qs(scope.get("query_string", b"")).get(b"api_key")
    return values[0] if values else None
