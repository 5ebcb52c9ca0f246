"""Members that answer inside the gateway: a few dozen multiplications each, so they are there when no runner is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from contracts import Floats, Floats32
from runners.artefact import read_member
from runners.coalesce import Call
from runners.members import Member, load_member

ROWS_AT_ONCE = 64
"""Rows between two turns of the event loop: 64 take a quarter of a millisecond, five hundred would hold it up."""


def local_call(folder: Path, name: str) -> Call:
    """A call to the member ``name`` of the set in ``folder``, loaded and warm."""
    spec, grid = read_member(folder, name)
    member = load_member(spec, grid, folder / spec.file)
    member.warm_up()
    return in_turns(member)


def in_turns(member: Member) -> Call:
    """Ask ``member`` here, on the event loop, and let others have their turn after every ROWS_AT_ONCE rows."""

    async def call(rows: Floats32) -> Floats:
        answers = [member.predict(rows[:ROWS_AT_ONCE])]
        for first in range(ROWS_AT_ONCE, len(rows), ROWS_AT_ONCE):
            await asyncio.sleep(0)
            answers.append(member.predict(rows[first : first + ROWS_AT_ONCE]))
        return np.concatenate(answers)

    return call
