"""One trace from the caller through the gateway to the runners, as a receiver of OTLP gets it."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.server import KEY, Server, running
from tests.otlp_receiver import Received, attributes_of, receiving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER, CLIENT = 2, 3
ROUTE = "POST /api/v1/predict"


KEPT, REFUSED, UNWANTED, WANTED = TRACE[::-1], "1" * 32, "2" * 32, "3" * 32


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[Received]:
    """Of all that was asked: what is not sent yet, here everything, is sent when the service ends."""
    with receiving() as receiver:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
        home = tmp_path_factory.mktemp("traced")
        with running("service:DeepFinance", home, TRACES="otlp", **settings) as server:
            ask_everything(server)
            assert not receiver.spans
        return list(receiver.spans)


def ask_everything(server: Server) -> None:
    assert ask(server, "MSFT", 7, TRACE, **{"X-Request-ID": "traced-1"}).status_code == 200
    assert ask(server, "KO", 3).status_code == 200
    assert ask(server, "KO", 3, KEPT).status_code == 200
    assert ask(server, "AAPL", 5, REFUSED, **{"X-API-Key": "not-a-key-of-ours"}).status_code == 401
    assert ask(server, "PFE", 4, UNWANTED, flags="00").status_code == 200
    assert ask(server, "PFE", 6, WANTED).status_code == 200
    with server.client() as client:
        for path in ("/livez", "/readyz", "/metrics"):
            client.get(path)


def ask(
    server: Server, symbol: str, horizon: int, trace: str = "", flags: str = "01", **headers: str
) -> httpx.Response:
    """For a forecast, within a trace if there is one."""
    if trace:
        headers["traceparent"] = f"00-{trace}-{PARENT}-{flags}"
    with server.client() as client:
        return client.post("/api/v1/predict", json={"symbol": symbol, "horizon": horizon}, headers=headers)


def of(trace: str, spans: list[Received]) -> list[Received]:
    return [it for it in spans if it.trace_id == trace]


def test_one_trace_leads_from_the_caller_to_the_runners(spans: list[Received]):
    spans = of(TRACE, spans)
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


def test_a_kept_answer_says_so(spans: list[Received]):
    (request,) = of(KEPT, spans)
    assert [attributes_of(it) for it in request.events] == [{"cache": "door", "result": "hit"}]


def test_a_refusal_is_a_span_without_a_key(spans: list[Received]):
    (request,) = of(REFUSED, spans)
    assert request.attributes["http.response.status_code"] == 401
    assert "key" not in request.attributes
    assert not request.failed, "the caller's mistake, not ours"


def test_what_a_caller_does_not_want_traced_is_not(spans: list[Received]):
    assert not of(UNWANTED, spans)
    assert {it.service for it in of(WANTED, spans)} == {
        "DeepFinance",
        "XgboostRunner",
        "LstmRunner",
        "TransformerRunner",
    }


def test_nothing_but_requests_begins_a_trace(spans: list[Received]):
    """Neither the warm-up nor probes nor what scrapes the metrics."""
    assert {it.name for it in spans if not it.parent_id} == {ROUTE}
