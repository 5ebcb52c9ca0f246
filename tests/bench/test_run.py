"""A peer that fails is named and left out; ours must not fail."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import run, warm, workloads
from bench.contenders import of_new_forecasts, started
from bench.load import Load
from bench.report import OURS
from bench.run import about_minutes
from bench.servers import Contender, Running
from bench.warm import warmed
from bench.workloads import Plan, throughput

ENDS_AT_ONCE = (sys.executable, "-c", "raise SystemExit('no such module')")


def test_a_peer_that_does_not_start_is_left_out(tmp_path: Path):
    running: list[Running] = []
    said: list[str] = []
    started(Contender("litserve", ENDS_AT_ONCE, {}), tmp_path, {}, running, said.append)
    assert running == []
    assert said[0].startswith("left out   litserve")
    assert "no such module" in said[0]


def test_without_ours_there_is_no_benchmark(tmp_path: Path):
    with pytest.raises(RuntimeError, match="did not become ready"):
        started(Contender(OURS, ENDS_AT_ONCE, {}), tmp_path, {}, [], print)


def contender(name: str) -> Any:
    """Of its processors it takes 2 s from one look to the next, half a second of it in the event loop."""
    looks = itertools.count()
    return SimpleNamespace(
        **{"name": name, "url": name, "workers": 1, "hold": lambda: None, "resume": lambda: None},
        processor_time=lambda: (2.0 * (look := next(looks)), 0.5 * look),
    )


def test_one_that_fails_in_the_middle_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    said: list[str] = []

    def put_load(url: str, path: str, bodies: Path, key: str, connections: int, seconds: float) -> Load:
        if url == "bad" and connections == 64:
            raise RuntimeError("wrk failed")
        return Load(connections, 100, 1.0, 0, 0.001, 0.002, 0.003)

    monkeypatch.setattr(workloads, "put_load", put_load)
    both = [contender("good"), contender("bad")]
    found = throughput(both, tmp_path, Plan(2, 1, (1, 64)), both, said.append)
    assert set(found) == {"good"}
    assert {at: (figures.rounds, figures.requests) for at, figures in found["good"].items()} == {
        1: (2, 200),
        64: (2, 200),
    }
    assert [line for line in said if "left out" in line] == ["left out   bad                   wrk failed"]
    assert (found["good"][64].processor, found["good"][64].event_loop) == pytest.approx((0.02, 0.005))


def test_one_that_does_not_answer_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    @contextmanager
    def connected(one: Any) -> Iterator[list[Any]]:
        if one.name == "bad":
            raise ConnectionRefusedError("refused")
        yield []

    monkeypatch.setattr(warm, "connected_to_each_worker", connected)
    monkeypatch.setattr(warm, "put_load", lambda *_: None)
    asked = tmp_path / "asked"
    asked.write_text('{"symbol": "A"}\n')
    said: list[str] = []
    assert set(warmed([contender("good"), contender("bad")], asked, said.append)) == {"good"}
    assert any("ConnectionRefusedError" in line for line in said)


def test_the_whole_takes_about_a_quarter_of_an_hour():
    foreseen = about_minutes(run.FULL, len(of_new_forecasts()), 1000)
    assert foreseen in {f"about {minutes} minutes" for minutes in range(12, 17)}
