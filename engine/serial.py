"""Everything here and now: for tests, debuggers, and batches too small for anything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.base import Done, Failed, Item, Make, Result, Shared, attempt, in_order, nobody, ready

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Here(Generic[T]):
    value: T

    def get(self) -> T:
        return self.value


class SerialEngine:
    """One task after the other in this process."""

    @contextmanager
    def sharing(self, value: T) -> Iterator[Shared[T]]:
        yield _Here(value)

    def run(
        self, make: Make[Item, Result], items: Iterable[tuple[str, Item]], done: Done[Result] = nobody
    ) -> dict[str, Result]:
        outcomes: dict[str, object] = {}
        work = ready(make)
        for name, item in items:
            outcomes[name] = outcome = attempt(work, item)
            if not isinstance(outcome, Failed):
                done(name, outcome)  # type: ignore[arg-type]  # what work returns
        return in_order(list(outcomes), outcomes)
