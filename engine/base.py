"""What an engine is, and what every engine does in the same way."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from errors import DeepFinanceError, ErrorDetail, TaskFailed

T = TypeVar("T")
Value = TypeVar("Value", covariant=True)
Item = TypeVar("Item")
Result = TypeVar("Result")

ATTEMPTS = 4
"""How often a task is begun whose process or machine keeps dying under it. What raises is not begun again: it would
raise again."""

Work = Callable[[Item], Result]
Make = Callable[[], Work[Item, Result]]
"""Called once in each process that works, to load what all tasks need. It and everything in it must pickle."""
Done = Callable[[str, Result], None]
"""Told of each result as it comes in, in any order, in the process that asked."""


class Shared(Protocol[Value]):
    """A value that travels once to where tasks run, not with every task; arrays in it cannot be written to there."""

    def get(self) -> Value: ...


class Engine(Protocol):
    """The same numbers whatever runs them: a task sees its item and what is shared, and none knows of another."""

    def sharing(self, value: T) -> AbstractContextManager[Shared[T]]:
        """Lay ``value`` where tasks can get it, until the context is left. The caller may let go of it at once."""
        ...

    def run(
        self, make: Make[Item, Result], items: Iterable[tuple[str, Item]], done: Done[Result] = ...
    ) -> dict[str, Result]:
        """The result of each named item, in the order of the items; names differ.

        Items are taken as they are needed, never all at once. Raises TaskFailed when the others have been finished.
        """
        ...


def nobody(name: str, result: object) -> None:
    """For whoever need not be told."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a task has no result, in words, with the traceback where it is not an error of ours."""

    reason: str


def ready(make: Make[Any, Any]) -> Work[Any, Any]:
    """What ``make`` makes; where it fails, work that says so of every item."""
    try:
        return make()
    except Exception as error:
        failed = _failed(error)
        return lambda item: failed


def attempt(work: Work[Any, Any], item: object) -> object:
    """The result of one task, or Failed."""
    try:
        return work(item)
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> Failed:
    if isinstance(error, DeepFinanceError):
        return Failed(error.message)
    return Failed("".join(traceback.format_exception(error)).strip())


def lost() -> Failed:
    """Of a task that took its process down as often as it was begun."""
    return Failed(f"its process was killed, or its machine went away, {ATTEMPTS} times")


def in_order(names: Sequence[str], outcomes: Mapping[str, Any]) -> dict[str, Any]:
    """The results in the order of ``names``; raises TaskFailed that names all that have none."""
    failed = [name for name in names if isinstance(outcomes[name], Failed)]
    if failed:
        reasons = [ErrorDetail(name, outcomes[name].reason) for name in failed]
        others = f" (and {len(failed) - 1} more: {', '.join(failed[1:6])}{', ...' if len(failed) > 6 else ''})"
        raise TaskFailed(f"{failed[0]} failed{others if failed[1:] else ''}: {reasons[0].problem}", reasons)
    return {name: outcomes[name] for name in names}
