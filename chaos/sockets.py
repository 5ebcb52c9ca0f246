"""`python -m chaos.sockets [--sockets 1000]`: many open websockets on one gateway worker.

What they cost in memory, how long a changed price takes to the last of them, and how they are closed: where a reader
stops reading, a key expires, the service stops. Prints it; the exit status is 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.server import KEY, Server, running

MORE_MEMORY, LATEST = 300.0, 2.0
"""MB that a thousand sockets may cost, and seconds until the last of them knows."""
SHORT_LIVED = "a-key-that-expires"
SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
Address = Callable[[str], str]


@dataclass
class Prices:
    """Price files of a thousand days each, the last close of which can be changed."""

    folder: Path
    closes: np.ndarray[Any, Any] = field(
        default_factory=lambda: 40 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.02, 1000)))
    )

    def change(self) -> None:
        """Write every file anew; readers see the old one or the new one."""
        self.closes[-1] *= 1.01
        days = np.busday_offset("2020-01-02", np.arange(len(self.closes)), roll="forward")
        lines = [f"{day},{close:.4f}" for day, close in zip(days, self.closes, strict=True)]
        for symbol in SYMBOLS:
            draft = self.folder / f"{symbol}.draft"
            draft.write_text("\n".join(["date,close", *lines]) + "\n")
            draft.rename(self.folder / f"{symbol}.csv")


class Listener:
    """A socket that subscribes to one symbol and notes when it was told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.told_at, self.forecasts = 0.0, 0
        self.closed: tuple[int, str] | None = None
        self._socket = socket
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            async for message in self._socket:
                if b'"type":"forecast"' in (message if isinstance(message, bytes) else message.encode()):
                    self.told_at, self.forecasts = time.monotonic(), self.forecasts + 1
        except ConnectionClosed:
            pass
        self.closed = (self._socket.close_code or 0, self._socket.close_reason or "")

    async def close(self) -> None:
        await self._socket.close()
        await self._task


@contextmanager
def served(home: Path, expires_in: float) -> Iterator[tuple[Server, Prices]]:
    """One worker over files, with a second key that expires so many seconds from now."""
    prices = Prices(home / "prices")
    prices.folder.mkdir()
    prices.change()
    with running("service:DeepFinance", home / "service", **_settings(prices.folder, expires_in)) as server:
        yield server, prices


def _settings(folder: Path, expires_in: float) -> dict[str, Any]:
    expiry = (datetime.now(UTC) + timedelta(seconds=expires_in)).isoformat(timespec="seconds")
    keys = f"{KEY},{SHORT_LIVED};name=short;expires={expiry}"
    return {"DATA_DIR": str(folder), "DATA_CACHE_TTL": "0", "ML_SERVICE_API_KEY": keys}


def address_of(server: Server) -> Address:
    return lambda key: f"{server.url.replace('http', 'ws')}/api/v1/stream?api_key={key}"


def memory(server: Server) -> float:
    """MB that belong to the service's processes alone."""
    return sum(it.memory_full_info().uss for it in server.family()) / 1e6


async def opened(address: str, symbol: str) -> Listener:
    made = await connect(address, compression=None, open_timeout=30, max_size=2**20)
    await made.send(orjson.dumps({"action": "subscribe", "symbol": symbol}).decode())
    return Listener(made)


async def open_all(address: str, count: int) -> list[Listener]:
    """Twenty at a time, until each has had its first forecast."""
    turns = asyncio.Semaphore(20)

    async def one(number: int) -> Listener:
        async with turns:
            return await opened(address, SYMBOLS[number % len(SYMBOLS)])

    listeners = list(await asyncio.gather(*(one(number) for number in range(count))))
    await until(lambda: all(it.forecasts for it in listeners), 60)
    return listeners


async def until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Wait for it; whether it came."""
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:  # noqa: ASYNC110 (nobody sets an event)
        await asyncio.sleep(0.02)
    return is_so()


async def delay_of_a_change(listeners: list[Listener], prices: Prices) -> float:
    """Seconds from a changed file to the message that the last one was sent; infinite where one was not told."""
    before = [it.forecasts for it in listeners]
    changed_at = time.monotonic()
    prices.change()
    told = lambda: all(it.forecasts > had for it, had in zip(listeners, before, strict=True))  # noqa: E731
    if not await until(told, 20):
        return float("inf")
    return max(it.told_at for it in listeners) - changed_at


async def cut_off(address: str) -> tuple[float, str]:
    """Two readers subscribe, let everything between fill up, and read nothing: seconds until the one that never does is
    let go, and what the one that does after six seconds is told."""
    never, late = await _narrow(address), await _narrow(address)
    started = time.monotonic()
    asking = [asyncio.create_task(_keep_asking(it)) for it in (never, late)]
    await asyncio.sleep(6)
    asking[1].cancel()
    said = await _last_word(late)
    gone = await until(asking[0].done, 60)
    took = time.monotonic() - started if gone else float("inf")
    asking[0].cancel()
    return took, said


async def _narrow(address: str) -> ClientConnection:
    """A connection that holds little of what is not read."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = address.split("/")[2].split(":")
    small.connect((host, int(port)))
    return await connect(address, sock=small, compression=None, max_queue=1, ping_interval=None, max_size=2**20)


