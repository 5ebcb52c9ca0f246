"""docs/tutorial.md as a notebook: its ``python`` blocks are cells, run one after the other in one namespace.

What a cell shows, what it prints and then the value of its last line, is the ``text`` block after it. A figure is the
picture that the document names after the cell.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.e2e.server import KEY, ROOT, Server, running

DOCUMENT = ROOT / "docs" / "tutorial.md"
CELL = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n*```text\n(?P<shown>.*?)^```\n)?(?:\n*!\[[^]]*]\((?P<picture>[^)]+)\)\n)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Cell:
    """``shown`` is empty where the cell shows nothing; ``start`` and ``end`` are its places in the document, in the
    section of that title."""

    section: str
    code: str
    shown: str
    picture: str | None
    start: int
    end: int


def cells_of(document: str) -> list[Cell]:
    """The cells in order."""
    return [
        Cell(_section(document[: it.start()]), it["code"], it["shown"] or "", it["picture"], it.start(), it.end())
        for it in CELL.finditer(document)
    ]


def _section(before: str) -> str:
    """The last title of the second level, empty where there is none."""
    return next((line.removeprefix("## ") for line in reversed(before.splitlines()) if line.startswith("## ")), "")


def run(cell: Cell, names: dict[str, Any]) -> tuple[str, Figure | None]:
    """What the cell shows as text, and the figure if its last line is one."""
    tree = ast.parse(cell.code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    value = None
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    if isinstance(value, Figure):
        return printed.getvalue(), value
    text = printed.getvalue() + ("" if value is None else f"{value}\n")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n" if text else "", None


@contextmanager
def reader(server: Server, prices: Path) -> Iterator[dict[str, Any]]:
    """The namespace of somebody who has started the service as the document says, which reads price files there."""
    seen = {"DEEPFINANCE_URL": server.url, "DEEPFINANCE_API_KEY": KEY, "DATA_DIR": str(prices)}
    with mpl.rc_context(), mock.patch.dict("os.environ", seen):
        mpl.use("Agg")
        yield {}


@contextmanager
def reader_with_a_service(folder: Path) -> Iterator[dict[str, Any]]:
    """The same, and the service is started for it."""
    prices = folder / "prices"
    prices.mkdir(parents=True)
    with (
        running("service:DeepFinance", folder / "home", DATA_DIR=str(prices)) as server,
        reader(server, prices) as names,
    ):
        yield names


def with_shown(document: str, shown: Mapping[int, str]) -> str:
    """The document with what its cells, by number, show now."""
    parts, done = [], 0
    for number, cell in enumerate(cells_of(document)):
        text, picture = shown[number], _picture_line(document[cell.start : cell.end])
        parts += [document[done : cell.start], f"```python\n{cell.code}```\n"]
        parts += [f"\n```text\n{text}```\n"] if text else []
        parts += [f"\n{picture}\n"] if picture else []
        done = cell.end
    return "".join([*parts, document[done:]])


def _picture_line(block: str) -> str | None:
    return next((line for line in block.splitlines() if line.startswith("![")), None)


NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")


def alike(one: str, other: str) -> bool:
    """Whether two outputs say the same: equal words, and numbers that differ by one in their last digit at most, which
    is what another processor may make of a sum. Blanks do not count.
    """
    if NUMBER.sub("#", one).split() != NUMBER.sub("#", other).split():
        return False
    return all(map(_close, NUMBER.findall(one), NUMBER.findall(other)))


def _close(one: str, other: str) -> bool:
    decimals = len(one.partition(".")[2].partition("e")[0])
    step = 10.0**-decimals * 10.0 ** int(one.partition("e")[2] or 0) if decimals else 0.0
    return abs(float(one.replace(",", "")) - float(other.replace(",", ""))) <= 1.01 * step
