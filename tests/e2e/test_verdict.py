"""What a run with mishaps counts as wrong."""

from __future__ import annotations

import pytest

from chaos.clients import Sample
from chaos.events import Event
from chaos.verdict import Observed, faults
from risk_desk import FIT_SECONDS


def answered(kind: str, seconds: float) -> Observed:
    sample = Sample(kind, 0.0, seconds, seconds, 200, "", False, (), ())
    return Observed([0.0], [sample], set(), set(), 0, (Event(0.0, "nothing", lambda it: None),))


@pytest.mark.parametrize("kind", ["predict", "batch", "history"])
def test_no_forecast_may_be_late(kind: str):
    assert faults(answered(kind, 4.9), 5.0) == []
    assert faults(answered(kind, 5.1), 5.0) == [f"{kind} took 5.10 s, 5.10 s of them in the service"]


def test_risk_may_wait_for_its_volatility_model_and_no_longer():
    assert faults(answered("risk", FIT_SECONDS + 4.9), 5.0) == []
    assert len(faults(answered("risk", FIT_SECONDS + 5.1), 5.0)) == 1
