"""A bare socket that always writes the same bytes, those of a kept answer: what the machine lets any server do."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import uvloop

ANSWER = Path(os.environ["ANSWER"]).read_bytes()


class Same(asyncio.Protocol):
    """Whatever comes is not looked at: a load generator that sends a request in one piece gets an answer for it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)  # type: ignore[attr-defined]  # a stream's is a WriteTransport


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Same, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
