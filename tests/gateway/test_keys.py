"""How keys are written, what each may do, and when it ends."""

from __future__ import annotations

import json
import re
import string
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import PUBLIC_PATHS, SCOPE_OF_PATH, STRANGERS, Caller, Gatekeeper, address_of
from gateway.door import Door
from gateway.keys import SCOPES, digest_of, parse_keys
from gateway.limits import SPANS, Allowance, Limit
from gateway.options import GatewayOptions
from tests.gateway.calling import assert_error, caller

MANY = Limit(10**6, 60)

keys = st.text(string.ascii_letters + string.digits + "!#$%&'*+-./:<>?@[]^_`{|}~", min_size=8, max_size=40)
names = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=32).filter(
    lambda name: any(it.isalnum() for it in name)
)
scopes = st.sets(st.sampled_from(SCOPES), min_size=1)
limits = st.builds(lambda amount, span: (f"{amount}/{span}", Limit(amount, SPANS[span])), *[
    st.integers(1, 10**6), st.sampled_from(sorted(SPANS))
])  # fmt: skip
days = st.dates()


@given(key=keys, name=names, scopes=scopes, limit=limits, day=days, order=st.permutations(range(4)), data=st.data())
def test_what_is_said_of_a_key_is_kept(
    key: str, name: str, scopes: set[str], limit: Any, day: Any, order: list[int], data: st.DataObject
):
    said = [f"name={name}", f"scopes={'+'.join(scopes)}", f"limit={limit[0]}", f"expires={day}"]
    chosen = [it for it in order if data.draw(st.booleans())]
    [parsed] = parse_keys([";".join([key, *(said[it] for it in chosen)])])
    assert parsed.digest == digest_of(key.encode())
    assert parsed.name == (name if 0 in chosen else "key-1")
    assert sorted(parsed.scopes) == sorted(scopes if 1 in chosen else SCOPES)
    assert parsed.limit == (limit[1] if 2 in chosen else None)
    if 3 not in chosen:
        assert parsed.expires_at == inf
    else:
        assert datetime.fromtimestamp(parsed.expires_at - 1, UTC).date() == day


@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), max_size=60))
def test_anything_is_a_key_or_a_message_that_repeats_nothing(text: str):
    secret = "S3CRET-" + text
    said = _complaint_about([secret, f"other;{text}", f"{text};{secret}"])
    assert "S3CRET" not in said
    assert len(text) < 12 or text not in said


def _complaint_about(texts: list[str]) -> str:
    try:
        parse_keys(texts)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("KEY;", "API key 2: after the key and a semicolon come name=, scopes=, limit=, expires= and nothing else"),
        ("KEY;scope=read", "nothing else"),
        ("KEY;read", "nothing else"),
        ("name=desk;KEY", "API key 2: the key itself comes first, then ;name=..."),
        (";name=desk", "API key 2 must not be empty"),
        ("", "API key 2 must not be empty"),
        ("KEY;scopes=", "scopes are read, predict, admin, joined by +"),
        ("KEY;scopes=read+write", "scopes are"),
        ("KEY;scopes=read predict", "scopes are"),
        ("KEY;limit=0/minute", "a limit is requests per second, minute, hour or day"),
        ("KEY;limit=10/week", "a limit is"),
        ("KEY;limit=-1/minute", "a limit is"),
        ("KEY;limit=²/minute", "a limit is"),
        ("KEY;limit=none", "a limit is"),
        ("KEY;expires=2027-02-30", "expires is a date such as 2027-01-31"),
        ("KEY;expires=9999-12-31", "expires is a date"),
        ("KEY;expires=never", "expires is a date"),
        ("KEY;name=", "a name is up to 32 letters, digits, - and _"),
        ("KEY;name=a b", "a name is"),
        ("KEY;name=<script>", "a name is"),
        ("KEY;name=" + "x" * 33, "a name is"),
        ("KEY;name=a;name=b", "name= is said twice"),
        ("FIRST", "API keys 1 and 2 are the same key"),
        ("KEY;name=key-1", "API keys 1 and 2 have the same name"),
    ],
)
def test_a_malformed_part_is_told_by_its_place(text: str, message: str):
    with pytest.raises(ValueError, match=r"^API key") as refusal:
        parse_keys(["FIRST", text])
    assert message in str(refusal.value)
    assert "KEY" not in str(refusal.value)


def test_a_date_includes_its_day_and_a_time_is_utc_unless_it_says_otherwise():
    ends = [it.expires_at for it in parse_keys([
        "a;expires=2027-01-31", "b;expires=2027-02-01T00:00", "c;expires=2027-02-01T01:00+01:00"
    ])]  # fmt: skip
    assert ends == [datetime(2027, 2, 1, tzinfo=UTC).timestamp()] * 3


