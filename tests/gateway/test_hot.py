"""Kept answers at the door: the same bytes as the slow way gives, with key, limit, id and metrics still on."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from contracts import ForecastRequest
from errors import RunnerUnavailable
from gateway.access_log import ANSWERS_A_LINE
from gateway.answers import Answer, answer_of, matches
from gateway.hot import LONGEST_REQUEST, HotAnswers
from tests.gateway.calling import assert_error, assert_stamped
from tests.gateway.fakes import FakeBackend, forecast_for
from tests.gateway.tiny_service import ORIGIN

PREDICT = "/api/v1/predict"
AAPL = b'{"symbol":"AAPL"}'
JSON = {"Content-Type": "application/json"}
OF_ONE_REQUEST = {
    *("x-request-id", "x-bentoml-request-id", "x-response-time", "x-ratelimit-remaining", "x-ratelimit-reset"),
    "cache-control",  # counts the seconds
}


def an_answer(max_age: float = 60.0) -> Answer:
    return answer_of(forecast_for(ForecastRequest("AAPL")), max_age)


async def ask(client: httpx.AsyncClient, body: bytes = AAPL, **headers: str) -> httpx.Response:
    return await client.post(PREDICT, content=body, headers={**JSON, **headers})


def lasting(response: httpx.Response) -> list[tuple[str, str]]:
    """The headers but for those of one request."""
    return sorted(pair for pair in response.headers.multi_items() if pair[0] not in OF_ONE_REQUEST)


@pytest.fixture
def backend(backend: FakeBackend) -> FakeBackend:
    backend.max_age = 60.0
    return backend


async def test_the_second_answer_needs_no_backend(client: httpx.AsyncClient, backend: FakeBackend):
    first, second = await ask(client), await ask(client)
    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.json()["cached"], second.json()["cached"]) == (False, True)
    assert first.content.replace(b'"cached":false', b'"cached":true') == second.content
    assert len(backend.asked) == 1
    assert_stamped(second)


@pytest.mark.parametrize("more", [{}, {"Origin": ORIGIN}, {"Origin": "https://evil.example"}])
async def test_hot_and_slow_are_the_same_to_the_byte(
    client: httpx.AsyncClient, backend: FakeBackend, more: dict[str, str]
):
    backend.keeps = True
    slow, hot = await ask(client, **more), await ask(client, **more)
    assert len(backend.asked) == 1
    assert hot.content == slow.content
    assert lasting(hot) == lasting(slow)


async def test_other_bytes_are_another_request(client: httpx.AsyncClient, backend: FakeBackend):
    for body in (AAPL, AAPL + b" ", b'{"symbol":"MSFT"}', b'{"symbol":"AAPL","horizon":6}'):
        answer = await ask(client, body)
        assert answer.json()["cached"] is False
    assert len(backend.asked) == 4


async def test_it_is_told_how_long_it_is_good(client: httpx.AsyncClient):
    first, second = await ask(client), await ask(client)
    assert first.headers["cache-control"] == "private, max-age=60"
    assert second.headers["cache-control"] in {f"private, max-age={seconds}" for seconds in range(30, 61)}
    assert second.headers["vary"] == first.headers["vary"] == "Authorization, X-API-Key, Origin"
    assert second.headers["etag"].strip('"') in first.headers["etag"]
    assert second.headers["etag"] != first.headers["etag"], "strong tags of different bytes differ"


@pytest.mark.parametrize("keeps", [False, True])
async def test_who_has_it_is_sent_nothing(client: httpx.AsyncClient, backend: FakeBackend, keeps: bool):
    first, second = await ask(client), await ask(client)
    for tag in (first.headers["etag"], second.headers["etag"], f'"x", W/{second.headers["etag"]}', "*"):
        answer = await ask(client, **{"If-None-Match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == second.headers["etag"]
        assert answer.headers["cache-control"].startswith("private, max-age=")
        assert "content-type" not in answer.headers
        assert_stamped(answer)
    assert (await ask(client, **{"If-None-Match": '"another"'})).status_code == 200


async def test_the_slow_way_sends_nothing_either(client: httpx.AsyncClient, backend: FakeBackend):
    backend.max_age = 0.0
    tag = (await ask(client)).headers["etag"]
    assert (await ask(client, **{"If-None-Match": tag})).status_code == 304
    assert len(backend.asked) == 2
    assert (await ask(client, b'{"symbol":"MSFT"}', **{"If-None-Match": tag})).status_code == 200


async def test_keys_limits_and_types_are_still_looked_at(client: httpx.AsyncClient, stranger: httpx.AsyncClient):
    await ask(client)
    assert_error(await ask(stranger), 401, "unauthorized")
    assert_error(await ask(client, **{"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    first, second = await ask(client), await ask(client)
    left = [int(it.headers["x-ratelimit-remaining"]) for it in (first, second)]
    assert left[0] == left[1] + 1


async def test_an_id_that_is_sent_comes_back(client: httpx.AsyncClient):
    await ask(client)
    assert (await ask(client, **{"X-Request-ID": "mine"})).headers["x-request-id"] == "mine"
    assert len({(await ask(client)).headers["x-request-id"] for _ in range(5)}) == 5


async def test_errors_and_what_may_not_be_repeated_are_not_kept(client: httpx.AsyncClient, backend: FakeBackend):
    backend.raises = RunnerUnavailable("no model can answer")
    assert_error(await ask(client), 503, "runner_unavailable")
    backend.raises, backend.max_age = None, 0.0
    for _ in range(2):
        answer = await ask(client)
        assert answer.json()["cached"] is False
        assert answer.headers["cache-control"] == "no-store"


async def test_other_paths_and_methods_are_not_meant(client: httpx.AsyncClient, backend: FakeBackend):
    await ask(client)
    assert_error(await client.get(PREDICT), 405, "method_not_allowed")
    batch = await client.post(f"{PREDICT}/batch", json={"requests": [{"symbol": "AAPL"}]})
    assert batch.json()["results"][0]["forecast"]["cached"] is False


async def test_metrics_count_them(client: httpx.AsyncClient):
    for _ in range(3):
        await ask(client)
    metrics = (await client.get("/metrics")).text
    assert 'deepfinance_http_requests_total{endpoint="/api/v1/predict",method="POST",status="200"} 3.0' in metrics


async def test_one_in_so_many_is_logged_and_says_so(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "deepfinance.access"):
        for _ in range(1 + 2 * ANSWERS_A_LINE):
            await ask(client)
    lines = [orjson.loads(record.message) for record in caplog.records if record.name == "deepfinance.access"]
    assert [line.get("one_of") for line in lines] == [None, ANSWERS_A_LINE, ANSWERS_A_LINE]


# --- the map itself ---


@dataclass
class Clock:
    time: float = 0.0

    def __call__(self) -> float:
        return self.time


def test_it_forgets_when_the_time_is_over():
    clock = Clock()
    hot = HotAnswers(clock=clock)
    hot.keep(PREDICT, AAPL, an_answer(max_age=5.0))
    clock.time = 3.2
    found = hot.find(PREDICT, AAPL)
    assert found.lines.endswith(b"\r\ncache-control: private, max-age=1\r\n")
    clock.time = 5.0
    assert hot.find(PREDICT, AAPL) is None


def test_what_is_not_worth_it_is_not_kept():
    hot = HotAnswers()
    hot.keep(PREDICT, AAPL, an_answer(max_age=0.9))
    hot.keep(PREDICT, AAPL + b" " * LONGEST_REQUEST, an_answer())
    assert hot.find(PREDICT, AAPL) is None
    assert hot.find(PREDICT, AAPL + b" " * LONGEST_REQUEST) is None


def test_many_different_requests_take_no_more_than_they_may():
    sizes: list[int] = []
    hot = HotAnswers(100_000, on_change=lambda entries, size: sizes.append(size))
    for number in range(500):
        hot.keep(PREDICT, b'{"symbol":"%d"}' % number, an_answer())
    assert max(sizes) <= 100_000
    assert hot.find(PREDICT, b'{"symbol":"499"}') is not None
    assert hot.find(PREDICT, b'{"symbol":"0"}') is None


async def test_an_answer_of_the_models_before_is_not_kept_after_a_reload():
    from gateway.hot import leave

    hot, gate = HotAnswers(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        leave(an_answer())
        await gate.wait()

    async def nothing(*_: Any) -> Any: ...

    scope = {"path": PREDICT, "method": "POST"}
    asking = asyncio.create_task(hot.serve(app, scope, {}, AAPL, nothing, nothing))
    await asyncio.sleep(0)
    hot.clear()
    gate.set()
    await asking
    assert hot.find(PREDICT, AAPL) is None
    await hot.serve(app, scope, {}, AAPL, nothing, nothing)
    assert hot.find(PREDICT, AAPL) is not None
    hot.clear()
    assert hot.find(PREDICT, AAPL) is None


@pytest.mark.parametrize(
    ("header", "same"),
    [
        (b'"a"', True),
        (b'W/"a"', True),
        (b'"a-0"', True),
        (b'"x" , "a"', True),
        (b"*", True),
        (b'"b"', False),
        (b"", False),
        (b'"aa"', False),
        (b'"\xff"', False),
    ],
)
def test_tags_are_compared(header: bytes, same: bool):
    assert matches(header, "a") is same
    assert matches(header, "a-0") is same
