"""What the gateway is told at start, as one frozen record. Nothing here reads the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.hot import HotAnswers
from gateway.keys import parse_keys
from gateway.limits import Limit


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """``api_keys``, written as ``gateway.keys`` reads them, may be empty only with ``auth`` False: who lets everyone
    in has to say so in words. ``rate_limit`` is for keys that have no limit of their own; gateways count together in
    ``redis_url`` or, without it, the workers of this one in ``windows_file``; without either everyone counts alone.
    ``trusted_proxies`` are the addresses and networks whose ``X-Forwarded-For`` is believed. A key may have
    ``max_sockets`` websockets open on one gateway.

    ``frontend_origin`` is the one origin whose pages may call us, or None for no CORS headers at all.
    ``max_body_bytes`` bounds a request body, ``body_timeout_s`` how long it may take to arrive.
    ``access_log`` writes one line per request to the logger ``deepfinance.access``. ``hot`` keeps forecasts for the
    door; None for one of its own. With ``traced`` every request is a span.
    """

    api_keys: tuple[str, ...] = field(default=(), repr=False)
    auth: bool = True
    rate_limit: str = "100/minute"
    redis_url: str | None = field(default=None, repr=False)
    windows_file: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    max_sockets: int = 2_000
    frontend_origin: str | None = None
    max_body_bytes: int = 1_048_576
    body_timeout_s: float = 15.0
    access_log: bool = True
    hot: HotAnswers | None = field(default=None, repr=False)
    traced: bool = False

    def __post_init__(self) -> None:
        if self.auth and not self.api_keys:
            raise ValueError("an API key is needed unless authentication is switched off in so many words")
        parse_keys(self.api_keys)
        Limit.parse(self.rate_limit)
