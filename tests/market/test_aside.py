"""Sessions built in a process of their own are those built here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from market import aside
from market.sessions import build_sessions


@pytest.mark.parametrize("calendar", ["XNYS", "24/7"])
def test_sessions_built_aside_are_the_same(calendar):
    here, there = build_sessions(calendar, 2021, 2022), aside.build_aside(calendar, 2021, 2022)
    np.testing.assert_array_equal(here.days, there.days)
    np.testing.assert_array_equal(here.closes, there.closes)
    assert (there.first_year, there.last_year) == (2021, 2022)


def test_where_no_process_can_be_started_they_are_built_here(monkeypatch):
    def refuse(*_args, **_options):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert len(aside.build_aside("XNYS", 2022, 2022).days) == 251


def test_a_calendar_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no calendar"):
        aside.build_aside("XXXX", 2022, 2022)


def test_pandas_stays_out_of_the_process_that_asks():
    code = "import sys; from market.aside import build_aside as b; b('XNYS', 2022, 2022);print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