async def _empty(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def door_of(*keys: str, **more: Any) -> Door:
    return Door(_empty, GatewayOptions(api_keys=keys, rate_limit="1000000/minute", **more))


PATHS = [
    *sorted(SCOPE_OF_PATH),
    "/api/v1/models",
    "/api/v1/predict/AAPL/history",
    "/api/v1/risk",
    "/nowhere",
    "/metrics",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_opens_what_its_scopes_say_and_nothing_else(path: str, scope: str):
    async with caller(door_of(f"KEY;scopes={scope}"), {"X-API-Key": "KEY"}) as client:
        response = await client.request("GET", path)
    if SCOPE_OF_PATH.get(path, "read") == scope:
        assert response.status_code == 204
    else:
        assert assert_error(response, 403, "forbidden")["message"].startswith("this API key may not do that")


async def test_scopes_are_not_needed_on_public_paths():
    async with caller(door_of("KEY;scopes=admin"), {"X-API-Key": "KEY"}) as client:
        assert {(await client.get(path)).status_code for path in PUBLIC_PATHS} == {204}


async def test_a_line_feed_at_the_end_of_a_path_opens_nothing():
    """A router's pattern ends in $, which a line feed may follow."""
    async with caller(door_of("KEY;scopes=read"), {"X-API-Key": "KEY"}) as client:
        assert_error(await client.post("/api/v1/models/reload%0A"), 403, "forbidden")


def test_the_documentation_shows_keys_that_can_be_read():
    text = (Path(__file__).parents[2] / "docs" / "keys-and-limits.md").read_text()
    examples = re.findall(r'ML_SERVICE_API_KEY="?([^"\n`]+)', text)
    desk, ops = parse_keys(examples[-1].split(","))
    assert (desk.name, desk.scopes, desk.limit) == ("desk", frozenset({"read", "predict"}), Limit(1000, 60))
    assert (ops.name, ops.scopes) == ("ops", frozenset({"admin"}))
    for path in SCOPE_OF_PATH:
        assert path.removeprefix("/api/v1") in text


def test_a_plain_key_may_do_everything():
    [key] = parse_keys(["KEY"])
    assert key.scopes == set(SCOPES)


async def test_a_key_ends_with_its_day():
    now = datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    keeper = Gatekeeper(parse_keys(["KEY;expires=2027-01-31"]), MANY, now=lambda: now)
    scope = {"type": "http", "path": "/api/v1/models"}
    found = keeper.caller(scope, {b"x-api-key": b"KEY"})
    assert found is not None
    assert found.is_valid()
    now += 1
    assert not found.is_valid()
    with pytest.raises(Exception, match="this API key has expired"):
        keeper.caller(scope, {b"x-api-key": b"KEY"})
    with pytest.raises(Exception, match="this API key is not valid"):
        keeper.caller(scope, {b"x-api-key": b"ANOTHER"})


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}])
async def test_strangers_are_stopped_and_holders_of_keys_are_not(headers: dict[str, str]):
    async with caller(door_of("KEY"), {}) as client:
        for _ in range(STRANGERS.amount):
            assert_error(await client.get("/api/v1/models", headers=headers), 401, "unauthorized")
        refused = await client.get("/api/v1/models", headers=headers)
        assert_error(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= STRANGERS.seconds
        assert (await client.get("/livez")).status_code == 204
        assert (await client.get("/api/v1/models", headers={"X-API-Key": "KEY"})).status_code == 204


async def test_an_address_that_is_stopped_stops_no_other():
    door = door_of("KEY")
    transports = [httpx.ASGITransport(door, client=(f"10.0.0.{i}", 1)) for i in (1, 2)]
    one, two = (httpx.AsyncClient(transport=it, base_url="http://test") for it in transports)
    async with one, two:
        statuses = [(await one.get("/api/v1/models")).status_code for _ in range(STRANGERS.amount + 1)]
        assert statuses[-1] == 429
        assert (await two.get("/api/v1/models")).status_code == 401


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa:bbbb:cccc:dddd", "20010db800010002::/64"),
        ("2001:db8:1:2::1", "20010db800010002::/64"),
        ("fe80::1%eth0", "fe80000000000000::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_ipv6_counts_by_the_network_of_a_subscriber(host: str, address: str):
    assert address_of({"client": (host, 5)}) == address


def test_without_a_socket_there_is_one_address():
    assert address_of({"client": None}) == address_of({}) == "unknown"


async def test_what_a_proxy_says_is_not_believed_by_the_door():
    async with caller(door_of("KEY"), {}) as client:
        statuses = {
            (await client.get("/api/v1/models", headers={"X-Forwarded-For": f"10.0.0.{i}"})).status_code
            for i in range(STRANGERS.amount + 1)
        }
    assert statuses == {401, 429}


async def _websocket(door: Door, key: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    scope: dict[str, Any] = {"type": "websocket", "path": "/api/v1/stream", "headers": [], "client": ("10.0.0.1", 1)}
    scope |= {"query_string": f"api_key={key}".encode(), "extensions": {"websocket.http.response": {}}}
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await door(scope, receive, send)
    return sent, scope


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("READER", 403, "forbidden"), ("OLD", 401, "unauthorized"), ("SLOW", 429, "rate_limited")],
)
async def test_a_websocket_is_refused_for_the_same_reasons(key: str, status: int, code: str):
    async def accepts(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    door = Door(accepts, GatewayOptions(
        api_keys=("READER;scopes=read", "OLD;expires=2020-01-01", "SLOW;limit=2/hour", "GOOD")
    ))  # fmt: skip
    for _ in range(2):
        await _websocket(door, "SLOW")
    start, body = (await _websocket(door, key))[0]
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert json.loads(body["body"])["error"]["code"] == code
    assert [it["type"] for it in (await _websocket(door, "GOOD"))[0]] == ["websocket.accept"]


async def test_open_sockets_have_their_caller_and_are_bounded():
    opened: list[Caller] = []
    refused: list[int] = []

    async def opens_another(scope: Any, receive: Any, send: Any) -> None:
        opened.append(scope["deepfinance.caller"])
        [first, *_], _ = await _websocket(door, "KEY")
        refused.append(first.get("status", 101))

    door = Door(opens_another, GatewayOptions(api_keys=("KEY;name=desk;limit=5/hour",), max_sockets=1))
    await _websocket(door, "KEY")
    [desk] = opened
    assert (desk.name, desk.open_sockets, refused) == ("desk", 0, [429])
    assert [desk.hit() for _ in range(4)] == [True, True, True, False]  # two were spent on opening
    assert desk.is_valid()


def test_a_caller_without_an_end_stays_valid():
    [key] = parse_keys(["KEY"])
    assert Caller(key, Allowance("", MANY), now=lambda: 1e12).is_valid()
