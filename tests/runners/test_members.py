from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errors import ArtefactError
from runners.artefact import read_member
from runners.members import Member, OnnxMember, load_member
from tests.runners.tiny import GRID, MEMBERS, rows_for, write_manifest, write_model_set

ALL = tuple(MEMBERS)
ROOT = Path(__file__).resolve().parents[2]


def _load(folder: Path, name: str) -> Member:
    spec, grid = read_member(folder, name)
    return load_member(spec, grid, folder / spec.file)


@pytest.fixture(scope="module")
def members(model_set: Path) -> dict[str, Member]:
    return {name: _load(model_set, name) for name in ALL}


@pytest.mark.parametrize("name", ALL)
def test_one_row_in_is_one_block_of_ordered_quantiles_out(members: dict[str, Member], name: str):
    answer = members[name].predict(rows_for(name, 7))
    assert answer.shape == (7, *GRID.shape)
    assert answer.dtype == np.float64
    assert (np.diff(answer, axis=-1) >= 0).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("n_rows", [1, 2, 64, 500])
def test_batched_equals_one_by_one(members: dict[str, Member], name: str, n_rows: int):
    rows = rows_for(name, n_rows)
    one_by_one = np.concatenate([members[name].predict(rows[i : i + 1]) for i in range(n_rows)])
    np.testing.assert_allclose(members[name].predict(rows), one_by_one, rtol=1e-5, atol=1e-6)


def test_booster_sees_every_row_once_per_horizon(members: dict[str, Member]):
    rows = rows_for("xgboost", 3)
    matrix = members["xgboost"].prepare(rows)
    assert matrix.shape == (3 * len(GRID.horizons), rows.shape[1] + 1)
    naive = np.asarray([[*row, np.log(horizon)] for row in rows for horizon in GRID.horizons], np.float32)
    np.testing.assert_array_equal(matrix, naive)


@pytest.mark.parametrize("name", ALL)
def test_no_rows_give_no_answers(members: dict[str, Member], name: str):
    rows = rows_for(name, 0)
    assert members[name].finish(np.empty((0,), np.float32), len(rows)).shape == (0, *GRID.shape)


@pytest.mark.parametrize("spoil", [np.nan, np.inf])
def test_when_a_row_is_not_finite_then_it_is_named(members: dict[str, Member], spoil: float):
    rows = rows_for("lstm", 4)
    rows[2, 5] = spoil
    with pytest.raises(ValueError, match=r"1 of 4 rows .* first: row 2"):
        members["lstm"].predict(rows)


def test_when_rows_have_another_shape_or_type_then_they_are_refused(members: dict[str, Member]):
    rows = rows_for("lstm", 4)
    wrongs: tuple[Any, ...] = (rows[:, :-1], rows.astype(np.float64), rows[0])
    for wrong in wrongs:
        with pytest.raises(ValueError, match="expected float32 rows"):
            members["lstm"].predict(wrong)


def test_when_an_engine_answers_too_little_then_nothing_is_passed_on(members: dict[str, Member]):
    with pytest.raises(RuntimeError, match="for 2 rows"):
        members["lstm"].finish(np.zeros((1, *GRID.shape), np.float32), 2)


def test_when_an_engine_answers_nan_then_nothing_is_passed_on(members: dict[str, Member]):
    with pytest.raises(RuntimeError, match="not finite"):
        members["lstm"].finish(np.full((1, *GRID.shape), np.nan, np.float32), 1)


@pytest.fixture
def own_set(tmp_path: Path) -> Path:
    return write_model_set(tmp_path / "set")


def test_when_a_file_was_changed_then_it_is_refused(own_set: Path):
    with (own_set / "lstm.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArtefactError, match=r"lstm.onnx was changed after it was published.*make train"):
        read_member(own_set, "lstm")


def test_when_a_file_is_missing_then_it_is_named(own_set: Path):
    (own_set / "lstm.onnx").unlink()
    with pytest.raises(ArtefactError, match=r"lacks lstm.onnx"):
        read_member(own_set, "lstm")


def test_when_the_features_differ_then_the_set_is_refused(own_set: Path):
    write_manifest(own_set, features={"fingerprint": "sha256:" + "0" * 64})
    with pytest.raises(ArtefactError, match="trained on other features"):
        read_member(own_set, "xgboost")


def test_when_a_member_is_not_in_the_set_then_the_known_ones_are_listed(own_set: Path):
    with pytest.raises(ArtefactError, match=r"no member 'gru'.*xgboost, lstm, transformer"):
        read_member(own_set, "gru")


def test_when_there_is_no_manifest_then_the_advice_is_given(tmp_path: Path):
    with pytest.raises(ArtefactError, match=r"no model set.*make train"):
        read_member(tmp_path, "lstm")


@pytest.mark.parametrize("content", ["not json", "[]", "{}"])
def test_when_the_manifest_is_no_manifest_then_it_is_refused(tmp_path: Path, content: str):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ArtefactError, match="manifest"):
        read_member(tmp_path, "lstm")


@pytest.mark.parametrize("name", ALL)
def test_when_the_model_has_another_width_then_it_does_not_fit(own_set: Path, name: str):
    spec, grid = read_member(own_set, name)
    with pytest.raises(ArtefactError, match=f"{spec.file} does not fit its manifest"):
        load_member(dataclasses.replace(spec, row_width=spec.row_width + 1), grid, own_set / spec.file)


@pytest.mark.parametrize("name", ALL)
def test_when_the_file_is_no_model_then_it_does_not_fit(own_set: Path, name: str):
    spec, grid = read_member(own_set, name)
    (own_set / spec.file).write_bytes(b"garbage")
    with pytest.raises(ArtefactError, match="does not fit its manifest"):
        load_member(spec, grid, own_set / spec.file)


@pytest.mark.parametrize(
    ("n_rows", "runs"), [(1, [2]), (2, [2]), (64, [64]), (65, [33, 32]), (500, [63] * 4 + [62] * 4)]
)
def test_a_network_runs_in_parts_none_of_which_is_a_lone_row(
    members: dict[str, Member], monkeypatch: pytest.MonkeyPatch, n_rows: int, runs: list[int]
):
    net, seen = members["lstm"], list[int]()
    assert isinstance(net, OnnxMember)
    session = net._session

    class Watched:
        def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> Any:
            seen.append(len(inputs["row"]))
            return session.run(outputs, inputs)

    monkeypatch.setattr(net, "_session", Watched())
    answer = net.predict(rows_for("lstm", n_rows))
    assert seen == runs
    assert answer.shape == (n_rows, *GRID.shape)


@pytest.mark.parametrize("first", ["runners.members", "training.export"])
def test_the_engine_tells_nobody_that_it_runs(model_set: Path, tmp_path: Path, first: str):
    """ONNX Runtime has telemetry that is on unless refused; what it would send, it keeps in the home folder first."""
    script = f"import {first}, onnxruntime; onnxruntime.InferenceSession({str(model_set / 'lstm.onnx')!r})"
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment = inherited | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    environment.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=True)
    assert not [it for it in tmp_path.rglob("*") if "onnxruntime" in it.name or it.name == ".ses"]
