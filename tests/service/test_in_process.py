"""Members that answer inside the gateway: they are there when no runner is, and take no long turns."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from answer import POOLED
from contracts import Floats, Floats32, Forecast, ForecastRequest, MemberSpec, ModelSet
from errors import RunnerUnavailable
from features.spec import ROW_WIDTHS
from forecaster import Forecaster
from gateway.health import overall
from market.bundled import BundledSource
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from pipeline import Ports
from runners.artefact import read_member
from runners.coalesce import CoalescingRunner, Limits
from runners.hosts import HOSTS, call_of
from runners.local import ROWS_AT_ONCE, here, local_call
from runners.members import load_member
from runners.model_set import load_model_set
from tests.runners.tiny import GRID, KINDS, MEMBERS, write_manifest, write_model_set
from training.members import MEMBERS as PUBLISHED

PROCESSES = tuple(MEMBERS)
NOWHERE: Any = None
"""The host of members that need none."""
LOCAL = {"har": ("linear", "tabular"), "garch": ("garch", "tabular"), "fhs": ("garch", "tabular")}


def write_whole_set(folder: Path, weights: dict[str, float]) -> Path:
    """The tiny set with in-process members beside it; those without a weight here have none."""
    write_model_set(folder)
    rng = np.random.default_rng(3)
    width, table = ROW_WIDTHS["tabular"], np.tile(np.linspace(-1.6, 1.6, GRID.shape[1]), (GRID.shape[0], 1))
    linear = {
        "mean": np.zeros(width),
        "deviation": np.ones(width),
        "shift": 0.01 * rng.standard_normal((width, GRID.shape[0])),
        "log_scale": 0.01 * rng.standard_normal((width, GRID.shape[0])),
        "base": table,
    }
    for name, stretch in (("har", 1.0), ("garch", 1.1), ("fhs", 1.2)):
        parts = {part: each.astype(np.float32) for part, each in (linear | {"base": stretch * table}).items()}
        np.savez(folder / f"{name}.npz", allow_pickle=False, **parts)
    with pytest.MonkeyPatch.context() as patch:
        for name, (kind, takes) in LOCAL.items():
            row_width = ROW_WIDTHS["tabular"] if takes == "tabular" else ROW_WIDTHS["flat"]
            more = {"kind": kind, "takes": takes, "row_width": row_width, "file": f"{name}.npz"}
            patch.setitem(MEMBERS, name, more)
        write_manifest(folder)
    names = [*PROCESSES, *LOCAL]
    column = np.array([[weights.get(name, 0.0)] * len(GRID.horizons) for name in names])
    with np.load(folder / "calibration.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays |= {f"{kind}.weights": column / column.sum(axis=0) for kind in KINDS}
    masks = 2.0 ** np.arange(len(names))
    arrays |= {f"{kind}.masks": masks for kind in KINDS}
    arrays |= {f"{kind}.offsets": np.zeros((len(names), *GRID.shape)) for kind in KINDS}
    np.savez(folder / "calibration.npz", allow_pickle=False, **arrays)
    return folder


class World:
    """A forecaster whose processes can be killed; the local members are those of the service."""

    def __init__(self, folder: Path) -> None:
        self.dead = False
        self.asked: list[str] = []
        self.model_set: ModelSet = load_model_set(folder)
        runners = {
            spec.name: CoalescingRunner(spec, GRID, self._call(folder, spec), Limits(timeout=30.0))
            for spec in self.model_set.members
        }
        ports = Ports(SourceChain([BundledSource()]), ExchangeCalendars(), runners)
        self.forecaster = Forecaster(ports, runners, self.model_set)

    def _call(self, folder: Path, spec: MemberSpec) -> Any:
        if spec.in_process:
            return call_of(spec, folder, NOWHERE)
        loaded = load_member(spec, read_member(folder, spec.name)[1], folder / spec.file)

        async def call(rows: Floats32) -> Floats:
            self.asked.append(spec.name)
            if self.dead:
                raise ConnectionResetError
            return loaded.predict(rows)

        return call

    async def ask(self, **more: Any) -> Any:
        (answer,) = await self.forecaster.forecast([ForecastRequest("AAPL", **more)])
        return answer


@pytest.fixture(scope="module")
def with_har(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whole_set(tmp_path_factory.mktemp("har") / "set", {"xgboost": 1, "lstm": 1, "har": 1})


@pytest.fixture(scope="module")
def processes_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whole_set(tmp_path_factory.mktemp("processes") / "set", dict.fromkeys(PROCESSES, 1.0))


@pytest.fixture
async def world(with_har: Path) -> AsyncIterator[World]:
    made = World(with_har)
    yield made
    await made.forecaster.close()


@pytest.fixture
async def bare_world(processes_only: Path) -> AsyncIterator[World]:
    made = World(processes_only)
    yield made
    await made.forecaster.close()


async def test_only_members_with_a_weight_answer_unless_named(world: World):
    answer = await world.ask()
    assert [member.model for member in answer.members] == ["xgboost", "lstm", "har"]
    assert set(world.asked) == {"xgboost", "lstm"}
    named = await world.ask(models=("transformer", "fhs"))
    assert [member.model for member in named.members] == ["transformer", "fhs"]


async def test_when_every_process_is_dead_the_gateway_answers_alone(world: World):
    world.dead = True
    answer = await world.ask()
    assert isinstance(answer, Forecast)
    assert answer.degraded == ("xgboost", "lstm")
    assert [member.model for member in answer.members if member.status == "ok"] == ["har"]
    assert not any("fallback" in note for note in answer.notes)


async def test_when_nobody_with_a_weight_is_left_the_statistical_members_stand_in(bare_world: World):
    bare_world.dead = True
    answer = await bare_world.ask()
    assert isinstance(answer, Forecast)
    assert answer.degraded == PROCESSES
    ok = [member for member in answer.members if member.status == "ok"]
    assert [member.model for member in ok] == ["garch", "fhs"]
    assert [member.weight for member in ok] == pytest.approx([0.5, 0.5])
    assert answer.notes[0] == "This is the fallback: no model but garch and fhs could answer."


async def test_nobody_stands_in_for_members_that_were_named(bare_world: World):
    bare_world.dead = True
    assert isinstance(await bare_world.ask(models=("lstm",)), RunnerUnavailable)


async def test_a_member_that_is_given_a_weight_is_asked(bare_world: World):
    answer = await bare_world.ask(weights={"lstm": 0.5, "fhs": 0.5})
    weights = {member.model: member.weight for member in answer.members}
    assert weights["lstm"] == weights["fhs"] == 0.5


async def test_statistical_members_say_that_they_are_pooled(bare_world: World):
    answer = await bare_world.ask(models=("lstm", "garch"))
    notes = {member.model: member.note for member in answer.members}
    assert notes["lstm"] is None
    assert notes["garch"] == POOLED


async def test_health_shows_them_and_is_not_down_without_processes(world: World):
    assert overall((await world.forecaster.health()).checks) == "ok"
    world.dead = True
    await asyncio.sleep(1.1)
    facts = await world.forecaster.health()
    states = {check.name: check.state for check in facts.checks.runners}
    assert states == {**dict.fromkeys(PROCESSES, "failing"), **dict.fromkeys(LOCAL, "ok")}
    assert overall(facts.checks) == "degraded"


async def test_many_rows_are_answered_in_a_thread_and_few_where_they_are_asked(
    with_har: Path, monkeypatch: pytest.MonkeyPatch
):
    spec, grid = read_member(with_har, "garch")
    member = load_member(spec, grid, with_har / spec.file)
    rows = np.random.default_rng(0).standard_normal((500, spec.row_width), np.float32)
    expected, threads, honest = member.predict(rows), [], member.predict

    def watched(rows: Floats32) -> Floats:
        threads.append(threading.get_ident())
        return honest(rows)

    monkeypatch.setattr(member, "predict", watched)
    answers = [await here(member)(each) for each in (rows, rows[:ROWS_AT_ONCE])]
    assert [each == threading.get_ident() for each in threads] == [False, True]
    np.testing.assert_array_equal(answers[0], expected)
    np.testing.assert_array_equal(answers[1], expected[:ROWS_AT_ONCE])


async def test_a_damaged_file_is_refused_at_start(with_har: Path, tmp_path: Path):
    folder = write_whole_set(tmp_path / "set", {"har": 1.0})
    (folder / "har.npz").write_bytes(b"garbage")
    with pytest.raises(Exception, match=r"har\.npz was changed after it was published"):
        local_call(folder, "har")


def test_every_published_member_has_a_host():
    assert {member.name for member in PUBLISHED if member.kind not in ("linear", "garch")} <= set(HOSTS)


def test_a_member_that_nobody_serves_is_refused_at_start():
    spec = MemberSpec("gru", "1", "gru.onnx", "sha256:0", "onnx", "flat", 3)
    with pytest.raises(Exception, match="no runner of this version serves the member 'gru'"):
        call_of(spec, Path(), NOWHERE)


def test_the_manifest_says_what_parameters_were_fitted_to(with_har: Path):
    assert {member.fitted for member in load_model_set(with_har).members} == {"pooled"}
    manifest = json.loads((with_har / "manifest.json").read_bytes())
    assert all("fitted" not in member for member in manifest["members"])  # a set from before says nothing: pooled
