"""Real prices that end some sessions before they do, and go on when told to: what was forecast comes out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chaos.market import SYMBOLS
from market.bundled import BundledSource

KEPT = 700
"""Bars of each symbol, the newest: more than any forecast looks back, and few enough to be written often."""
Closes = dict[str, tuple[Any, Any]]
"""Symbol -> days and closes, both (n_bars,)."""


@dataclass
class Tape:
    """Price files in ``folder`` without the last ``hidden`` sessions. Those come as they came, or where there is a
    ``trend``, each close is the one before times it. All are told under so many ``names``: AAPL, AAPL1, AAPL2."""

    folder: Path
    hidden: int = 60
    trend: float | None = None
    names: int = 1
    _closes: Closes = field(default_factory=dict)
    _touched: float = 1.0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._first_hidden = self.hidden
        self._closes = asyncio.run(_bundled())
        self._write()

    @property
    def symbols(self) -> list[str]:
        """All of them."""
        return [name for symbol in self._closes for name in self._names_of(symbol)]

    def show(self, sessions: int) -> None:
        """So many more."""
        self.hidden = max(0, self.hidden - sessions)
        self._write()

    def touch(self) -> None:
        """Let the newest prices be a little other ones, so that all must be forecast anew."""
        self._touched *= 1.0001
        self._write()

    def _write(self) -> None:
        """Every file anew; readers see the old one or the new one."""
        for symbol, (days, closes) in self._closes.items():
            shown = len(days) - self.hidden
            prices = self._told(closes)[:shown]
            prices[-1] *= self._touched
            rows = zip(days[:shown], prices, strict=True)
            text = "\n".join(["date,close", *(f"{day},{close:.4f}" for day, close in rows)]) + "\n"
            for name in self._names_of(symbol):
                draft = self.folder / f"{name}.draft"
                draft.write_text(text)
                draft.rename(self.folder / f"{name}.csv")

    def _names_of(self, symbol: str) -> list[str]:
        return [symbol, *(f"{symbol}{number}" for number in range(1, self.names))]

    def _told(self, closes: Any) -> Any:
        """All closes, those that are hidden at first as they will be told."""
        told = closes.copy()
        if self.trend is not None:
            first = len(told) - self._first_hidden
            told[first:] = told[first - 1] * self.trend ** np.arange(1, self._first_hidden + 1)
        return told


async def _bundled() -> Closes:
    source = BundledSource()
    found = {symbol: await source.bars(symbol, "1d") for symbol in SYMBOLS}
    return {
        symbol: (np.datetime_as_string(bars.times[-KEPT:], unit="D"), bars.total_return_close[-KEPT:])
        for symbol, bars in found.items()
    }
