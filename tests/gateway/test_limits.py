"""Limits in one process: against a naive twin that remembers every request, and as a caller sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counting import COUNTS
from gateway.auth import UNCOUNTED_PATHS
from gateway.door import Door
from gateway.limits import Addresses, Allowance, Lease, Limit, SlidingWindow
from gateway.options import GatewayOptions
from gateway.refusals import Refusals
from tests.gateway.calling import assert_error, caller


@dataclass
class HandClock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


gaps = st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.05, 0.1, 0.7, 3.0, 10.0, 59.9, 60.0, 61.0]), max_size=200)


@given(amount=st.integers(1, 30), gaps=gaps)
def test_no_span_ever_holds_more_than_the_limit_and_little_is_refused_for_nothing(amount: int, gaps: list[float]):
    window, now, passed = SlidingWindow(Limit(amount, 60)), 1000.0, []
    for gap in gaps:
        now += gap
        if window.has_room(now):
            window.count(now)
            passed.append(now)
            assert len([it for it in passed if it + 60 > now]) <= amount
        else:
            # a run leaves with its latest request, which is a hundredth of the span later than its first at most
            assert len([it for it in passed if it > now - 60.6]) >= amount
            assert 0 < window.reset_after(now) <= 60
            later = now + window.reset_after(now) + 1e-6
            assert len([it for it in passed if it > later - 60]) < amount


def test_a_high_limit_takes_little_memory():
    window, now = SlidingWindow(Limit(1_000_000, 60)), 0.0
    for _ in range(100_000):
        now += 0.001
        assert window.has_room(now)
        window.count(now)
    assert len(window._runs) <= 102
    assert 59_900 <= window.used <= 60_700


@pytest.mark.parametrize(
    "text", ["", "5", "/minute", "5/", "0/minute", "5/week", "5/Minute", "1e3/minute", "5/minute "]
)
def test_a_limit_is_requests_per_span(text: str):
    assert Limit.parse("5/hour") == Limit(5, 3600)
    with pytest.raises(ValueError, match="such as 100/minute"):
        Limit.parse(text)


async def test_alone_a_process_lets_exactly_the_limit_pass():
    clock = HandClock()
    allowance = Allowance("a", Limit(3, 60), clock=clock)
    assert [await allowance.take() for _ in range(5)] == [True, True, True, False, False]
    assert (allowance.remaining, allowance.reset_after) == (0, 60)
    clock.now += 60
    assert await allowance.take()
    assert allowance.remaining == 2


@dataclass
class FakeStore:
    """A store of ``units`` that answers when told to."""

    units: int
    away: bool = False
    on_change: Callable[[bool], None] = lambda answers: None
    asked: list[int] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def is_away(self, now: float) -> bool:
        return self.away

    async def lease(self, caller: str, limit: Limit, units: int) -> Lease | None:
        self.asked.append(units)
        await self.answers.wait()
        granted = min(units, self.units)
        self.units -= granted
        return None if self.away else Lease(granted, self.units, 30.0)

    async def close(self) -> None:
        pass


async def test_those_who_wait_share_one_question():
    store = FakeStore(7)
    allowance = Allowance("a", Limit(100, 60), store, HandClock())
    waiting = [asyncio.create_task(allowance.take()) for _ in range(10)]
    await asyncio.sleep(0)
    store.answers.set()
    assert sum(await asyncio.gather(*waiting)) == 7
    assert store.asked[0] == 10
    assert len(store.asked) <= 3
    assert allowance.remaining == 0
    assert allowance.reset_after == 30.0


async def test_a_refusal_is_remembered_for_a_second_at_most():
    store, clock = FakeStore(0), HandClock()
    store.answers.set()
    allowance = Allowance("a", Limit(100, 60), store, clock)
    assert [await allowance.take() for _ in range(20)] == [False] * 20
    assert len(store.asked) == 1
    clock.now += 1.0
    store.units = 1
    assert await allowance.take()


async def test_a_high_limit_asks_a_hundred_times_a_window():
    store = FakeStore(100)
    store.answers.set()
    allowance = Allowance("a", Limit(20_000, 60), store, HandClock())
    assert all([await allowance.take() for _ in range(20_000)])
    assert not await allowance.take()
    assert len(store.asked) == 100


async def test_a_lease_is_not_kept_longer_than_the_window():
    store, clock = FakeStore(2), HandClock()
    store.answers.set()
    allowance = Allowance("a", Limit(1_000, 60), store, clock)
    assert await allowance.take()
    clock.now += 60
    assert await allowance.take()
    assert store.units == 0


async def test_a_store_that_does_not_answer_costs_50_ms_and_no_request():
    store = FakeStore(100)
    allowance = Allowance("a", Limit(3, 60), store)
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await allowance.take()
    assert loop.time() - started < 0.2
    store.away = True
    store.answers.set()
    assert [await allowance.take() for _ in range(3)] == [True, True, False]
    assert allowance.remaining == 0


async def test_sockets_do_not_wait_and_what_they_borrowed_is_asked_for():
    store = FakeStore(3)
    allowance = Allowance("a", Limit(100, 60), store, HandClock())
    assert [allowance.hit() for _ in range(2)] == [True, True]
    store.answers.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.units == 1
    assert allowance.remaining == 1


def test_addresses_are_bounded_and_those_seen_last_stay():
    made: list[str] = []
    addresses = Addresses(lambda address: made.append(address) or address, capacity=3)  # type: ignore[func-returns-value]
    for address in ("a", "b", "c", "a", "d", "a", "b"):
        addresses.of(address)
    assert made == ["a", "b", "c", "d", "b"]
    assert len(addresses) == 3


async def _empty(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def door_of(*keys: str, **more: Any) -> Door:
    return Door(_empty, GatewayOptions(api_keys=keys, **more))


def told(response: httpx.Response) -> tuple[int, int, int]:
    limit, left, reset = (response.headers[f"x-ratelimit-{it}"] for it in ("limit", "remaining", "reset"))
    return int(limit), int(left), int(reset)


async def test_each_key_has_its_own_limit_and_is_told():
    door = door_of("PLAIN", "DESK;limit=2/hour", rate_limit="3/minute")
    async with caller(door, {"X-API-Key": "PLAIN"}) as plain, caller(door, {"X-API-Key": "DESK"}) as desk:
        assert told(await desk.get("/api/v1/models")) == (2, 1, 3600)
        assert told(await desk.get("/api/v1/models")) == (2, 0, 3600)
        refused = await desk.get("/api/v1/models")
        assert told(refused) == (2, 0, 3600)
        assert refused.headers["retry-after"] == "3600"
        assert assert_error(refused, 429, "rate_limited")["message"].startswith("this API key has used up its limit")
        assert [told(await plain.get("/nowhere"))[1] for _ in range(3)] == [2, 1, 0]
        assert (await plain.get("/nowhere")).status_code == 429


async def test_what_is_refused_later_is_counted_and_told_as_well():
    async with caller(door_of("KEY;limit=3/hour;scopes=read"), {"X-API-Key": "KEY"}) as client:
        forbidden = await client.post("/api/v1/predict", json={})
        wrong_type = await client.post("/api/v1/risk", content=b"x", headers={"Content-Type": "text/plain"})
    assert (forbidden.status_code, told(forbidden)) == (403, (3, 2, 3600))
    assert (wrong_type.status_code, told(wrong_type)) == (415, (3, 1, 3600))


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/api/v1/health", "/docs", *sorted(UNCOUNTED_PATHS)])
async def test_probes_metrics_and_documentation_are_not_counted(path: str):
    async with caller(door_of("KEY;limit=1/hour"), {"X-API-Key": "KEY"}) as client:
        for _ in range(5):
            response = await client.get(path)
            assert response.status_code == 204
            assert not [name for name in response.headers if name.startswith("x-ratelimit")]
        assert (await client.get("/api/v1/models")).status_code == 204


async def test_without_keys_every_address_has_the_limit():
    door = Door(_empty, GatewayOptions(auth=False, rate_limit="2/minute"))
    for host in ("10.0.0.1", "10.0.0.2"):
        transport = httpx.ASGITransport(door, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert [(await client.get("/api/v1/models")).status_code for _ in range(3)] == [204, 204, 429]


ORIGIN = "https://app.example"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (("GET", "/nowhere", {"X-API-Key": "no"}), 401),
        (("GET", "/api/v1/models", {"X-API-Key": "READER"}), 204),
        (("POST", "/api/v1/predict", {"X-API-Key": "READER"}), 403),
        (("POST", "/api/v1/risk", {"X-API-Key": "KEY", "Content-Length": "9999999"}), 413),
        (("GET", "/api/v1/models?" + "x" * 9000, {"X-API-Key": "KEY"}), 414),
        (("POST", "/api/v1/risk", {"X-API-Key": "KEY", "Content-Type": "text/plain", "Content-Length": "1"}), 415),
        (("GET", "/api/v1/models", {"X-API-Key": "ONCE"}), 429),
        (("GET", "/api/v1/models", {"X-API-Key": "KEY", **{f"X-{i}": "x" for i in range(200)}}), 431),
        (("GET", "/api/v1/models", {"X-API-Key": "KEY", "X-Long": "x" * 40_000}), 431),
        (("GET", "/boom", {"X-API-Key": "KEY"}), 500),
    ],
    ids=lambda it: it if isinstance(it, int) else "",
)
async def test_our_page_may_read_every_answer_and_its_limits(request_: Any, status: int):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/boom":
            raise RuntimeError("boom")
        await _empty(scope, receive, send)

    keys = ("KEY", "READER;scopes=read", "ONCE;limit=1/day")
    door = Door(app, GatewayOptions(api_keys=keys, frontend_origin=ORIGIN, body_timeout_s=0.2))
    method, path, headers = request_
    async with caller(door, {"Origin": ORIGIN, "Content-Type": "application/json"}) as client:
        await client.get("/api/v1/models", headers={"X-API-Key": "ONCE"})
        response = await client.request(method, path, headers=headers)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ORIGIN
    exposed = response.headers["access-control-expose-headers"].lower().split(", ")
    assert {"etag", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(exposed)
    if status >= 400:
        assert response.headers["cache-control"] == "no-store"
        assert response.json()["error"]["request_id"] == response.headers["x-request-id"]


async def test_refusals_are_counted_by_the_name_of_the_key():
    registry = prometheus_client.CollectorRegistry()
    refusals = Refusals(_Client(registry))
    keys = ("KEY;name=desk;limit=1/hour", "READER;scopes=read")
    door = Door(_empty, GatewayOptions(api_keys=keys), FakeStore(1), refusals)
    async with caller(door, {}) as client:
        for key in ("KEY", "READER", "WRONG-KEY", "ANOTHER-WRONG-KEY"):
            for _ in range(2):
                await client.post("/api/v1/predict", headers={"X-API-Key": key})
    COUNTS.hand_over()
    text = prometheus_client.generate_latest(registry).decode()
    assert 'deepfinance_rate_limited_total{key="desk"} 1.0' in text
    assert 'deepfinance_auth_failures_total{reason="unauthorized"} 4.0' in text
    assert 'deepfinance_auth_failures_total{reason="forbidden"} 2.0' in text
    assert "deepfinance_rate_limit_shared 1.0" in text
    assert "WRONG" not in text


class _Client:
    """Prometheus with a registry of its own, called as BentoML's client is."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self.Counter = partial(prometheus_client.Counter, registry=registry)
        self.Gauge = partial(prometheus_client.Gauge, registry=registry)
