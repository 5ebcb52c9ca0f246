"""HTTP as the sources need it: status, headers and body, or ``Faulty``.

Errors of the libraries end here, without their texts: those can hold an address, and the address a key. No redirect
is followed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from market.faults import Faulty

CONNECT_SECONDS = 1.0
TOTAL_SECONDS = 5.0
CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Reply:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    async def get(self, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Raises Faulty."""
        ...

    async def close(self) -> None: ...


class HttpxTransport:
    """One pool of connections for the sources that take any client."""

    def __init__(self, *, connect: float = CONNECT_SECONDS, total: float = TOTAL_SECONDS) -> None:
        self._timeout = httpx.Timeout(total, connect=connect, pool=connect)
        self._total = total
        self._client: httpx.AsyncClient | None = None

    async def get(self, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        try:
            async with asyncio.timeout(self._total):
                reply = await self._opened().get(url, params=dict(params), headers=dict(headers))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError):
            raise Faulty("cannot be reached", unreachable=True) from None
        except (httpx.TimeoutException, TimeoutError):
            raise Faulty("does not answer in time", worth_retrying=False) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise Faulty("broke off its answer") from None
        return Reply(reply.status_code, {name.lower(): value for name, value in reply.headers.items()}, reply.content)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it writes every address, query included
            limits = httpx.Limits(max_connections=CONNECTIONS)
            self._client = httpx.AsyncClient(timeout=self._timeout, limits=limits)
        return self._client


class BrowserTransport:
    """The TLS and HTTP/2 of a browser, which Yahoo insists on; libcurl underneath (curl_cffi)."""

    def __init__(self, *, connect: float = CONNECT_SECONDS, total: float = TOTAL_SECONDS) -> None:
        self._connect, self._total = connect, total
        self._session: Any = None

    async def get(self, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        from curl_cffi.requests import exceptions

        session = self._opened()
        try:
            async with asyncio.timeout(self._total):
                reply = await session.get(url, params=dict(params), headers=dict(headers))
        except (exceptions.Timeout, TimeoutError) as error:
            if "onnection time" in str(error) or "esolving time" in str(error):  # libcurl tells them apart in words
                raise Faulty("cannot be reached", unreachable=True) from None
            raise Faulty("does not answer in time", worth_retrying=False) from None
        except (exceptions.DNSError, exceptions.SSLError, exceptions.ProxyError):
            raise Faulty("cannot be reached", unreachable=True) from None
        except exceptions.RequestException as error:
            refused = error.code == 7  # CURLE_COULDNT_CONNECT; its class also means connections lost later
            raise Faulty("cannot be reached" if refused else "broke off its answer", unreachable=refused) from None
        names = {name.lower(): value or "" for name, value in reply.headers.items()}
        return Reply(reply.status_code, names, reply.content)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> Any:
        if self._session is None:
            from curl_cffi.requests import AsyncSession  # made in the loop that uses it

            self._session = AsyncSession(
                impersonate="chrome",
                timeout=(self._connect, self._total),
                max_clients=CONNECTIONS,
                allow_redirects=False,
            )
        return self._session
