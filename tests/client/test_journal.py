"""Whatever is left of a journal, what counts is right and the rest is asked again."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepfinance_client.cli.journal import Journal
from deepfinance_client.cli.wrong import WrongInput
from deepfinance_client.columns import COLUMNS

WORK = "a-hash"


def _row(at: int) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    status = 404 if at % 5 == 0 else 200
    return {
        **row,
        "symbol": f"Ä{at}\n",
        "status": status,
        "upper": at / 3,
        "as_of": datetime.date(2020, 1, at % 28 + 1),
    }


def _rows(start: int, stop: int) -> list[dict[str, Any]]:
    return [_row(at) for at in range(start, stop)]


def _all_of(journal: Journal) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in journal.rows()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.csv.journal"


def _complete(path: Path) -> None:
    with Journal(path, WORK) as journal:
        for start in (6, 0, 3):
            journal.append(start, _rows(start, start + 3))


def test_rows_come_back_in_order_and_as_they_were(path: Path) -> None:
    _complete(path)
    with Journal(path, WORK) as journal:
        assert list(journal.missing(9)) == []
        assert (journal.answered, journal.refused) == (9, 2)
        assert _all_of(journal) == _rows(0, 9)


def test_gaps_are_what_is_missing(path: Path) -> None:
    with Journal(path, WORK) as journal:
        journal.append(4, _rows(4, 6))
        journal.append(9, _rows(9, 10))
        assert list(journal.missing(12)) == [range(0, 4), range(6, 9), range(10, 12)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), junk=st.binary(max_size=30))
def test_a_journal_cut_anywhere_loses_nothing_that_counted(path: Path, cut: float, junk: bytes) -> None:
    path.unlink(missing_ok=True)
    _complete(path)
    whole = path.read_bytes()
    kept = whole[: int(cut * len(whole))]
    lines = kept.count(b"\n")
    path.write_bytes(kept + (junk.replace(b"\n", b"") if lines else b""))
    with Journal(path, WORK) as journal:
        assert journal.answered == 3 * max(0, lines - 1)
        for missing in list(journal.missing(9)):
            journal.append(missing.start, _rows(missing.start, missing.stop))
        assert _all_of(journal) == _rows(0, 9)
    with Journal(path, WORK) as journal:
        assert _all_of(journal) == _rows(0, 9)


def test_a_line_that_has_rotted_is_asked_again(path: Path) -> None:
    _complete(path)
    whole = bytearray(path.read_bytes())
    whole[-20] ^= 1
    path.write_bytes(whole)
    with Journal(path, WORK) as journal:
        assert list(journal.missing(9)) == [range(3, 6)]


def test_the_answers_to_something_else_are_not_taken(path: Path) -> None:
    _complete(path)
    before = path.read_bytes()
    with pytest.raises(WrongInput, match="something else"):
        Journal(path, "another")
    assert path.read_bytes() == before


def test_a_file_that_is_no_journal_is_left_alone(path: Path) -> None:
    path.write_text("my notes\n")
    with pytest.raises(WrongInput, match="something else"):
        Journal(path, WORK)
    assert path.read_text() == "my notes\n"


def test_two_at_once_are_refused(path: Path) -> None:
    with Journal(path, WORK), pytest.raises(WrongInput, match="running already"):
        Journal(path, WORK, restart=True)
    Journal(path, WORK).__exit__(None, None, None)


def test_a_restart_forgets(path: Path) -> None:
    _complete(path)
    with Journal(path, "another", restart=True) as journal:
        assert journal.answered == 0
