from __future__ import annotations

import json
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import bentoml
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore

from errors import ArtefactError
from runners.store import declared_model_set, ensure_stored, model_set_tag
from tests.runners.tiny import write_manifest, write_model_set

VERSION = "2001.01.01-tiny"


@pytest.fixture
def own_set(tmp_path: Path) -> Path:
    return write_model_set(tmp_path / "set", VERSION)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """An empty BentoML store, put in place of the user's."""
    folder = tmp_path / "bentoml" / "models"
    folder.mkdir(parents=True)
    BentoMLContainer.model_store.set(ModelStore(folder))
    yield folder
    BentoMLContainer.model_store.reset()


def test_the_whole_set_is_stored_under_its_version(own_set: Path, store: Path):
    tag = ensure_stored(own_set)
    assert str(tag) == f"deepfinance:{VERSION}"
    stored = Path(bentoml.models.get(tag).path)
    assert {path.name for path in own_set.iterdir()} < {path.name for path in stored.iterdir()}


def test_storing_twice_leaves_the_first_copy_alone(own_set: Path, store: Path):
    tag = ensure_stored(own_set)
    before = (store / tag.path() / "model.yaml").stat().st_mtime_ns
    assert ensure_stored(own_set) == tag
    assert (store / tag.path() / "model.yaml").stat().st_mtime_ns == before


def test_what_a_killed_copy_left_behind_is_replaced(own_set: Path, store: Path):
    tag = ensure_stored(own_set)
    (store / tag.path() / "lstm.onnx").write_bytes(b"half")
    ensure_stored(own_set)
    assert (store / tag.path() / "lstm.onnx").read_bytes() == (own_set / "lstm.onnx").read_bytes()


def test_a_folder_without_a_model_in_it_is_replaced(own_set: Path, store: Path):
    (store / "deepfinance" / VERSION).mkdir(parents=True)
    assert bentoml.models.get(ensure_stored(own_set))


def test_when_another_set_has_the_name_then_it_is_not_overwritten(own_set: Path, store: Path):
    ensure_stored(own_set)
    write_manifest(own_set, VERSION, note="trained again")
    with pytest.raises(ArtefactError, match=f"another model set called deepfinance:{VERSION}.*bentoml models delete"):
        ensure_stored(own_set)


def test_a_longer_version_with_the_same_beginning_is_another_set(own_set: Path, store: Path, tmp_path: Path):
    ensure_stored(write_model_set(tmp_path / "longer", f"{VERSION}.1"))
    assert ensure_stored(own_set).version == VERSION


@pytest.mark.parametrize("version", ["latest", "Upper", "a b", "1+cpu", "", "-x"])
def test_when_a_version_cannot_name_a_model_then_it_is_refused(version: str):
    with pytest.raises(ArtefactError, match="cannot name a stored model"):
        model_set_tag({"models_version": version})


def test_a_manifest_alone_declares_the_set_and_stores_nothing(own_set: Path, store: Path, tmp_path: Path):
    alone = tmp_path / "bento" / "current"
    alone.mkdir(parents=True)
    (alone / "manifest.json").write_bytes((own_set / "manifest.json").read_bytes())
    assert str(declared_model_set(alone).tag) == f"deepfinance:{VERSION}"
    assert not list(store.iterdir())


def _store_in_process(folder: str, home: str, start: Barrier) -> None:
    BentoMLContainer.model_store.set(ModelStore(Path(home)))
    start.wait(300)
    ensure_stored(Path(folder))


def test_processes_that_start_together_store_it_once(own_set: Path, tmp_path: Path):
    home = tmp_path / "raced"
    home.mkdir()
    context = get_context("spawn")  # a fork would copy what other threads hold
    start = context.Barrier(4)
    racers = [context.Process(target=_store_in_process, args=(str(own_set), str(home), start)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(300)
    assert [racer.exitcode for racer in racers] == [0, 0, 0, 0]
    stored = home / "deepfinance" / VERSION
    assert json.loads((stored / "manifest.json").read_text())["models_version"] == VERSION
