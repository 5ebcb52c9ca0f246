"""What a server writes, every process of it."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.e2e.server import Server


def test_every_line_is_json_and_a_request_is_one_of_them(server: Server):
    """A forecast's line comes after its answer, and of very many in a second some have none."""
    with server.client() as client:
        for number in range(20):
            asked = {"symbol": "AAPL", "horizon": 11 + number}
            client.post("/api/v1/predict", json=asked, headers={"X-Request-ID": "logged-1"})
            if mine := _line_of("logged-1", server):
                break
    assert (mine["logger"], mine["event"], mine["status"]) == ("deepfinance.access", "request", 200)
    lines = _lines(server)
    assert all({"time", "level", "logger", "event"} <= set(it) for it in lines)
    assert {"service:LstmRunner:1", "entry_service:DeepFinance:1"} <= {it.get("component") for it in lines}


def _lines(server: Server) -> list[dict[str, Any]]:
    """The whole ones: the last may be half written."""
    return [json.loads(it) for it in server.log.read_bytes().splitlines(keepends=True) if it.endswith(b"\n")]


def _line_of(request_id: str, server: Server, patience: float = 1.0) -> dict[str, Any]:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        for line in _lines(server):
            if line.get("request_id") == request_id:
                return line
        time.sleep(0.02)
    return {}
