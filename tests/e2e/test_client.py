"""The client, the command line and BentoML's own client against a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bentoml
import pandas as pd  # type: ignore[import-untyped]
import pytest
from bentoml.exceptions import NotFound as NoSuchThing

from deepfinance_client import AsyncClient, Client, MemberEvent, Unauthorized, UnknownSymbol
from deepfinance_client.responses import PredictResponse
from tests.e2e.server import A_WHILE, KEY, ROOT, Server, eventually

pytestmark = pytest.mark.e2e
CONTRACT = {"type": "call", "spot": 100.0, "strike": 100.0, "rate": 0.01, "time_to_expiry": 1.0}


@pytest.fixture(scope="module")
def client(server: Server):
    with Client(server.url, KEY) as client:
        yield client


def test_every_route_is_read_as_its_type(client: Client) -> None:
    forecast = client.predict("aapl", horizon=5, explain=True)
    assert forecast.interval.lower < forecast.prediction.price_target < forecast.interval.upper
    assert forecast.explanation is not None
    assert len(forecast.to_pandas()) == 5
    *members, last = client.stream("AAPL", horizon=5)
    assert all(isinstance(it, MemberEvent) for it in members)
    assert isinstance(last, PredictResponse)
    assert last.forecast_id == forecast.forecast_id
    assert client.models().models_version == forecast.models_version
    assert client.scoreboard().models_version == forecast.models_version
    assert client.live_scoreboard(symbol="AAPL").symbol == "AAPL"
    assert "AAPL" in client.symbols("app").to_pandas().symbol.tolist()
    assert client.symbol("^GSPC").symbol == "^GSPC"
    eventually(lambda: client.health().status == "ok", "all is well")


def test_risk_and_options_are_read_as_their_types(client: Client) -> None:
    assert client.risk("AAPL").measures.sharpe is not None
    assert client.risk_returns(pd.Series([0.01, -0.02, 0.03] * 40)).returns == 120
    assert set(client.portfolio(weights={"AAPL": 0.5, "JPM": 0.5}).weights) == {"AAPL", "JPM"}
    price = client.option_price({**CONTRACT, "volatility": 0.2}).price
    assert client.implied_volatility({**CONTRACT, "price": price}).implied_volatility == pytest.approx(0.2)
    chain = client.option_prices([{**CONTRACT, "volatility": 0.2}, {}]).to_pandas()
    assert chain.status.tolist() == [200, 422]
    assert len(client.implied_volatilities([{**CONTRACT, "price": price}]).results) == 1


def test_what_was_forecast_is_in_the_history(client: Client) -> None:
    made = client.predict("PEP", horizon=83)
    eventually(lambda: client.history("PEP", horizon=83).forecasts, "it is written within moments")
    assert made.forecast_id in client.history("PEP", horizon=83).to_pandas().forecast_id.tolist()


def test_refusals_are_raised_as_what_they_are(client: Client, server: Server) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        client.predict("NOPE")
    assert caught.value.request_id
    with pytest.raises(Unauthorized), Client(server.url, "wrong") as stranger:
        stranger.models()


async def test_many_at_once_are_the_same_as_one_by_one(client: Client, server: Server) -> None:
    asked = [{"symbol": symbol, "horizon": horizon} for symbol in ("AAPL", "NOPE", "JPM") for horizon in (1, 20, 90)]
    async with AsyncClient(server.url, KEY) as many:
        answers = await many.predict_many(asked, chunk=2)
    assert [it.status for it in answers] == [200] * 3 + [404] * 3 + [200] * 3
    alone = [client.predict(it["symbol"], horizon=it["horizon"]) for it in asked if it["symbol"] != "NOPE"]
    assert [it.forecast_id for it in answers.succeeded] == [it.forecast_id for it in alone]


def test_the_client_of_bentoml_works_as_well(server: Server) -> None:
    """For those who have BentoML: the native routes, a dictionary back."""
    native = bentoml.SyncHTTPClient(server.url, token=KEY)
    with native, native._temp_dir:  # which it would leave to the garbage collector, with a warning
        answer = native.predict({"symbol": "AAPL", "horizon": 5})
        both = native.predict_batch({"requests": [{"symbol": "AAPL"}, {"symbol": "NOPE"}]})
        with pytest.raises(NoSuchThing, match="unknown_symbol"):
            native.predict({"symbol": "NOPE"})
    assert PredictResponse.model_validate(answer).symbol == "AAPL"
    assert [it["status"] for it in both["results"]] == [200, 404]


def _command(server: Server, folder: Path, out: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DEEPFINANCE_URL": server.url, "DEEPFINANCE_API_KEY": KEY}
    environment["PYTHONPATH"] = str(ROOT / "client/src")
    line = [sys.executable, "-m", "deepfinance_client.cli.app", "batch", "in.csv", "--chunk", "5", "--parallel", "2"]
    return subprocess.Popen([*line, "--out", out], cwd=folder, env=environment, text=True, stderr=subprocess.PIPE)


def _lines(file: Path) -> int:
    try:
        return file.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _killed_half_way(server: Server, folder: Path) -> bool:
    """Whether the command had still something to do."""
    with _command(server, folder, "out.parquet") as process:
        journal, end = folder / "out.parquet.journal", time.monotonic() + A_WHILE
        while _lines(journal) < 25 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return 25 <= _lines(journal) < 61


def test_a_batch_that_is_killed_half_way_ends_as_if_it_had_not_been(server: Server, tmp_path: Path) -> None:
    symbols = ["AAPL", "JPM", "KO", "NOPE", "MSFT"]
    rows = [f"{symbols[at % 5]},{at % 90 + 1},{0.5 + at % 40 / 100}" for at in range(300)]
    (tmp_path / "in.csv").write_text("\n".join(["symbol,horizon,confidence_level", *rows]))
    for _ in range(20):  # on a busy machine it may be done before it is killed
        (tmp_path / "out.parquet").unlink(missing_ok=True)
        if _killed_half_way(server, tmp_path):
            break
    assert 25 <= _lines(tmp_path / "out.parquet.journal") < 61
    assert not (tmp_path / "out.parquet").exists()
    for out in ("out.parquet", "whole.parquet"):
        with _command(server, tmp_path, out) as process:
            assert process.wait(2 * A_WHILE) == 0
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert table.symbol.tolist() == [row.split(",")[0] for row in rows]
    assert table.status.value_counts().to_dict() == {200: 240, 404: 60}
    pd.testing.assert_frame_equal(table, pd.read_parquet(tmp_path / "whole.parquet"), check_exact=True)
