"""Another model set takes the place of the one in use while the service is in use."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.server import A_WHILE, Server
from tests.e2e.shared import OLD, write_set
from training.swap import exchange

pytestmark = pytest.mark.e2e

NEW, BAD = "2002.02.02-new", "2003.03.03-bad"
CLIENTS = 20


def test_nobody_notices_but_by_the_version(breakable: Server, published: Path, tmp_path: Path):
    write_set(tmp_path / "next", NEW, seed=5)
    alone = _targets(breakable)

    async def change(client: httpx.AsyncClient, answers: list[httpx.Response]) -> None:
        await _publish_and_reload(client, answers, published, tmp_path)

    answers = asyncio.run(_asked_during(breakable, change))
    afterwards = _targets(breakable)
    assert alone[0] == OLD
    assert afterwards[0] == NEW
    assert alone[1]["lstm"] != afterwards[1]["lstm"]
    assert {answer.status_code for answer in answers} == {200}
    told = [answer.json() for answer in answers]
    assert {answer["models_version"] for answer in told} == {OLD, NEW}
    for answer in told:
        assert answer["degraded"] == []
        expected = dict([alone, afterwards])[answer["models_version"]]
        assert _by_model(answer) == pytest.approx(expected, rel=1e-6)
    breakable.runner("LstmRunner").kill()
    assert _when_back(breakable)["models_version"] == NEW
    version, targets = _targets(breakable)
    assert version == NEW
    assert targets == pytest.approx(afterwards[1], rel=1e-6)


def test_a_bad_set_is_refused_with_the_reason_and_the_old_one_stays(breakable: Server, published: Path):
    manifest = (published / "manifest.json").read_bytes()
    in_use = _targets(breakable)[0]
    with breakable.client() as client:
        unchanged = client.post("/api/v1/models/reload")
        assert unchanged.status_code == 200, unchanged.text
        assert unchanged.json()["status"] == "unchanged"
        for spoil, reason in SPOILED:
            spoil(published)
            refused = client.post("/api/v1/models/reload")
            assert refused.status_code == 422, refused.text
            error = refused.json()["error"]
            assert error["code"] == "model_set_refused"
            assert reason in error["details"][0]["problem"]
            assert str(published) not in refused.text
            (published / "manifest.json").write_bytes(manifest)
        status = client.get("/api/v1/models/status").json()
    assert status["models_version"] == in_use
    assert _targets(breakable)[0] == in_use


def _manifest_with(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "models_version": BAD, **changes}))

    return spoil


def _damaged(folder: Path) -> None:
    _manifest_with()(folder)
    (folder / "lstm.onnx").write_bytes(b"something else")


def _cut_short(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def _incomplete(folder: Path) -> None:
    _manifest_with()(folder)
    (folder / "lstm.onnx").unlink()


SPOILED: list[tuple[Callable[[Path], None], str]] = [
    (_manifest_with(features={"fingerprint": "sha256:0"}), "trained on other features"),
    (_manifest_with(timeframe="1h"), "forecasts 1h bars"),
    (_manifest_with(members=[]), "weights of shape"),
    (_manifest_with(models_version="Not A Version"), "cannot name a stored model"),
    (_manifest_with(grid={}), "lacks 'horizons'"),
    (_cut_short, "is not JSON"),
    (_damaged, "lstm.onnx was changed after it was published"),
    (_incomplete, "lacks lstm.onnx"),
]


async def _publish_and_reload(
    client: httpx.AsyncClient, answers: list[httpx.Response], published: Path, tmp_path: Path
) -> None:
    await _more(answers)
    exchange(tmp_path / "next", published)
    answer = await client.post("/api/v1/models/reload", timeout=A_WHILE)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "reloaded"
    assert (answer.json()["models_version"], answer.json()["previous_version"]) == (NEW, OLD)
    await _more(answers)


async def _more(answers: list[httpx.Response]) -> None:
    """Until every client has been given some more, for a second at least."""
    enough = len(answers) + 5 * CLIENTS
    async with asyncio.timeout(A_WHILE):
        await asyncio.sleep(1)
        while len(answers) < enough:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


Change = Callable[[httpx.AsyncClient, list[httpx.Response]], Awaitable[None]]


async def _asked_during(server: Server, change: Change) -> list[httpx.Response]:
    """Every answer to clients that ask without a pause while ``change`` goes on, which is given those there are."""
    answers: list[httpx.Response] = []
    async with server.async_client() as client:
        changing = asyncio.ensure_future(change(client, answers))

        async def ask() -> None:
            while not changing.done():
                answers.append(await client.post("/api/v1/predict", json={"symbol": "AAPL"}))

        await asyncio.gather(changing, *(ask() for _ in range(CLIENTS)))
    return answers


def _by_model(answer: dict[str, Any]) -> dict[str, float]:
    return {member["model"]: member["price_target"] for member in answer["members"]}


def _targets(server: Server) -> tuple[str, dict[str, float]]:
    with server.client() as client:
        answer = client.post("/api/v1/predict", json={"symbol": "AAPL"}).json()
    return answer["models_version"], _by_model(answer)


def _when_back(server: Server) -> dict[str, Any]:
    """The first answer that no model is missing from, after one that some were."""
    seen, end = False, time.monotonic() + 2 * A_WHILE
    with server.client() as client:
        while time.monotonic() < end:
            answer: dict[str, Any] = client.post("/api/v1/predict", json={"symbol": "AAPL"}).json()
            if seen and not answer["degraded"]:
                return answer
            seen = seen or bool(answer["degraded"])
            time.sleep(0.02)
    raise AssertionError("the runner did not come back")
