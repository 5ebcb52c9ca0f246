"""A row has the same answer alone and in company, bit for bit, from the models that are shipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from features.build import history_inputs
from runners.artefact import grid_of, member_specs
from runners.members import OnnxMember, load_member
from tests.features.series import wandering_bars, with_candles

FOLDER = Path(__file__).parents[2] / "models_store" / "current"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
SPECS = {spec.name: spec for spec in member_specs(MANIFEST)}
NETWORKS = [name for name, spec in SPECS.items() if spec.kind == "onnx"]
MATRIX, _ = history_inputs(with_candles(wandering_bars(460, 11)))


def shipped(name):
    spec = SPECS[name]
    return load_member(spec, grid_of(MANIFEST), FOLDER / spec.file), MATRIX.rows_for(spec.takes)


def assert_alone_as_in_company(member, rows):
    together = member.predict(rows)
    spread = np.ptp(together, axis=0).max(axis=-1)  # one quantile may be a constant: the median of `fhs` is 0 for a day
    assert spread.min() > 1e-6  # a trained model says something else of every row
    for i, row in enumerate(rows):
        assert_array_equal(member.predict(row[None])[0], together[i])
    for size in (2, 3, 5, 7, 64, 65):
        for first in range(0, len(rows) - size + 1, size):
            part = slice(first, first + size)
            assert_array_equal(member.predict(rows[part][::-1]), together[part][::-1])


@pytest.mark.parametrize("name", SPECS)
def test_a_row_has_the_same_answer_alone_and_in_company(name):
    assert_alone_as_in_company(*shipped(name))


def test_there_are_networks_to_try():
    assert NETWORKS


def test_a_lone_row_that_goes_in_once_is_caught(monkeypatch):
    """The engine takes another path for one row of some networks: of the Transformer, on the usual processors."""
    monkeypatch.setattr(OnnxMember, "prepare", lambda member, rows: np.ascontiguousarray(rows))
    caught = []
    for name in NETWORKS:
        try:
            assert_alone_as_in_company(*shipped(name))
        except AssertionError:
            caught.append(name)
    if not caught:
        pytest.skip("on this processor a lone row takes the same path, so there is nothing to catch")
