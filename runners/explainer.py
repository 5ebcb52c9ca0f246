"""Asking a runner for more than quantiles: one call a question, nothing kept, no cost where nobody asks."""

from __future__ import annotations

import asyncio

import numpy as np

from contracts import Explainer, Floats, Floats32
from runners.coalesce import Call
from runners.foreign import BadAnswer, translated


def explainer(model: str, call: Call, timeout: float) -> Explainer:
    """``call``, whose answer is checked and whose errors are ours."""

    async def explain(rows: Floats32) -> Floats:
        try:
            return _checked(await asyncio.wait_for(call(rows), timeout), len(rows))
        except Exception as error:
            raise translated(error, model) from error

    return explain


def _checked(raw: object, n_rows: int) -> Floats:
    answer: Floats = np.asarray(raw, dtype=np.float64)
    if answer.shape[:1] != (n_rows,) or not np.isfinite(answer).all():
        raise BadAnswer(f"shape {answer.shape} for {n_rows} rows, or numbers that are not finite")
    return answer
