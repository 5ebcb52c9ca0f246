"""The tutorial is what a reader gets who follows it: every cell runs, and shows what the document says it shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.tutorial import DOCUMENT, Cell, alike, cells_of, reader, reader_with_a_service, run, with_shown
from tests.e2e.server import Server

FORECAST_HUNDREDS_OF_FILES = "Do not believe it: score it yourself"
"""The section that takes most of the time, and on which no other depends."""


@pytest.mark.e2e
def test_cells_show_what_the_tutorial_says(server: Server, price_files: Path, tmp_path: Path) -> None:
    with reader(server, price_files) as names:
        everything = cells_of(DOCUMENT.read_text())
        some = [cell for cell in everything if cell.section != FORECAST_HUNDREDS_OF_FILES]
        assert len(everything) > len(some) > 10
        follow(some, names, tmp_path)


@pytest.mark.e2e
@pytest.mark.long
def test_every_cell_shows_what_the_tutorial_says(tmp_path: Path) -> None:
    with reader_with_a_service(tmp_path / "reader") as names:
        follow(cells_of(DOCUMENT.read_text()), names, tmp_path)


def follow(cells: Iterable[Cell], names: dict[str, Any], folder: Path) -> None:
    """Run them and compare."""
    for cell in cells:
        shown, figure = run(cell, names)
        assert alike(cell.shown, shown), f"{cell.code}\nshows now\n{shown}\nthe document says\n{cell.shown}"
        assert (figure is None) == (cell.picture is None)
        if figure is not None:
            figure.savefig(folder / "picture.png")


def test_the_pictures_are_there() -> None:
    named = {cell.picture for cell in cells_of(DOCUMENT.read_text()) if cell.picture}
    assert named
    assert all((DOCUMENT.parent / name).is_file() for name in named)


def test_what_cells_show_is_put_behind_them() -> None:
    page = "Words.\n\n```python\nx = 2\n```\n\n```python\nprint('a')\nx + 1\n```\n\n```text\nold\n```\n\nMore.\n"
    names: dict[str, object] = {}
    shown = [run(cell, names)[0] for cell in cells_of(page)]
    assert shown == ["", "a\n3\n"]
    assert with_shown(page, dict(enumerate(shown))) == page.replace("old", "a\n3")


def test_a_cell_without_words_between_it_and_the_next_keeps_its_own_output() -> None:
    first, second = cells_of("```python\n1\n```\n\n```text\n1\n```\n\n```python\n2\n```\n")
    assert isinstance(first, Cell)
    assert (first.shown, second.shown) == ("1\n", "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.1234", "0.1235", True),
        ("0.1234", "0.1236", False),
        ("a  1,020 rows", "a 1,020 rows", True),
        ("1020", "1021", False),
        ("-1.5e-03", "-1.6e-03", True),
        ("True 0.5", "False 0.5", False),
        ("0.5", "0.5 0.5", False),
    ],
)
def test_numbers_may_differ_by_one_in_their_last_digit(one: str, other: str, same: bool) -> None:
    assert alike(one, other) is same
