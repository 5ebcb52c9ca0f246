"""Who may come in, and what for: keys kept as hashes and compared in constant time, the scope of each route, and
the addresses from which too many wrong keys come.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any
from urllib.parse import parse_qs

from errors import Forbidden, RateLimited, Unauthorized
from gateway.keys import ApiKey, Scope, digest_of
from gateway.limits import Addresses, Allowance, Limit, SharedWindows

#: Answered without a key: the documentation, and the probes of orchestrators and load balancers.
PUBLIC_PATHS = frozenset(
    {"/", "/docs", "/docs.json", "/livez", "/readyz", "/healthz", "/api/v1/health"},
)
#: Needs a key, but is not counted: what scrapes it comes by the clock.
UNCOUNTED_PATHS = frozenset({"/metrics", "/api/v1/metrics"})
#: What a key must be allowed to do there. Every other path, known or not, needs ``read``.
SCOPE_OF_PATH: Mapping[str, Scope] = {
    "/api/v1/predict": "predict",
    "/api/v1/predict/batch": "predict",
    "/api/v1/predict/stream": "predict",
    "/api/v1/stream": "predict",
    "/api/v1/models/reload": "admin",
}
#: Of requests without a good key, from one address.
STRANGERS = Limit(60, 60)


class Caller:
    """Whoever a key belongs to. Open sockets keep it, from ``scope["deepfinance.caller"]``."""

    __slots__ = ("_expires_at", "_now", "allowance", "name", "open_sockets", "scopes")

    def __init__(self, key: ApiKey, allowance: Allowance, now: Callable[[], float] = time.time) -> None:
        self.name, self.scopes, self.allowance = key.name, key.scopes, allowance
        self.open_sockets = 0
        self._expires_at, self._now = key.expires_at, now

    def is_valid(self) -> bool:
        """Whether the key has not expired."""
        return self._now() < self._expires_at

    def hit(self) -> bool:
        """Count one message on an open socket; whether it may pass. Never waits."""
        return self.allowance.hit()


class KeyRing:
    """The callers whose keys open the door."""

    def __init__(self, keys: Sequence[ApiKey], caller_of: Callable[[ApiKey], Caller]) -> None:
        self._callers = tuple((key.digest, caller_of(key)) for key in keys)

    def find(self, key: bytes) -> Caller | None:
        """Whose key it is. Every stored one is compared, so the time tells nothing."""
        digest = digest_of(key)
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


class Gatekeeper:
    """Decides from the path of a request, the key it carries and where it comes from.

    With ``keys`` None everyone may come in, each address within ``limit``; else ``limit`` is for keys that have none
    of their own.
    """

    def __init__(
        self,
        keys: Sequence[ApiKey] | None,
        limit: Limit,
        shared: SharedWindows | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._limit, self._shared, self._now = limit, shared, now
        self._keys = None if keys is None else KeyRing(keys, self._caller)
        self._strangers = Addresses(lambda address: Allowance(address, STRANGERS))
        self._anyone = Addresses(self._nobody)

    def caller(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Caller | None:
        """Who asks; None on a public path. Raises Unauthorized, or RateLimited where strangers ask too often."""
        path = scope["path"]
        if path in PUBLIC_PATHS:
            return None
        if self._keys is None:
            return self._anyone.of(address_of(scope))
        key = _key_of(scope, headers)
        caller = None if key is None else self._keys.find(key)
        if caller is not None and caller.is_valid():
            return caller
        self._count_stranger(scope)
        raise Unauthorized(_why_not(key, caller))

    def holder(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Caller | None:
        """Whose good key for this path the request carries, None where there is none; counts nothing."""
        key = _key_of(scope, headers)
        caller = None if key is None or self._keys is None else self._keys.find(key)
        needed = SCOPE_OF_PATH.get(scope["path"], "read")
        return caller if caller is not None and caller.is_valid() and needed in caller.scopes else None

    def check_scope(self, scope: Mapping[str, Any], caller: Caller) -> None:
        """Raise Forbidden where the key is not for this path."""
        # Routes match a path with a line feed at its end as well.
        needed = SCOPE_OF_PATH.get(scope["path"].rstrip("\n"), "read")
        if needed not in caller.scopes:
            raise Forbidden(f"this API key may not do that: it lacks the scope {needed}")

    def _caller(self, key: ApiKey) -> Caller:
        return Caller(key, Allowance(key.digest.hex()[:32], key.limit or self._limit, self._shared), self._now)

    def _nobody(self, address: str) -> Caller:
        return Caller(ApiKey("anyone", b""), Allowance(f"address:{address}", self._limit, self._shared), self._now)

    def _count_stranger(self, scope: Mapping[str, Any]) -> None:
        allowance = self._strangers.of(address_of(scope))
        if not allowance.take_now():
            raise too_many("too many requests without a valid API key from this address", allowance)


def too_many(message: str, allowance: Allowance) -> RateLimited:
    """With the seconds after which one more may pass."""
    return RateLimited(f"{message}; ask again later", retry_after=max(1, ceil(allowance.reset_after)))


def address_of(scope: Mapping[str, Any]) -> str:
    """The client's address; of IPv6 the /64, which is what one subscriber has. Without a socket, one for all."""
    host = (scope.get("client") or ("unknown", 0))[0]
    if ":" not in host:
        return str(host)
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return str(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> 64:x}::/64"


def _why_not(key: bytes | None, caller: Caller | None) -> str:
    if key is None:
        return "an API key is needed, in X-API-Key or as Authorization: Bearer"
    return "this API key is not valid" if caller is None else "this API key has expired"


def _key_of(scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bytes | None:
    key = headers.get(b"x-api-key")
    if key is not None:
        return key
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return token.strip()
    # Browsers cannot set headers on a websocket. Over HTTP a key in the address would end up in logs.
    return _key_in_query(scope) if scope["type"] == "websocket" else None


def _key_in_query(scope: Mapping[str, Any]) -> bytes | None:
    values = parse_qs(scope.get("query_string", b"")).get(b"api_key")
    return values[0] if values else None
