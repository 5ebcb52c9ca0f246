"""A peer that fails is named and left out; ours must not fail."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import run, workloads
from bench.load import Load
from bench.report import OURS
from bench.run import about_minutes, started
from bench.servers import Contender, Running
from bench.workloads import Plan, throughput, warmed

ENDS_AT_ONCE = (sys.executable, "-c", "raise SystemExit('no such module')")


def test_a_peer_that_does_not_start_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    running: list[Running] = []
    started(Contender("litserve", ENDS_AT_ONCE, {}), tmp_path, {}, running)
    assert running == []
    said = capsys.readouterr().out
    assert "left out   litserve" in said
    assert "no such module" in said


def test_without_ours_there_is_no_benchmark(tmp_path: Path):
    with pytest.raises(RuntimeError, match="did not become ready"):
        started(Contender(OURS, ENDS_AT_ONCE, {}), tmp_path, {}, [])


def contender(name: str) -> Any:
    return SimpleNamespace(name=name, url=name, workers=1, hold=lambda: None, resume=lambda: None)


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


def test_one_that_does_not_answer_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def post(url: str, path: str, body: Any) -> None:
        if url == "bad":
            raise ConnectionRefusedError("refused")

    monkeypatch.setattr(workloads, "post", post)
    monkeypatch.setattr(workloads, "put_load", lambda *_: None)
    asked = tmp_path / "asked"
    asked.write_text('{"symbol": "A"}\n')
    said: list[str] = []
    assert set(warmed([contender("good"), contender("bad")], asked, said.append)) == {"good"}
    assert any("ConnectionRefusedError" in line for line in said)


def test_the_whole_takes_ten_to_thirteen_minutes():
    foreseen = about_minutes(run.FULL, len(run.uncached_contenders()), 1000)
    assert foreseen in {f"about {minutes} minutes" for minutes in range(10, 14)}
