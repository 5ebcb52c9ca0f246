"""Whatever runs them: results in order and the same, errors named, processes that die replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base import ATTEMPTS, Engine
from engine.chosen import chosen_engine
from engine.local import LocalEngine
from engine.serial import SerialEngine
from errors import ConfigurationError, TaskFailed
from tests.engine.tasks import Deadly, DeadOnArrival, Doubling, Forgetful, NotMade, NotSent, Summing

ROOT = Path(__file__).resolve().parents[2]
ENGINES = pytest.mark.parametrize("engine", [SerialEngine(), LocalEngine(1), LocalEngine(3)], ids=["serial", "1", "3"])


def named(*numbers: int) -> list[tuple[str, int]]:
    return [(str(number), number) for number in numbers]


@ENGINES
def test_results_come_in_the_order_of_the_items(engine: Engine):
    numbers = [5, 3, 9, 1, 7, 2, 8]
    told: dict[str, int] = {}
    found = engine.run(Doubling(), named(*numbers), told.__setitem__)
    assert list(found.items()) == [(str(number), 2 * number) for number in numbers]
    assert told == found


@given(st.lists(st.integers(-50, 12), unique=True))
def test_what_comes_out_is_what_went_in(numbers: list[int]):
    assert SerialEngine().run(Doubling(), named(*numbers)) == {str(number): 2 * number for number in numbers}


@ENGINES
def test_no_items_need_no_process(engine: Engine):
    assert engine.run(Doubling(), []) == {}
    assert not multiprocessing.active_children()


@ENGINES
def test_an_error_names_its_item_and_costs_no_other(engine: Engine):
    told: dict[str, int] = {}
    with pytest.raises(TaskFailed, match=r"(?s)^13 failed: Traceback.*ValueError: thirteen is not doubled$") as failed:
        engine.run(Doubling(), named(1, 13, 2, 3), told.__setitem__)
    assert failed.value.names == ("13",)
    assert told == {"1": 2, "2": 4, "3": 6}


@ENGINES
def test_what_cannot_be_loaded_fails_every_item(engine: Engine):
    with pytest.raises(TaskFailed, match=r"(?s)^1 failed \(and 2 more: 2, 3\): .*no such model") as failed:
        engine.run(NotMade(), named(1, 2, 3))
    assert failed.value.names == ("1", "2", "3")


@ENGINES
def test_what_is_shared_arrives_and_numbers_are_the_same_to_the_last_bit(engine: Engine, tmp_path: Path):
    numbers = np.random.default_rng(0).random(100_000)
    slices = [(str(i), slice(i, i + 3331)) for i in range(0, 100_000, 3331)]
    with engine.sharing(numbers) as shared:
        found = engine.run(Summing(shared, tmp_path), slices)
    assert found == {name: float(np.sqrt(numbers[part]).sum()) for name, part in slices}


def test_what_is_shared_is_mapped_and_gone_afterwards():
    with LocalEngine(1).sharing([np.arange(1000.0)]) as shared:
        (again,) = shared.get()
        assert not again.flags.owndata
        assert not again.flags.writeable
        path = shared.path  # type: ignore[attr-defined]
    assert not path.exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_process_is_replaced_and_its_task_begun_again(tmp_path: Path, processes: int):
    names = ["a", "b", "c", "d"]
    found = LocalEngine(processes).run(Deadly(tmp_path, {"b": ATTEMPTS - 1}), [(name, name) for name in names])
    assert found == {name: name.upper() for name in names}
    assert len(list(tmp_path.glob("b-*"))) == ATTEMPTS
    assert [len(list(tmp_path.glob(f"{name}-*"))) for name in "acd"] == [1, 1, 1]


def test_a_task_that_always_kills_its_process_is_given_up_by_name(tmp_path: Path):
    with pytest.raises(TaskFailed, match=f"^b failed: its process was killed, or its machine went away, {ATTEMPTS}"):
        LocalEngine(2).run(Deadly(tmp_path, {"b": 99}), [(name, name) for name in "abc"])
    assert len(list(tmp_path.glob("b-*"))) == ATTEMPTS
    assert not multiprocessing.active_children()


def test_nobody_waits_for_a_process_that_dies_before_it_knows_its_work():
    def give_up(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    try:
        with pytest.raises(TaskFailed, match=r"^1 failed: its process was killed"):
            LocalEngine(1).run(DeadOnArrival(), named(1))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_a_result_that_cannot_be_sent_is_said_to_be_one():
    with pytest.raises(TaskFailed, match=r"^1 failed: its result cannot be sent"):
        LocalEngine(1).run(NotSent(), named(1))


def test_each_process_loads_once():
    found = LocalEngine(2).run(Forgetful(), named(*range(12)))
    assert {made for _, made in found.values()} == {1}
    assert len({process for process, _ in found.values()}) <= 2


def test_items_are_taken_as_they_are_needed(tmp_path: Path):
    taken: list[int] = []

    def items() -> Iterator[tuple[str, int]]:
        for number in range(12):
            taken.append(number)
            yield str(number), number

    ahead: list[int] = []
    LocalEngine(2).run(Doubling(), items(), lambda name, _: ahead.append(len(taken) - len(ahead)))
    assert max(ahead) <= 2


ORPHAN = """
from pathlib import Path
from engine.local import LocalEngine
from engine.serial import SerialEngine
from tests.engine.tasks import Held
import numpy as np, sys
if __name__ == "__main__":
    with SerialEngine().sharing(np.ones(4)) as shared:
        LocalEngine(2).run(Held(shared, Path(sys.argv[1])), [(str(i), slice(i, i + 1)) for i in range(4)])
"""


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, how: signal.Signals):
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    begun = tmp_path / "begun"
    begun.mkdir()
    owner = subprocess.Popen([sys.executable, script, begun], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 120
    while len(started := list(begun.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    owner.send_signal(how)
    owner.wait(timeout=120)
    (tmp_path / "released").touch()
    workers = [int(file.name.split("-")[1]) for file in started]
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2
    assert not any(map(is_alive, workers))
    assert len(list(begun.iterdir())) == 2


def test_the_environment_names_the_engine(monkeypatch: pytest.MonkeyPatch):
    assert isinstance(chosen_engine({}), LocalEngine)
    assert isinstance(chosen_engine({"ENGINE": "local", "ENGINE_PROCESSES": "0"}), SerialEngine)
    assert isinstance(chosen_engine({"ENGINE_PROCESSES": "3"}), LocalEngine)
    with pytest.raises(ConfigurationError, match="ENGINE: expected local or ray, got 'dask'"):
        chosen_engine({"ENGINE": "dask"})
    for said in ("-1", "many", "1.5"):
        with pytest.raises(ConfigurationError, match="ENGINE_PROCESSES: expected a whole number"):
            chosen_engine({"ENGINE_PROCESSES": said})


def test_where_ray_is_not_installed_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r"pip install -r requirements/ray\.txt"):
        chosen_engine({"ENGINE": "ray"})
