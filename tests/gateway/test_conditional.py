"""ETag and 304 of what is read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.conditional import Tagged
from tests.gateway.calling import assert_error, assert_stamped
from tests.gateway.fakes import FakeBackend

READ = ["/api/v1/models", "/api/v1/models/lstm", "/api/v1/scoreboard", "/api/v1/symbols?q=a", "/api/v1/symbols/AAPL"]


@pytest.mark.parametrize("path", READ)
async def test_who_has_it_is_sent_nothing(client: httpx.AsyncClient, path: str) -> None:
    first = await client.get(path)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "private, no-cache"
    assert "X-API-Key" in first.headers["vary"]
    again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert_stamped(again)
    other = await client.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_what_changes_has_another_tag(client: httpx.AsyncClient) -> None:
    tags = {(await client.get(f"/api/v1/symbols?limit={limit}")).headers["etag"] for limit in (1, 2, 3)}
    assert len(tags) == 3


async def test_head_has_the_tag_of_get(client: httpx.AsyncClient) -> None:
    got, head = await client.get("/api/v1/models"), await client.head("/api/v1/models")
    assert head.headers["etag"] == got.headers["etag"]


@pytest.mark.parametrize("path", ["/api/v1/health", "/livez", "/metrics", "/docs"])
async def test_what_is_of_the_moment_has_none(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"If-None-Match": "*"})
    assert response.status_code == 200
    assert "etag" not in response.headers


async def test_errors_have_none(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    response = await client.get("/api/v1/models/nosuch", headers={"If-None-Match": "*"})
    assert_error(response, 404, "unknown_model")
    assert "etag" not in response.headers


async def test_a_body_in_pieces_is_tagged_as_a_whole() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    for pieces in ([b"ab"], [b"a", b"b"]):
        tagged = Tagged(send, None)
        await tagged({"type": "http.response.start", "status": 200, "headers": []})
        for number, piece in enumerate(pieces, 1):
            await tagged({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})
    assert sent[0] == sent[2]
    assert sent[1] == sent[3] == {"type": "http.response.body", "body": b"ab"}


async def test_the_documentation_says_where(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/docs.json")).json()["paths"]
    said = {(method, path) for path, item in paths.items() for method in item if "304" in item[method]["responses"]}
    assert {("post", "/api/v1/predict"), ("get", "/api/v1/models"), ("get", "/api/v1/symbols/{symbol}")} <= said
    assert not {("get", "/api/v1/health"), ("post", "/api/v1/predict/batch"), ("post", "/api/v1/models/reload")} & said
