"""Those parts of the gateway that are made differently where requests are traced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts import MarketData
from gathering import Gathering
from inputs import InputMemory
from records import History
from runners.coalesce import CoalescingRunner

Count = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """As they are untraced. ``market`` and ``history`` take what they wrap, ``looked`` the name of a cache and who
    counts how looks into it went."""

    runner: type[CoalescingRunner] = CoalescingRunner
    gathering: type[Gathering] = Gathering
    inputs: type[InputMemory] = InputMemory
    market: Callable[[MarketData], MarketData] = lambda market: market
    history: Callable[[History], History] = lambda history: history
    looked: Callable[[str, Count], Count] = lambda cache, count: count


def traced_parts(remote: bool) -> Parts:
    """The same with spans around what they do; ``remote`` where models have processes of their own."""
    # here, so that nobody pays for tracing who does not want it
    from runners.tracing import InProcessTracedRunner, TracedRunner
    from traced import TracedGathering, TracedHistory, TracedInputs, TracedMarket, looked

    runner = TracedRunner if remote else InProcessTracedRunner
    return Parts(runner, TracedGathering, TracedInputs, TracedMarket, TracedHistory, looked)
