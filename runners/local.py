"""Members that answer inside the gateway: a few dozen multiplications each, so they are there when no runner is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from contracts import Floats, Floats32
from runners.artefact import read_member
from runners.coalesce import Call
from runners.members import Member, load_member

ROWS_AT_ONCE = 64
"""Rows that are answered on the event loop, in a quarter of a millisecond. Five hundred would hold it up."""


def local_call(folder: Path, name: str) -> Call:
    """A call to the member ``name`` of the set in ``folder``, loaded and warm."""
    spec, grid = read_member(folder, name)
    member = load_member(spec, grid, folder / spec.file)
    member.warm_up()
    return here(member)


def here(member: Member) -> Call:
    """Ask ``member`` in this process: a few rows at once, a replay's in a thread."""

    async def call(rows: Floats32) -> Floats:
        if len(rows) <= ROWS_AT_ONCE:
            return member.predict(rows)
        return await asyncio.to_thread(member.predict, rows)

    return call