async def _last_word(reader: ClientConnection) -> str:
    try:
        async with asyncio.timeout(20):
            async for _ in reader:
                pass
    except ConnectionClosed:
        pass
    except TimeoutError:
        return "still open"
    return f"{reader.close_code} {reader.close_reason}"


async def _keep_asking(stuck: ClientConnection) -> None:
    """Subscriptions bring a forecast each; unread, they fill what lies between. Ends when sending fails."""
    try:
        for number in range(1_000_000):
            ask = {"action": "subscribe", "symbol": SYMBOLS[number % 5], "horizon": 70 + number % 20}
            await stuck.send(orjson.dumps(ask).decode())
            await asyncio.sleep(0.002)
    except ConnectionClosed:
        pass


async def closing_words(address: str, act: Callable[[], Awaitable[None]], within: float) -> tuple[int, str]:
    """How a socket is closed after ``act``."""
    listener = await opened(address, SYMBOLS[0])
    await until(lambda: listener.forecasts > 0, 20)
    await act()
    await until(lambda: listener.closed is not None, within)
    return listener.closed or (0, "still open")


@dataclass(frozen=True)
class Figures:
    """``memory_mb`` is what the sockets cost, ``delays`` seconds to the last one."""

    sockets: int
    memory_mb: float
    delays: list[float]
    expired: tuple[int, str]
    stuck: tuple[float, str]
    stopped: set[tuple[int, str]]

    def faults(self, latest: float = LATEST) -> list[str]:
        """In words; empty if all is as it should be."""
        found = []
        if self.memory_mb > MORE_MEMORY:
            found.append(f"{self.sockets} sockets took {self.memory_mb:.0f} MB")
        if max(self.delays) > latest:
            found.append(f"the last socket was told after {max(self.delays):.2f} s")
        if self.expired != (1008, "the API key has expired"):
            found.append(f"an expired key: {self.expired}")
        if self.stuck[0] > 60 or "too slow" not in self.stuck[1]:
            found.append(f"a reader that stops: {self.stuck}")
        if self.stopped != {(1001, "the service is stopping")}:
            found.append(f"at the end: {self.stopped}")
        return found

    def __str__(self) -> str:
        delays = ", ".join(f"{it:.2f}" for it in self.delays)
        return "\n".join(
            (
                f"{self.sockets} sockets: {self.memory_mb:.0f} MB more, {self.memory_mb / self.sockets:.3f} MB each",
                f"changed prices to the last socket's message: {delays} s",
                f"a key that expires: {self.expired}",
                f"a reader that stops reading: let go after {self.stuck[0]:.1f} s, told {self.stuck[1]!r}",
                f"SIGTERM: {self.stopped}",
            )
        )


async def observe(server: Server, prices: Prices, count: int, changes: int, expires_at: float) -> Figures:
    """Everything, one after the other."""
    address = address_of(server)

    async def expiry() -> None:
        await asyncio.sleep(max(0.0, expires_at - time.monotonic()))

    warm = await open_all(address(KEY), len(SYMBOLS))
    before = memory(server)
    listeners = await open_all(address(KEY), count)
    more = memory(server) - before
    delays = [await delay_of_a_change(listeners, prices) for _ in range(changes)]
    expired = await closing_words(address(SHORT_LIVED), expiry, 20)
    stuck = await cut_off(address(KEY))
    server.process.send_signal(signal.SIGTERM)
    everybody = [*warm, *listeners]
    await until(lambda: all(it.closed for it in everybody), 20)
    return Figures(count, more, delays, expired, stuck, {it.closed or (0, "still open") for it in everybody})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000, help="that are open at the same time (1000)")
    parser.add_argument("--changes", type=int, default=5, help="of the prices, each waited for (5)")
    parser.add_argument("--expiry", type=float, default=90.0, help="seconds until the second key expires (90)")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        expires_at = time.monotonic() + asked.expiry
        with served(Path(folder), asked.expiry) as (server, prices):
            seen = asyncio.run(observe(server, prices, asked.sockets, asked.changes, expires_at))
    wrong = seen.faults()
    sys.stdout.write(
        "\n".join([str(seen), f"load {os.getloadavg()[0]:.1f}", *(f"WRONG: {each}" for each in wrong)]) + "\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
