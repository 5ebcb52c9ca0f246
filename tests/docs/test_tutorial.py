"""The tutorial is what a reader gets who follows it: every cell runs, and shows what the document says it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.tutorial import DOCUMENT, Cell, alike, cells_of, reader, run, with_shown


@pytest.mark.e2e
def test_every_cell_shows_what_the_tutorial_says(tmp_path: Path) -> None:
    with reader(tmp_path / "reader") as names:
        for cell in cells_of(DOCUMENT.read_text()):
            shown, figure = run(cell, names)
            assert alike(cell.shown, shown), f"{cell.code}\nshows now\n{shown}\nthe document says\n{cell.shown}"
            assert (figure is None) == (cell.picture is None)
            if figure is not None:
                figure.savefig(tmp_path / "picture.png")


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
