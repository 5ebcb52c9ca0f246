"""What a caller of the risk routes gets: answers of the desk as they are, and our errors for what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from errors import ErrorDetail, UnknownSymbol
from gateway import risk_examples
from gateway.risk_routes import preferred
from gateway.risk_schemas import PictureKind, ReturnsRequest, ReturnsResponse, RiskRequest, RiskResponse
from tests.gateway.calling import assert_error, fields_of
from tests.gateway.fakes import FakeBackend


@dataclass
class FakeDesk:
    """Answers the examples, and remembers what it was asked."""

    asked: list[Any] = field(default_factory=list)

    async def asset(self, question: RiskRequest) -> dict[str, Any]:
        self.asked.append(question)
        if question.benchmark == "NOSUCH":
            raise UnknownSymbol("no source knows NOSUCH", [ErrorDetail("benchmark", "no source knows NOSUCH")])
        return risk_examples.RISK_RESPONSE

    async def returns(self, question: ReturnsRequest) -> dict[str, Any]:
        self.asked.append(question)
        return risk_examples.RETURNS_RESPONSE

    async def picture(self, question: RiskRequest, kind: PictureKind) -> bytes:
        self.asked.append((question, kind))
        return f"a {kind}".encode()


@pytest.fixture
def desk(backend: FakeBackend) -> FakeDesk:
    backend.risk = FakeDesk()
    return backend.risk


def test_the_examples_of_the_documentation_have_the_shape_that_it_states():
    RiskRequest.model_validate(risk_examples.RISK_REQUEST)
    RiskResponse.model_validate(risk_examples.RISK_RESPONSE)
    ReturnsRequest.model_validate(risk_examples.RETURNS_REQUEST)
    ReturnsResponse.model_validate(risk_examples.RETURNS_RESPONSE)


async def test_a_symbol_is_enough(client: httpx.AsyncClient, desk: FakeDesk):
    answer = await client.post("/api/v1/risk", json={"symbol": "aapl"})
    assert answer.status_code == 200
    assert answer.json() == risk_examples.RISK_RESPONSE
    assert desk.asked == [RiskRequest(symbol="AAPL")]
    asked = desk.asked[0]
    assert (asked.period_days, asked.confidence_levels, asked.horizon) == (250, [0.95, 0.99], 1)
    assert (asked.include_benchmark, asked.benchmark, asked.risk_free_rate) == (True, None, 0.0)


async def test_the_address_can_say_all_that_the_body_can(client: httpx.AsyncClient, desk: FakeDesk):
    everything = {
        "period_days": 500,
        "confidence_levels": [0.9, 0.975],
        "horizon": 10,
        "include_benchmark": False,
        "benchmark": "^IXIC",
        "risk_free_rate": 0.03,
    }
    assert (await client.get("/api/v1/risk/MSFT", params=everything)).status_code == 200
    assert (await client.post("/api/v1/risk", json={"symbol": "MSFT", **everything})).status_code == 200
    assert desk.asked[0] == desk.asked[1]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"period_days": 1}, "period_days"),
        ({"period_days": 7561}, "period_days"),
        ({"confidence_levels": [0.5]}, "confidence_levels[0]"),
        ({"confidence_levels": [0.95, 1.0]}, "confidence_levels[1]"),
        ({"confidence_levels": []}, "confidence_levels"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 91}, "horizon"),
        ({"risk_free_rate": -1}, "risk_free_rate"),
        ({"include_benchmark": "yes"}, "include_benchmark"),
        ({"benchmark": "not a symbol"}, "benchmark"),
        ({"symbol": 7}, "symbol"),
        ({"periods": 250}, "periods"),
    ],
)
async def test_a_wrong_field_is_named(client: httpx.AsyncClient, desk: FakeDesk, wrong: dict[str, Any], where: str):
    answer = await client.post("/api/v1/risk", json={"symbol": "AAPL", **wrong})
    assert fields_of(assert_error(answer, 422, "invalid_request")) == [where]
    assert not desk.asked


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("confidence_levels=0.4", "confidence_levels[0]"),
        ("confidence_levels=nan", "confidence_levels[0]"),
        ("period_days=1", "period_days"),
        ("horizon=91", "horizon"),
        ("risk_free_rate=inf", "risk_free_rate"),
    ],
)
async def test_a_wrong_field_in_the_address_is_named(client: httpx.AsyncClient, desk: FakeDesk, query: str, where: str):
    answer = await client.get(f"/api/v1/risk/AAPL?{query}")
    assert fields_of(assert_error(answer, 422, "invalid_request")) == [where]


async def test_what_is_not_json_is_a_400_and_what_is_not_said_to_be_a_415(client: httpx.AsyncClient, desk: FakeDesk):
    headers = {"Content-Type": "application/json"}
    assert_error(await client.post("/api/v1/risk", content="{", headers=headers), 400, "malformed_body")
    headers = {"Content-Type": "text/plain"}
    assert_error(await client.post("/api/v1/risk", content="{}", headers=headers), 415, "unsupported_media_type")


async def test_a_benchmark_that_nobody_knows_is_a_404_that_says_which_field(client: httpx.AsyncClient, desk: FakeDesk):
    answer = await client.post("/api/v1/risk", json={"symbol": "AAPL", "benchmark": "NOSUCH"})
    assert fields_of(assert_error(answer, 404, "unknown_symbol")) == ["benchmark"]


async def test_returns_are_taken_as_they_are(client: httpx.AsyncClient, desk: FakeDesk):
    answer = await client.post("/api/v1/risk/returns", json={"returns": [0.01, -1, 2], "frequency": "monthly"})
    assert answer.json() == risk_examples.RETURNS_RESPONSE
    assert desk.asked[0].returns == [0.01, -1.0, 2.0]
    assert desk.asked[0].periods() == 12


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"returns": []}, "returns"),
        ({"returns": [0.1, -1.01]}, "returns[1]"),
        ({"returns": [0.1, "a"]}, "returns[1]"),
        ({"returns": [0.1, None]}, "returns[1]"),
        ({"returns": [0.1], "benchmark_returns": [0.1, 0.2]}, "body"),
        ({"returns": [0.1], "periods_per_year": 0}, "periods_per_year"),
        ({"returns": [0.1], "frequency": "hourly"}, "frequency"),
        ({}, "returns"),
    ],
)
async def test_wrong_returns_are_named(client: httpx.AsyncClient, desk: FakeDesk, body: dict[str, Any], where: str):
    assert fields_of(assert_error(await client.post("/api/v1/risk/returns", json=body), 422, "invalid_request")) == [
        where
    ]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
async def test_what_is_no_finite_number_is_refused(client: httpx.AsyncClient, desk: FakeDesk, number: str):
    answer = await client.post(
        "/api/v1/risk/returns",
        content=f'{{"returns": [0.1, {number}]}}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 422)
    assert not desk.asked


@pytest.mark.parametrize(
    ("accept", "kind", "media_type"),
    [
        (None, "html", "text/html; charset=utf-8"),
        ("application/pdf", "pdf", "application/pdf"),
        ("image/png", "png", "image/png"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "html", "text/html; charset=utf-8"),
    ],
)
async def test_the_report_comes_as_the_caller_accepts_it(
    client: httpx.AsyncClient, desk: FakeDesk, accept: str | None, kind: str, media_type: str
):
    headers = {} if accept is None else {"Accept": accept}
    answer = await client.get("/api/v1/risk/AAPL/report?period_days=100", headers=headers)
    assert answer.status_code == 200
    assert answer.text == f"a {kind}"
    assert answer.headers["content-type"] == media_type
    assert "accept" in answer.headers["vary"].lower()
    assert desk.asked == [(RiskRequest(symbol="AAPL", period_days=100), kind)]


async def test_the_report_as_a_page_may_run_nothing_and_load_nothing(client: httpx.AsyncClient, desk: FakeDesk):
    answer = await client.get("/api/v1/risk/AAPL/report")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


async def test_the_format_in_the_address_goes_before_the_header(client: httpx.AsyncClient, desk: FakeDesk):
    answer = await client.get("/api/v1/risk/AAPL/report?format=pdf", headers={"Accept": "text/html"})
    assert answer.headers["content-type"] == "application/pdf"
    assert_error(await client.get("/api/v1/risk/AAPL/report?format=docx"), 422, "invalid_request")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "html"),
        ("application/pdf;q=0.5, image/png;q=0.9", "png"),
        ("application/json", "html"),
        ("text/html;q=0, application/pdf", "pdf"),
        ("application/pdf;q=much", "html"),
        ("", "html"),
    ],
)
def test_the_best_of_what_is_accepted_is_chosen(accept: str, kind: str):
    assert preferred(accept) == kind


async def test_a_key_is_needed(stranger: httpx.AsyncClient, desk: FakeDesk):
    for address in ("/api/v1/risk/AAPL", "/api/v1/risk/AAPL/report"):
        assert_error(await stranger.get(address), 401, "unauthorized")
