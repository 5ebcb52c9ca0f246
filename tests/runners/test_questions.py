"""The rows of every member in one call: each is answered by the member and the set that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts import Floats32
from runners.artefact import read_member
from runners.foreign import BadAnswer
from runners.hosted import HostedSets
from runners.hosts import HOSTS
from runners.members import load_member
from runners.questions import MEMBERS, answered, questions, sender
from tests.runners import tiny

ASKED = ("lstm", "xgboost", "transformer")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_model_set(tmp_path_factory.mktemp("set") / "set", "1")


@pytest.fixture
def hosted(folder: Path) -> HostedSets:
    hosted = HostedSets(MEMBERS)
    hosted.load(folder)
    return hosted


def test_it_serves_what_the_runners_of_the_other_layout_serve():
    assert set(MEMBERS) == set(HOSTS)


async def test_each_member_answers_its_own_rows_as_it_would_alone(folder: Path, hosted: HostedSets):
    calls: list[Floats32] = []

    async def predict(asked: Floats32) -> Any:
        calls.append(asked)
        return answered(hosted, asked)

    parts = [(name, tiny.rows_for(name, 5 + at)) for at, name in enumerate(ASKED)]
    answers = await sender(predict, "1")(parts)
    assert len(calls) == 1
    for (name, rows), answer in zip(parts, answers, strict=True):
        spec, grid = read_member(folder, name)
        np.testing.assert_array_equal(answer, load_member(spec, grid, folder / spec.file).predict(rows))


def test_rows_of_many_callers_may_be_mixed(hosted: HostedSets):
    asked = np.concatenate([questions(name, tiny.rows_for(name, 8), "1") for name in ASKED])
    order = np.random.default_rng(4).permutation(len(asked))
    np.testing.assert_array_equal(answered(hosted, asked[order]), answered(hosted, asked)[order])


def test_a_member_that_cannot_answer_leaves_the_others_theirs(hosted: HostedSets):
    bad = questions("lstm", tiny.rows_for("lstm", 2), "1")
    bad[:, 10] = np.nan
    asked = np.concatenate([bad, questions("xgboost", tiny.rows_for("xgboost", 3), "1")])
    answers = answered(hosted, asked)
    assert np.isnan(answers[:2]).all()
    assert np.isfinite(answers[2:]).all()


def test_where_nobody_can_answer_the_reason_is_said(hosted: HostedSets):
    with pytest.raises(ValueError, match="no model set of that version is stored"):
        answered(hosted, questions("lstm", tiny.rows_for("lstm", 2), "unheard-of"))


async def test_a_short_answer_reaches_nobody(hosted: HostedSets):
    async def predict(asked: Floats32) -> Any:
        return answered(hosted, asked)[:-1]

    with pytest.raises(BadAnswer):
        await sender(predict, "1")([("lstm", tiny.rows_for("lstm", 3))])
