"""Rows of several members in one call: each is a question that says which set and which member it is for.

So what all members are asked travels together, and BentoML batches it across gateway workers as it does elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import numpy as np

from contracts import Floats, Floats32
from features.spec import ROW_WIDTHS
from runners.foreign import BadAnswer
from runners.hosted import HostedSets, stamp_of
from runners.together import Send

Indices = np.ndarray[tuple[int], np.dtype[np.intp]]

log = logging.getLogger("deepfinance.runners")

MEMBERS: Final = ("xgboost", "lstm", "transformer", "patchtst", "patchtsmixer", "random_forest")
WIDEST: Final = max(ROW_WIDTHS.values())
_HEAD: Final = 3
"""Columns before the values: stamp of the set, number of the member, how many values are meant."""


def questions(member: str, rows: Floats32, version: str) -> Floats32:
    """(n_rows, row_width) -> (n_rows, 3 + WIDEST), for that member of the set of that version."""
    asked = np.zeros((len(rows), _HEAD + WIDEST), np.float32)
    asked[:, :_HEAD] = stamp_of(version), MEMBERS.index(member), rows.shape[1]
    asked[:, _HEAD : _HEAD + rows.shape[1]] = rows
    return asked


def answered(hosted: HostedSets, asked: Floats32) -> Floats:
    """The answers to ``questions``, in order; raises ValueError where no member can answer."""
    parts: list[tuple[Indices, Floats]] = []
    refusals: list[Exception] = []
    for number, width in np.unique(asked[:, 1:_HEAD], axis=0).astype(int):
        mine = np.flatnonzero((asked[:, 1] == number) & (asked[:, 2] == width))
        rows = np.concatenate([asked[mine, :1], asked[mine, _HEAD : _HEAD + width]], axis=1)
        try:
            parts.append((mine, hosted.ask(MEMBERS[number], rows)))
        except Exception as error:  # the others in the call are not to blame
            log.warning("%s cannot answer %d rows: %r", MEMBERS[number], len(mine), error)
            refusals.append(error)
    if not parts:
        raise ValueError("; ".join(map(str, refusals)) or "no rows")
    answers = np.full((len(asked), *parts[0][1].shape[1:]), np.nan)
    for mine, part in parts:
        answers[mine] = part
    return answers


def sender(predict: Callable[[Floats32], Awaitable[Any]], version: str) -> Send:
    """All that is asked in one call of ``predict``."""

    async def send(parts: Sequence[tuple[str, Floats32]]) -> Sequence[Floats]:
        asked = np.concatenate([questions(member, rows, version) for member, rows in parts])
        answers = np.asarray(await predict(asked))
        if len(answers) != len(asked):
            raise BadAnswer(f"{len(answers)} answers to {len(asked)} questions")
        ends = np.cumsum([len(rows) for _, rows in parts])
        return np.split(answers, ends[:-1])

    return send
