"""Forecasts that are made past the usual way: the same answers, errors, counts and lines, whatever is asked."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import ForecastRequest
from counting import COUNTS
from errors import RunnerUnavailable, UnknownSymbol
from gateway.backend import Catalogue
from gateway.connection import Connection
from gateway.convert import ordinary_request, to_request
from gateway.schemas import MAX_HORIZON, PredictRequest
from tests.gateway.fakes import FakeBackend
from tests.gateway.test_express import OF_ONE_REQUEST, PREDICT, Way, request, served
from tests.gateway.test_known_heads import Talk, talking

MSFT = b'{"symbol":"MSFT"}'
MANY = "1000000/minute"


@dataclass
class SlowBackend(FakeBackend):
    """Waits for ``gate`` before it answers."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def predict(self, requests: Sequence[ForecastRequest]) -> Any:
        self.waiting += 1
        self.came.set()
        await self.gate.wait()
        return await super().predict(requests)

    async def wait_for(self, number: int) -> None:
        async with asyncio.timeout(2):
            while self.waiting < number:
                self.came.clear()
                await self.came.wait()


def way_to(backend: FakeBackend, *, express: bool = True, **more: Any) -> Way:
    return Way(express, backend=backend, **{"limit": MANY, **more})


def comparable(response: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Status line, headers without the values that are of one response alone, and the body without its id."""
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines)
    assert len(headers) == len(lines), "a header twice"
    stays = [name + b": " + (b"" if name in OF_ONE_REQUEST else value) for name, value in headers.items()]
    return status, sorted(stays), body.replace(headers.get(b"x-request-id", b"none"), b"ID")


# --- the same as the usual way ---

BODIES = [
    MSFT,
    b'{"symbol": "jpm", "horizon": 90, "timeframe": "1d", "confidence_level": 0.5}',
    b'{"symbol": "JPM", "models": ["lstm"], "weights": {"lstm": 2}, "explain": true}',
    b'{"symbol": "NOBODY"}',
    b'{"symbol": "JPM", "horizon": 0}',
    b'{"symbol": "JPM", "horizon": true}',
    b'{"symbol": "JPM", "timeframe": "1h"}',
    b'{"symbol": "JPM", "confidence_level": NaN}',
    b'{"symbol": "JPM", "nonsense": 1}',
    b'{"symbol": "not a symbol"}',
    b'{"symbol": "JPM", "models": ["nope"]}',
    b"{",
    b"[]",
    b"\xff\xfe",
    b"",
    b" " * 4097,
]
HEADERS: list[dict[str, str]] = [
    {},
    {"if_none_match": "*"},
    {"if_none_match": '"x"'},
    {"x_request_id": "mine"},
    {"x_request_id": "not sane"},
    {"connection": "keep-alive"},
    {"origin": "https://app.example"},
    {"key": "wrong"},
    {"content_type": "text/plain"},
    {"content_type": "application/json; charset=utf-8"},
    {"path": PREDICT + "?a=1"},
    {"method": "PUT"},
    {"accept_encoding": "gzip", "user_agent": "x" * 100},
]


async def test_whatever_is_asked_is_answered_as_on_the_usual_way():
    """Each over again on one connection, so that the second time its head may be known."""
    kinds: list[Any] = [(body, more) for body in BODIES for more in HEADERS]
    chance = random.Random(5)
    sent = [request(body, **more) for body, more in chance.sample(kinds, 80)] * 2
    chance.shuffle(sent)
    fast, slow = way_to(FakeBackend()), way_to(FakeBackend(), express=False)
    async with talking(fast) as one, talking(slow) as other:
        for each in sent:
            assert comparable(await one.ask(each)) == comparable(await other.ask(each)), each
    assert fast.taken < slow.taken / 2
    assert counted(fast) == counted(slow)


@pytest.mark.parametrize("error", [UnknownSymbol("none"), RunnerUnavailable("no model"), RuntimeError("a secret")])
async def test_what_goes_wrong_is_said_as_on_the_usual_way(error: Exception, caplog: pytest.LogCaptureFixture):
    answers = []
    for express in (True, False):
        async with talking(way_to(FakeBackend(raises=error), express=express)) as talk:
            answers.append([comparable(await talk.ask(request(MSFT))) for _ in range(3)])
    assert answers[0] == answers[1]
    assert b"a secret" not in b"".join(body for _, _, body in answers[0])
    unforeseen = [record for record in caplog.records if record.exc_info]
    assert len(unforeseen) == (6 if isinstance(error, RuntimeError) else 0)


async def test_what_is_made_is_kept_unless_other_models_answer_meanwhile():
    way = way_to(backend := SlowBackend(max_age=60.0))
    async with talking(way) as talk:
        talk.send(request(MSFT))
        await backend.wait_for(1)
        way.hot.clear()
        backend.gate.set()
        assert b'"cached":false' in await talk.response()
        assert [b'"cached":false' in await talk.ask(request(MSFT)) for _ in range(3)] == [True, False, False]
    assert (len(backend.asked), way.taken) == (2, 0)


# --- on the connection ---


async def known(talk: Talk, backend: SlowBackend) -> None:
    """Have the head of ``request(MSFT)`` known."""
    backend.gate.set()
    assert (await talk.ask(request(MSFT))).startswith(b"HTTP/1.1 200")
    backend.gate.clear()
    backend.waiting = 0


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A request each that uvicorn parsed."""
    requests: list[Any] = []
    before = Connection.on_headers_complete

    def noting(self: Connection) -> None:
        before(self)
        requests.append(self.scope)

    monkeypatch.setattr(Connection, "on_headers_complete", noting)
    return requests


async def test_a_known_head_is_not_parsed(parsed: list[Any]):
    way = way_to(backend := SlowBackend())
    async with talking(way) as talk:
        await known(talk, backend)
        backend.gate.set()
        responses = [await talk.ask(request(body)) for body in (MSFT, b'{"symbol":"AAPx"}', MSFT)]
    assert len(parsed) == 1
    assert [response[9:12] for response in responses] == [b"200", b"404", b"200"]
    ids = {response.partition(b"x-request-id: ")[2][:32] for response in responses}
    assert len(ids) == 3


async def test_requests_behind_it_wait_their_turn(parsed: list[Any]):
    way = way_to(backend := SlowBackend())
    async with talking(way) as talk:
        await known(talk, backend)
        talk.send(request(MSFT))
        await backend.wait_for(1)
        talk.send(request(b'{"symbol":"JPM"}') + request(b'{"symbol":"NOBODY"}')[:40])
        await asyncio.sleep(0.02)
        talk.send(request(b'{"symbol":"NOBODY"}')[40:])
        await asyncio.sleep(0.02)
        assert backend.waiting == 1
        backend.gate.set()
        bodies = [(await talk.response()).partition(b"\r\n\r\n")[2] for _ in range(3)]
        assert (await talk.ask(request(MSFT))).startswith(b"HTTP/1.1 200")
    assert [b'"MSFT"' in bodies[0], b'"JPM"' in bodies[1], b"NOBODY" in bodies[2]] == [True] * 3
    assert len(parsed) == 3


async def test_it_is_not_cut_off_as_a_silent_connection():
    way = way_to(backend := SlowBackend())
    async with talking(way, timeout_keep_alive=0.05) as talk:
        await known(talk, backend)
        talk.send(request(MSFT))
        await asyncio.sleep(0.15)
        backend.gate.set()
        assert (await talk.response()).startswith(b"HTTP/1.1 200")
        assert await talk.rest() == b""


async def test_a_caller_who_leaves_does_not_stop_it():
    way = way_to(backend := SlowBackend(max_age=60.0))
    async with talking(way) as talk:
        await known(talk, backend)
        way.hot.clear()
        talk.send(request(MSFT))
        await backend.wait_for(1)
        talk.leave()
        await asyncio.sleep(0.02)
        backend.gate.set()
        await asyncio.sleep(0.02)
    assert way.hot.find(PREDICT, MSFT) is not None
    assert counted(way)["200"] == 2


async def test_a_server_that_stops_waits_for_it_and_closes():
    way = way_to(backend := SlowBackend())
    async with served(way.app, Connection) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        talk = Talk(reader, writer)
        await known(talk, backend)
        talk.send(request(MSFT))
        await backend.wait_for(1)
        asyncio.get_running_loop().call_later(0.2, backend.gate.set)
    response = await talk.rest()
    assert response.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in response
    writer.close()


async def test_a_process_that_ends_closes_the_connection():
    way = way_to(backend := SlowBackend())
    async with talking(way) as talk:
        await known(talk, backend)
        talk.send(request(MSFT))
        await backend.wait_for(1)
        way.draining.active = True
        backend.gate.set()
        response = await talk.rest()
    assert b"\r\nconnection: close\r\n" in response


async def test_what_takes_too_long_is_504_and_what_is_given_up_500():
    way = way_to(backend := SlowBackend(), seconds=0.1)
    async with talking(way) as talk:
        await known(talk, backend)
        assert (await talk.ask(request(MSFT))).startswith(b"HTTP/1.1 504")
        talk.send(request(MSFT))
        await backend.wait_for(2)
        (task,) = (each for each in asyncio.all_tasks() if "run_asgi" in repr(each.get_coro()))
        task.cancel()
        assert (await talk.rest()).startswith(b"HTTP/1.1 500")
    assert counted(way) == {"200": 1, "504": 1, "500": 1}


async def test_uvicorns_limit_of_what_is_under_way_holds(parsed: list[Any]):
    way = way_to(FakeBackend())
    async with talking(way, limit_concurrency=5) as talk:
        for _ in range(3):
            await talk.ask(request(MSFT))
    assert len(parsed) == 3


# --- what is noted of it ---


def counted(way: Way) -> dict[str, int]:
    """Answers by status; nothing is in progress, and each has been timed."""
    COUNTS.hand_over()
    samples = [sample for metric in way.registry.collect() for sample in metric.samples]
    found: dict[str, int] = {}
    for it in samples:
        if it.name == "deepfinance_http_requests_total":
            found[it.labels["status"]] = found.get(it.labels["status"], 0) + int(it.value)
    (in_progress,) = (it.value for it in samples if it.name == "deepfinance_http_requests_in_progress")
    assert in_progress == 0
    timed = sum(it.value for it in samples if it.name == "deepfinance_http_request_seconds_count")
    assert timed == sum(found.values())
    return found


async def test_it_is_in_progress_until_it_is_answered():
    way = way_to(backend := SlowBackend())
    async with talking(way) as talk:
        talk.send(request(MSFT))
        await backend.wait_for(1)
        COUNTS.hand_over()
        text = prometheus_client.generate_latest(way.registry).decode()
        assert "deepfinance_http_requests_in_progress 1.0" in text
        backend.gate.set()
        await talk.response()
    counted(way)
    assert 'layer="hot",result="miss"} 1.0' in prometheus_client.generate_latest(way.registry).decode()


async def test_lines_are_those_of_the_usual_way(caplog: pytest.LogCaptureFixture):
    lines: list[list[Any]] = []
    for express in (True, False):
        caplog.clear()
        with caplog.at_level(logging.INFO, "deepfinance.access"):
            async with talking(way_to(FakeBackend(), express=express)) as talk:
                for body in (MSFT, MSFT, b'{"symbol":"NOBODY"}', b"{"):
                    await talk.ask(request(body, x_request_id="mine"))
                await talk.ask(request(MSFT, if_none_match="*"))
        records = [record for record in caplog.records if record.name == "deepfinance.access"]
        lines.append([{**orjson.loads(record.message), "seconds": 0} for record in records])
    assert [line["status"] for line in lines[0]] == [200, 200, 404, 400, 304]
    without_id = [[{k: v for k, v in line.items() if k != "request_id"} for line in each] for each in lines]
    assert without_id[0] == without_id[1]
    assert [line["request_id"] for line in lines[0][:4]] == ["mine"] * 4


async def test_the_limit_is_counted_once_each():
    way = way_to(FakeBackend(), limit="5/minute")
    async with talking(way) as talk:
        left = [(await talk.ask(request(MSFT))) for _ in range(7)]
    assert [response[9:12] for response in left] == [b"200"] * 5 + [b"429"] * 2
    remaining = [int(response.partition(b"x-ratelimit-remaining: ")[2].partition(b"\r\n")[0]) for response in left]
    assert remaining == [4, 3, 2, 1, 0, 0, 0]


# --- a body that needs no model to be read ---

CATALOGUE = Catalogue(("xgboost", "lstm", "transformer"), ("1d",))
ANYTHING = st.one_of(
    st.integers(-1, 100),
    st.floats(),
    st.text(max_size=5),
    st.booleans(),
    st.none(),
    st.lists(st.integers(), max_size=2),
)
FIELDS = st.fixed_dictionaries(
    {"symbol": st.one_of(st.text("aBZ09.^=-é \n", max_size=16), ANYTHING)},
    optional={
        "horizon": st.one_of(st.integers(1, MAX_HORIZON), ANYTHING),
        "timeframe": st.one_of(st.sampled_from(["1d", "1h", "1w"]), ANYTHING),
        "confidence_level": st.one_of(st.floats(0.4, 1.0), ANYTHING),
        "models": ANYTHING,
        "other": ANYTHING,
    },
)


def read_by_the_model(body: bytes) -> ForecastRequest | None:
    try:
        return to_request(PredictRequest.model_validate_json(body), CATALOGUE)
    except Exception:
        return None


@given(FIELDS, st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_a_body_is_read_without_the_model_as_the_model_reads_it(fields: dict[str, Any], spaces: int):
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":" + " " * spaces)).encode() + b"\n" * spaces
    read = ordinary_request(body, CATALOGUE)
    assert read is None or read == read_by_the_model(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"symbol":"A"}',
        b'{"symbol":"brk-b","horizon":90,"timeframe":"1d","confidence_level":0.99}',
        b'{"symbol":"A","symbol":"B"}',
        b'\n {"\\u0073ymbol":"A"} ',
    ],
)
def test_the_simplest_bodies_need_no_model(body: bytes):
    assert ordinary_request(body, CATALOGUE) == read_by_the_model(body) is not None


@pytest.mark.parametrize(
    "body", [b'{"symbol":"A","horizon":5.0}', b'{"symbol":"A","models":null}', b'\xef\xbb\xbf{"symbol":"A"}', b"5"]
)
def test_the_others_do(body: bytes):
    assert ordinary_request(body, CATALOGUE) is None
