"""Rows of two model sets in one call: each is answered by its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore

from runners.artefact import read_member
from runners.hosted import KEPT, HostedSets, stamp_of, stamped
from runners.members import Member, load_member
from runners.store import ensure_stored, serve_version, served_version
from tests.runners import tiny

OLD, NEW = "2001-old", "2002-new"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "bentoml" / "models"
    folder.mkdir(parents=True)
    BentoMLContainer.model_store.set(ModelStore(folder))
    yield folder
    BentoMLContainer.model_store.reset()


@pytest.fixture
def sets(tmp_path: Path, store: Path) -> dict[str, Path]:
    """Two stored sets with different networks."""
    folders = {}
    for seed, version in enumerate((OLD, NEW)):
        folder = tiny.write_model_set(tmp_path / version, version)
        tiny._write_graph(folder / "lstm.onnx", seed=seed + 40)
        tiny.write_manifest(folder, version)
        ensure_stored(folder)
        folders[version] = folder
    return folders


def lstm_of(folder: Path) -> Member:
    spec, grid = read_member(folder, "lstm")
    return load_member(spec, grid, folder / spec.file)


def test_a_stamp_survives_as_float32() -> None:
    stamps = {float(stamp_of(f"20221231-{i:010x}")) for i in range(2000)}
    assert len(stamps) > 1990
    assert all(stamp == int(stamp) < 2**24 for stamp in stamps)


def test_every_row_is_answered_by_the_set_it_names(sets: dict[str, Path]) -> None:
    hosted = HostedSets(["lstm"])
    hosted.load(sets[OLD])
    rows = tiny.rows_for("lstm", 40)
    for_new = np.random.default_rng(1).random(40) < 0.5
    mixed = np.where(for_new[:, None], stamped(rows, NEW), stamped(rows, OLD))
    answers = hosted.ask("lstm", mixed)
    np.testing.assert_array_equal(answers[~for_new], lstm_of(sets[OLD]).predict(rows[~for_new]))
    np.testing.assert_array_equal(answers[for_new], lstm_of(sets[NEW]).predict(rows[for_new]))
    assert not np.allclose(answers[for_new], lstm_of(sets[OLD]).predict(rows[for_new]))


def test_a_set_that_nobody_stored_or_has_no_such_member_is_refused(sets: dict[str, Path]) -> None:
    hosted = HostedSets(["lstm"])
    hosted.load(sets[OLD])
    with pytest.raises(ValueError, match="no model set of that version is stored"):
        hosted.ask("lstm", stamped(tiny.rows_for("lstm", 1), "1999-unheard-of"))
    with pytest.raises(ValueError, match="has no member 'gru'"):
        hosted.ask("gru", stamped(tiny.rows_for("lstm", 1), OLD))


def test_no_more_sets_stay_than_are_needed(sets: dict[str, Path], tmp_path: Path) -> None:
    hosted = HostedSets(["lstm"])
    third = tiny.write_model_set(tmp_path / "third", "2003-third")
    for folder in (*sets.values(), third):
        hosted.load(folder)
    assert len(hosted._sets) == KEPT
    assert stamp_of(OLD) not in hosted._sets


def test_what_is_served_is_said_to_processes_that_come_later(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPFINANCE_SERVED", raising=False)
    assert served_version() is None
    monkeypatch.setenv("DEEPFINANCE_SERVED", "")
    serve_version(OLD)
    serve_version(NEW)
    assert served_version() == NEW
    assert [path.name for path in store.iterdir() if "served" in path.name] == [".deepfinance.served"]
