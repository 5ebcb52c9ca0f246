"""The configured sources, from plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import stamina.instrumentation

from contracts import Calendar, SharedCache
from market import alpha_vantage, binance, finnhub, yahoo
from market.bundled import BundledSource
from market.files import FilesSource
from market.guard import Guard
from market.pace import Allowance
from market.remote import RemoteSource
from market.source import Source
from market.transport import BrowserTransport, HttpxTransport, Transport
from market.vendor import Vendor

T = TypeVar("T")

LOOK_EVERY = 1.0
"""Seconds between looks whether a price file has changed."""

ADDRESSES: Mapping[str, str] = {
    "yahoo": yahoo.BASE_URL,
    "finnhub": finnhub.BASE_URL,
    "alpha_vantage": alpha_vantage.BASE_URL,
    "binance": binance.BASE_URL,
}
_ALLOWANCES: Mapping[str, Sequence[Allowance]] = {
    "yahoo": yahoo.ALLOWANCES,
    "finnhub": finnhub.ALLOWANCES,
    "alpha_vantage": alpha_vantage.ALLOWANCES,
    "binance": binance.ALLOWANCES,
}


def build_sources(
    names: Sequence[str],
    calendar: Calendar,
    *,
    data_dir: Path | None = None,
    finnhub_key: str | None = None,
    alpha_vantage_key: str | None = None,
    ttl: float = 300.0,
    shared: SharedCache | None = None,
    addresses: Mapping[str, str] | None = None,
) -> list[Source]:
    """Sources in the order of ``names``; ``ttl`` is DATA_CACHE_TTL in seconds; ``addresses`` are those of mirrors, by
    name. Opens no connection yet.

    Raises ValueError for a name that is not known, or that lacks its key or directory.
    """
    stamina.instrumentation.set_on_retry_hooks(
        []
    )  # attempts are counted in market.meters, failures logged by the guard
    pooled = HttpxTransport()
    keys = {"finnhub": finnhub_key, "alpha_vantage": alpha_vantage_key}

    def built(name: str) -> Source:
        if name == "bundled":
            return BundledSource()
        if name == "files":
            return FilesSource(_needed(data_dir, name), look_every=LOOK_EVERY)
        if name not in ADDRESSES:
            raise ValueError(f"there is no data source {name!r}")
        transport: Transport = BrowserTransport() if name == "yahoo" else pooled
        guard = Guard(name, transport, _ALLOWANCES[name])
        return RemoteSource(
            _vendor(name, keys, (addresses or {}).get(name) or ADDRESSES[name]), guard, calendar, ttl=ttl, shared=shared
        )

    return [built(name) for name in names]


def _vendor(name: str, keys: Mapping[str, str | None], address: str) -> Vendor:
    match name:
        case "yahoo":
            return yahoo.Yahoo(address)
        case "finnhub":
            return finnhub.Finnhub(_needed(keys[name], name), address)
        case "alpha_vantage":
            return alpha_vantage.AlphaVantage(_needed(keys[name], name), address)
        case "binance":
            return binance.Binance(address)
    raise ValueError(f"there is no data source {name!r}")


def _needed(value: T | None, name: str) -> T:
    if value is None:
        raise ValueError(f"the data source {name} lacks its key or directory")
    return value
