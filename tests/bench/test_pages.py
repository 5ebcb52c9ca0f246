"""What a page shows of a run is what the run wrote, and one run at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import capacity, report, workers
from bench.pages import CAPACITY, END, README, begin, into_page, shown


def test_a_page_shows_one_run_at_a_time(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{begin('this')}old\n{END}between\n{begin('that')}\nother\n\n{END}after\n")
    for text in ("first\n", "second\n"):
        into_page(text, page, "this")
    assert shown(page, "this") == "second\n"
    assert shown(page, "that") == "other\n"
    assert page.read_text().startswith(f"before\n{begin('this')}\nsecond\n\n{END}between\n")
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        into_page("third", page, "this")
    with pytest.raises(ValueError, match="no place"):
        shown(page, "this")


@pytest.mark.parametrize(
    ("page", "command", "results"),
    [
        (README, report.COMMAND, "latest.md"),
        (CAPACITY, workers.COMMAND, "workers.md"),
        (CAPACITY, capacity.TIMES, "capacity.md"),
        (CAPACITY, capacity.SIMULATED, "capacity.md"),
    ],
)
def test_our_pages_show_what_was_measured_last(page: Path, command: str, results: str):
    assert page.read_text().count(begin(command)) == 1
    measured = README.parent / "bench" / "results" / results
    if measured.exists():
        assert shown(page, command) in measured.read_text()
