"""What a training run tells the person who waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

CONSOLE = Console(highlight=False)


def say(text: str) -> None:
    """A line as it is: no markup is read in it, and no line break is put into it."""
    CONSOLE.print(text, markup=False, soft_wrap=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step, and how long it took."""
    began = time.perf_counter()
    CONSOLE.print(f"[bold]{what}[/] ...")
    yield
    CONSOLE.print(f"[dim]{what}: {time.perf_counter() - began:.1f} s[/]")
