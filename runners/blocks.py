"""Rows on their way to a model, and the requests that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from contracts import Floats, Floats32
from errors import DeepFinanceError

Indices = slice | Sequence[int] | npt.NDArray[np.intp]


class Order:
    """One request's answer in the making: (n_rows, n_horizons, n_levels)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.answer: Floats = np.empty(shape)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.context = copy_context()
        self._missing = shape[0]

    def deliver(self, positions: Indices, quantiles: Floats) -> None:
        """Those rows of it."""
        self.answer[positions] = quantiles
        self._missing -= len(quantiles)
        if not self._missing and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: DeepFinanceError) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def give_up(self) -> None:
        """It took too long."""
        if not self.done.done():
            self.done.set_exception(TimeoutError())


@dataclass(slots=True, eq=False)
class Block:
    """Rows that go together, of one request. ``places`` says which row a key names; ``takers`` where answers go to:
    the request, positions in it, places in here."""

    brought_by: Order
    places: dict[str, int] = field(default_factory=dict)
    rows: Floats32 = field(default_factory=lambda: np.empty((0, 0), np.float32))
    takers: list[tuple[Order, Indices, Indices]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.places)

    def drop_abandoned(self) -> list[str]:
        """Leave out rows that nobody waits for any more, none while who brought them does; their keys."""
        if not self.brought_by.done.done():
            return []
        takers = [taker for taker in self.takers if not taker[0].done.done()]
        wanted = np.zeros(len(self), bool)
        for _, _, places in takers:
            wanted[places] = True
        keys, moved = list(self.places), np.cumsum(wanted) - 1
        self.rows = self.rows[wanted]
        self.places = {key: int(moved[place]) for place, key in enumerate(keys) if wanted[place]}
        self.takers = [(order, positions, moved[places]) for order, positions, places in takers]
        return [key for key in keys if key not in self.places]

    def deliver(self, answers: Floats) -> None:
        """(len(self), n_horizons, n_levels): one for each row, to everyone who waits for it."""
        for order, positions, places in self.takers:
            order.deliver(positions, answers[places])

    def fail(self, error: DeepFinanceError) -> None:
        for order, _, _ in self.takers:
            order.fail(type(error)(error.message))  # an exception each: a raised one collects its raiser's trace
