"""Members in the gateway's own process: the same answers, and the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runners.artefact import read_member
from runners.embedded import SHARED_FROM, THREADS, EmbeddedMembers
from runners.members import load_member
from tests.runners import tiny


def alone(folder: Path, name: str) -> Any:
    spec, grid = read_member(folder, name)
    return load_member(spec, grid, folder / spec.file)


@pytest.mark.parametrize("count", [7, SHARED_FROM + 1])
async def test_members_asked_together_answer_as_each_would_alone(model_set: Path, count: int):
    members = EmbeddedMembers(model_set)
    parts = [(name, tiny.rows_for(name, count)) for name in ("lstm", "xgboost", "transformer")]
    for name, _ in parts:
        members.load(name)
    for (name, rows), answer in zip(parts, await members.send(parts), strict=True):
        np.testing.assert_array_equal(answer, alone(model_set, name).predict(rows))


async def test_nothing_is_computed_on_the_event_loop(model_set: Path, monkeypatch: Any):
    members = EmbeddedMembers(model_set)
    where: list[int] = []
    member = members.load("lstm")

    def noted(rows: Any) -> Any:
        where.append(threading.get_ident())
        return rows

    monkeypatch.setattr(member, "predict", noted)
    await asyncio.gather(*(members.send([("lstm", tiny.rows_for("lstm", 1))]) for _ in range(4)))
    assert threading.get_ident() not in where
    assert len(where) == 4


async def test_a_batch_is_shared_by_the_threads(model_set: Path, monkeypatch: Any):
    members = EmbeddedMembers(model_set)
    both = threading.Barrier(THREADS, timeout=60)
    member = members.load("lstm")
    predict = member.predict

    def meeting(rows: Any) -> Any:
        both.wait()
        return predict(rows)

    monkeypatch.setattr(member, "predict", meeting)
    (answer,) = await members.send([("lstm", tiny.rows_for("lstm", SHARED_FROM))])
    assert len(answer) == SHARED_FROM


async def test_a_member_is_loaded_once(model_set: Path):
    members = EmbeddedMembers(model_set)
    assert members.load("xgboost") is members.load("xgboost")
    rows = np.concatenate([tiny.rows_for("xgboost", 2), np.zeros((2, 1), np.float32)], axis=1)
    explained = await members.call("xgboost", "contributions")(rows)
    assert explained.shape[0] == 2
