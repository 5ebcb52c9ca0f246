"""Explanations, members by name and the gateway's own members, on a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.server import Server, eventually, is_whole

pytestmark = pytest.mark.e2e


def test_a_forecast_is_explained_by_the_models_that_made_it(server: Server):
    with server.client() as client:
        plain = client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 7}).json()
        body = client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 7, "explain": True}).json()
    assert "explanation" not in plain
    assert body["forecast_id"] == plain["forecast_id"]
    tree, attention = body["explanation"]["tree"], body["explanation"]["attention"]
    assert body["explanation"]["missing"] == {}
    parts = [tree["base"], *(each["effect"] for each in tree["features"])]
    parts += [tree["calibration"]] if tree["calibration"] else []
    for name, total in tree["total"].items():
        assert sum(part[name] for part in parts) == pytest.approx(total, abs=1e-9)
    targets = {member["model"]: member["price_target"] for member in body["members"]}
    if tree["calibration"]:
        assert targets[tree["model"]] == pytest.approx(body["current_price"] + tree["total"]["median_price"])
    assert attention["patches"][-1]["last"] == body["as_of"]
    for layer in attention["layers"]:
        assert all(sum(row) == pytest.approx(1.0, abs=1e-6) for row in layer["weights"])


def test_every_published_member_answers_by_name(server: Server, model_set_dir: Path):
    members = json.loads((model_set_dir / "manifest.json").read_bytes())["members"]
    with server.client() as client:
        for member in members:
            if member["takes"] == "ranges":
                continue
            body = client.post("/api/v1/predict", json={"symbol": "KO", "models": [member["name"]]}).json()
            assert [(each["model"], each["status"]) for each in body["members"]] == [(member["name"], "ok")]


def test_health_shows_every_member(server: Server, model_set_dir: Path):
    names = [member["name"] for member in json.loads((model_set_dir / "manifest.json").read_bytes())["members"]]
    eventually(lambda: is_whole(server), "every model answers")
    with server.client() as client:
        checks = client.get("/api/v1/health").json()["checks"]["runners"]
    assert [check["name"] for check in checks] == names
    assert {check["state"] for check in checks} == {"ok"}
