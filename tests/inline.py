"""An offload that computes where it is, for tests that are not about the other process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Inline:
    """``failing`` is what it raises instead."""

    def __init__(self, failing: Exception | None = None) -> None:
        self._failing = failing

    async def run(self, function: Callable[..., Any], *args: Any, **_: float) -> Any:
        if self._failing is not None:
            raise self._failing
        return function(*args)
