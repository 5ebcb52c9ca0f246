"""One trace from the caller through the gateway to the runners, as a receiver of OTLP gets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import KEY, Server, running
from tests.otlp_receiver import Received, Receiver, attributes_of, receiving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER, CLIENT = 2, 3
ROUTE = "POST /api/v1/predict"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def server(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("traced")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with running("service:DeepFinance", home, TRACES="otlp", RUNNER_LAYOUT="per_model", **settings) as server:
        yield server


def ask(server: Server, symbol: str = "AAPL", horizon: int = 5, **headers: str) -> httpx.Response:
    with server.client() as client:
        body = {"symbol": symbol, "horizon": horizon}
        return client.post("/api/v1/predict", json=body, headers=headers)


def traced(receiver: Receiver, trace_id: str, services: int) -> list[Received]:
    """The spans of a trace, once the request's own and those of so many services are there."""

    def complete(spans: list[Received]) -> bool:
        mine = [it for it in spans if it.trace_id == trace_id]
        return len({it.service for it in mine}) >= services and any(it.name == ROUTE for it in mine)

    return [it for it in receiver.wait_for(complete) if it.trace_id == trace_id]


def test_one_trace_leads_from_the_caller_to_the_runners(server: Server, receiver: Receiver):
    answer = ask(server, "MSFT", 7, traceparent=f"00-{TRACE}-{PARENT}-01", **{"X-Request-ID": "traced-1"})
    assert answer.status_code == 200, answer.text
    spans = traced(receiver, TRACE, services=4)
    by_id = {it.span_id: it for it in spans}
    (request,) = [it for it in spans if it.name == ROUTE]
    assert (request.service, request.kind, request.parent_id) == ("DeepFinance", SERVER, PARENT)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/v1/predict",
        "http.response.status_code": 200,
        "request_id": "traced-1",
        "key": request.attributes["key"],
    }
    assert KEY not in repr(spans)
    assert {"market data", "features", "forecast"} <= {it.name for it in spans}
    assert {it["result"] for it in map(attributes_of, request.events) if "result" in it} == {"miss"}
    assert [it.name for it in request.events if it.name.startswith("handed")] == ["handed to the history"]
    answered = [it for it in spans if it.service.endswith("Runner")]
    assert {it.service for it in answered} == {"XgboostRunner", "LstmRunner", "TransformerRunner"}
    for span in answered:
        call = by_id[span.parent_id]
        assert (span.kind, call.kind, call.service) == (SERVER, CLIENT, "DeepFinance")
        assert call.name.startswith("model ")
        assert call.attributes["rows"] >= 1, "the row itself, or its recent past beside it"
        assert by_id[by_id[call.parent_id].parent_id] == request, "model, forecast, request"


def test_a_kept_answer_says_so(server: Server, receiver: Receiver):
    trace_id = TRACE[::-1]
    ask(server, "KO", 3)
    assert ask(server, "KO", 3, traceparent=f"00-{trace_id}-{PARENT}-01").status_code == 200
    (request,) = traced(receiver, trace_id, services=1)
    assert [attributes_of(it) for it in request.events] == [{"cache": "door", "result": "hit"}]


def test_a_refusal_is_a_span_without_a_key(server: Server, receiver: Receiver):
    trace_id = "1" * 32
    ask(server, traceparent=f"00-{trace_id}-{PARENT}-01", **{"X-API-Key": "not-a-key-of-ours"})
    (request,) = traced(receiver, trace_id, services=1)
    assert request.attributes["http.response.status_code"] == 401
    assert "key" not in request.attributes
    assert not request.failed, "the caller's mistake, not ours"


def test_what_a_caller_does_not_want_traced_is_not(server: Server, receiver: Receiver):
    unwanted, wanted = "2" * 32, "3" * 32
    ask(server, "PFE", 4, traceparent=f"00-{unwanted}-{PARENT}-00")
    ask(server, "PFE", 6, traceparent=f"00-{wanted}-{PARENT}-01")
    traced(receiver, wanted, services=4)
    assert unwanted not in {it.trace_id for it in receiver.spans}


def test_nothing_but_requests_begins_a_trace(server: Server, receiver: Receiver):
    """Neither the warm-up nor probes nor what scrapes the metrics."""
    with server.client() as client:
        for path in ("/livez", "/readyz", "/metrics"):
            client.get(path)
    ask(server, "GE", 2)
    roots = [it for it in receiver.wait_for(lambda spans: any(not it.parent_id for it in spans)) if not it.parent_id]
    assert {it.name for it in roots} == {ROUTE}


def test_what_is_not_sent_yet_is_sent_at_the_end(receiver: Receiver, tmp_path: Path):
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    trace_id = "4" * 32
    with running("service:DeepFinance", tmp_path, TRACES="otlp", RUNNER_LAYOUT="per_model", **settings) as server:
        ask(server, traceparent=f"00-{trace_id}-{PARENT}-01")
    traced(receiver, trace_id, services=4)
