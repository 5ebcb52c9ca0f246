"""The members in the gateway's own process: asked in threads, since their engines let go of Python's lock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Final

import numpy as np

from contracts import Floats, Floats32
from runners.artefact import read_member
from runners.coalesce import Call
from runners.members import Member, load_member

THREADS: Final = 2
"""Passes that compute at the same time; gathering.py has no more of known series under way."""
SHARED_FROM: Final = 128
"""Rows of which each thread takes a share. Of fewer one would wait for the other longer than it saves."""

Parts = Sequence[tuple[str, Floats32]]


class EmbeddedMembers:
    """The members of the set in ``folder``, each loaded and warm once it has been asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._members: dict[str, Member] = {}

    def load(self, name: str) -> Member:
        """Raises ArtefactError where it is not what its manifest says."""
        if name not in self._members:
            spec, grid = read_member(self._folder, name)
            self._members[name] = load_member(spec, grid, self._folder / spec.file)
            self._members[name].warm_up()
        return self._members[name]

    async def send(self, parts: Parts) -> Sequence[Floats]:
        """``together.Send``: everything that is asked at the same time in one thread, one after the other; of a batch
        every thread has a share."""
        loop, shares = asyncio.get_running_loop(), _shares(parts)
        if len(shares) == 1:
            return await loop.run_in_executor(_threads(), self._predict, parts)
        answers = await asyncio.gather(*(loop.run_in_executor(_threads(), self._predict, share) for share in shares))
        return [np.concatenate(of_one) for of_one in zip(*answers, strict=True)]

    def call(self, name: str, what: str) -> Call:
        """A method of a member, in a thread."""
        method = getattr(self.load(name), what)

        async def ask(rows: Floats32) -> Floats:
            return await asyncio.get_running_loop().run_in_executor(_threads(), partial(method, rows))

        return ask

    def _predict(self, parts: Parts) -> Sequence[Floats]:
        return [self._members[name].predict(rows) for name, rows in parts]


def _shares(parts: Parts) -> Sequence[Parts]:
    """The same questions for every thread, of some of the rows each; of few rows all of them for one."""
    if min(len(rows) for _, rows in parts) < SHARED_FROM:
        return [parts]
    divided = [(name, np.array_split(rows, THREADS)) for name, rows in parts]
    return [[(name, rows[at]) for name, rows in divided] for at in range(THREADS)]


@cache
def _threads() -> ThreadPoolExecutor:
    """One pool for a process, whatever sets it loads."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="models")
