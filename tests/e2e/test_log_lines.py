"""What a server writes, every process of it."""

from __future__ import annotations

import json

from tests.e2e.server import Server


def test_every_line_is_json_and_a_request_is_one_of_them(server: Server):
    with server.client() as client:
        client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 11}, headers={"X-Request-ID": "logged-1"})
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert all({"time", "level", "logger", "event"} <= set(it) for it in lines)
    (mine,) = [it for it in lines if it.get("request_id") == "logged-1"]
    assert (mine["logger"], mine["event"], mine["status"]) == ("deepfinance.access", "request", 200)
    assert {"service:LstmRunner:1", "entry_service:DeepFinance:1"} <= {it.get("component") for it in lines}
