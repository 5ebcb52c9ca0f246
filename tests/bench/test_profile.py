"""What is read from a sampler's stacks."""

from __future__ import annotations

import pytest

from bench.profile import shares, text

STACKS = [
    "thread (1): MainThread;run (uvicorn/server.py:86);make (gateway/express.py:131);make (gateway/express.py:90) 30",
    "thread (1): MainThread;run (uvicorn/server.py:86);_pass (gathering.py:107) 50",
    "thread (1): MainThread;run (uvicorn/server.py:86);_pass (gathering.py:110);rare (a.py:1) 1",
    "thread (1): MainThread;run (uvicorn/server.py:86) 19",
    "thread (2): models_1;predict (runners/embedded.py:50) 400",
]


def test_a_function_counts_once_a_sample_whatever_its_line_and_only_in_the_main_thread():
    samples, found = shares(STACKS)
    assert samples == 100
    assert found == pytest.approx({"_pass (gathering.py)": 0.51, "make (gateway/express.py)": 0.3})


def test_the_file_says_how_it_was_made():
    written = text(*shares(STACKS), seconds=10.0, load=0.2)
    assert "`python -m bench.profile`" in written
    assert "the 100 samples in which it ran Python\n(of 4,000)" in written
    assert written.endswith("\n\n 51.0 _pass (gathering.py)\n 30.0 make (gateway/express.py)\n")
