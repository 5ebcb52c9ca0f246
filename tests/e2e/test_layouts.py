"""Wherever the models run, the forecasts are the same, to the last digit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import Server, eventually, is_whole, running

pytestmark = pytest.mark.e2e

LAYOUTS = ("per_model", "combined", "embedded")
SYMBOLS = ("AAPL", "XOM", "^GSPC", "^IXIC")
RUNNERS = {
    "per_model": {"XgboostRunner", "LstmRunner", "TransformerRunner"},
    "combined": {"CombinedRunner"},
    "embedded": set(),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, model_set_dir: Path, server: Server) -> dict[str, dict[str, Any]]:
    """By layout: what the same questions are answered, and which processes there were."""
    found = {LAYOUTS[0]: _asked(server)}
    for layout in LAYOUTS[1:]:
        home = tmp_path_factory.mktemp(layout)
        settings = {"MODEL_SET_DIR": str(model_set_dir), "RUNNER_LAYOUT": layout}
        with running("service:DeepFinance", home, **settings) as other:
            found[layout] = _asked(other)
    return found


def _asked(server: Server) -> dict[str, Any]:
    asked = [{"symbol": symbol, "horizon": horizon} for symbol in SYMBOLS for horizon in (1, 20, 90)]
    explained = {"symbol": "AAPL", "horizon": 7, "explain": True}
    with server.client() as client:
        single = [client.post("/api/v1/predict", json=each).json() for each in asked]
        why = client.post("/api/v1/predict", json=explained).json()
        fewer = {"requests": [{**each, "confidence_level": 0.8} for each in asked]}
        batch = client.post("/api/v1/predict/batch", json=fewer).json()["results"]
        status = client.get("/api/v1/models/status").json()
        eventually(lambda: is_whole(server), "every model answers")
        health = client.get("/api/v1/health").json()
    for answer in (*single, why, *(item["forecast"] for item in batch)):
        answer.pop("cached")  # one of the servers has been asked by others
    processes = set(server.services())
    return {"single": single, "why": why, "batch": batch, "status": status, "health": health, "processes": processes}


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("what", ["single", "why", "batch"])
def test_every_layout_gives_the_same_numbers(told: dict[str, dict[str, Any]], layout: str, what: str):
    usual, other = told["per_model"][what], told[layout][what]
    assert "'error': {" not in str(usual)
    assert other == usual


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_processes_of_the_layout_run(told: dict[str, dict[str, Any]], layout: str):
    assert told[layout]["processes"] == RUNNERS[layout] | {"DeepFinance"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_says_which_layout_it_has_and_every_member_is_well(told: dict[str, dict[str, Any]], layout: str):
    status, health = told[layout]["status"], told[layout]["health"]
    assert (status["layout"], status["layout_reason"]) == (layout, f"RUNNER_LAYOUT is {layout}")
    assert {check["state"] for check in health["checks"]["runners"]} == {"ok"}
    lstm = next(each for each in status["members"] if each["name"] == "lstm")
    assert lstm["where"] == ("gateway" if layout == "embedded" else "runner")
