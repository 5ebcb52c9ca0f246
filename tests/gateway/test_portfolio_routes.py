"""The portfolio route through the whole gateway, with the real desk behind it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from contracts import AssetClass, Bars, Instrument, Timeframe
from errors import SourceUnavailable, Unavailable, UnknownSymbol
from gateway import portfolio_examples as examples
from gateway.portfolio_schemas import OptimisationRequest, PortfolioRequest, PortfolioResponse
from offload import Offload
from portfolio_desk import PortfolioDesk
from tests.gateway.calling import assert_error, fields_of
from tests.gateway.fakes import FakeBackend
from tests.in_memory import Weekdays
from tests.inline import Inline
from tests.risk.markets import correlated, prices_of

ROOT = Path(__file__).resolve().parents[2]
ROUTE = "/api/v1/risk/portfolio"
SYMBOLS = ("AAA", "BBB", "CCC", "EUR1", "IDX")
N_DAYS = 900
WEIGHTS: dict[str, float] = {"AAA": 0.5, "BBB": 0.3, "CCC": 0.2}
PLAIN: dict[str, Any] = {"weights": WEIGHTS, "optimisation": None}
BRIEF: dict[str, Any] = {"training_days": 200, "rebalance_days": 100}


def made_bars() -> dict[str, Bars]:
    """Five symbols that move together, over the same weekdays; CCC misses three of the last hundred."""
    days = np.busday_offset("2019-01-01", np.arange(N_DAYS), roll="forward")
    prices = prices_of(correlated(1, N_DAYS - 1, len(SYMBOLS)))
    series = {symbol: (days, prices[:, at]) for at, symbol in enumerate(SYMBOLS)}
    kept = np.delete(np.arange(N_DAYS), [-5, -50, -90])
    series["CCC"] = (days[kept], prices[kept, 2])
    series["NEW"] = (days[-20:], prices[-20:, 0])
    return {
        symbol: Bars(symbol, "1d", times.astype("datetime64[s]"), close.copy(), "made")
        for symbol, (times, close) in series.items()
    }


def common_days() -> np.ndarray:
    """Days that AAA, BBB and CCC share."""
    return made_bars()["CCC"].times.astype("datetime64[D]")


@dataclass
class Market:
    """Answers the bars that it was given."""

    series: Mapping[str, Bars] = field(default_factory=made_bars)

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars:
        if symbol == "DOWN":
            raise SourceUnavailable("no data source can answer for DOWN now")
        if symbol not in self.series:
            raise UnknownSymbol(f"no source knows {symbol}")
        return self.series[symbol]

    def instrument(self, symbol: str) -> Instrument:
        currency = "EUR" if symbol.startswith("EUR") else "USD"
        kind = AssetClass.CRYPTO if symbol == "AAA" else AssetClass.EQUITY  # crypto has no usual benchmark
        return Instrument(symbol, kind, "XNYS", currency)


def desk_with(offload: Any) -> PortfolioDesk:
    return PortfolioDesk(Market(), Weekdays(), offload)


@pytest.fixture(scope="module", autouse=True)
def optimisers() -> None:
    """Imported, which takes seconds, before the two that a request may take."""
    import_module("risk.optimisation")


@pytest.fixture(autouse=True)
def desk(backend: FakeBackend) -> PortfolioDesk:
    backend.portfolio = desk_with(Inline())
    return backend.portfolio


async def answered(client: httpx.AsyncClient, **changed: Any) -> dict[str, Any]:
    response = await client.post(ROUTE, json={**PLAIN, **changed})
    assert response.status_code == 200, response.text
    body = response.json()
    PortfolioResponse.model_validate_json(response.content)
    return body


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers_in(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers_in(each)]
    return [value] if isinstance(value, float) else []


async def test_weights_are_divided_by_their_sum(client: httpx.AsyncClient) -> None:
    body = await answered(client, weights={"aaa": 5, "BBB": 3, "CCC": 2})
    assert body["weights"] == pytest.approx(WEIGHTS)
    assert (body["value"], body["gross_exposure"], body["currency"]) == (None, pytest.approx(1), "USD")
    assert body["period"]["returns"] == 250


async def test_positions_are_valued_at_the_last_common_close(client: httpx.AsyncClient) -> None:
    held = {"AAA": 10, "BBB": 20}
    series = made_bars()
    worth = {symbol: units * float(series[symbol].close[-1]) for symbol, units in held.items()}
    body = await answered(client, weights=None, positions=held)
    assert body["value"] == pytest.approx(sum(worth.values()))
    assert body["weights"]["AAA"] == pytest.approx(worth["AAA"] / sum(worth.values()))


async def test_contributions_add_up_in_the_answer(client: httpx.AsyncClient) -> None:
    body = await answered(client, weights={"AAA": 0.9, "BBB": -0.3, "CCC": 0.4})
    totals = [(body["volatility"]["annual"], body["volatility"]["contributions"])]
    for tail in body["value_at_risk"]:
        totals += [(tail[name], tail["contributions"][name]) for name in ("value_at_risk", "expected_shortfall")]
    assert len(totals) == 1 + 2 * 4
    for total, parts in totals:
        assert sum(part["component"] for part in parts.values()) == pytest.approx(total)
    assert body["gross_exposure"] == pytest.approx(1.6)


async def test_only_common_days_count_and_what_is_missing_is_reported(client: httpx.AsyncClient) -> None:
    body = await answered(client, period_days=100)
    first, last = common_days()[[-101, -1]]
    assert body["period"] == {"first": str(first), "last": str(last), "returns": 100}
    assert {symbol: data["missing_sessions"] for symbol, data in body["data"].items()} == {"AAA": 0, "BBB": 0, "CCC": 3}


async def test_a_period_longer_than_the_history_is_said_to_be_cut(client: httpx.AsyncClient) -> None:
    body = await answered(client, period_days=5000)
    assert body["period"]["returns"] == N_DAYS - 4
    assert "fewer than period_days" in body["notes"][0]


async def test_a_level_beyond_the_returns_has_a_reason(client: httpx.AsyncClient) -> None:
    body = await answered(client, period_days=50, confidence_levels=[0.99])
    historical, gaussian = body["value_at_risk"]
    assert historical["value_at_risk"] is None
    assert "50 returns are too few" in historical["reason"]
    assert gaussian["value_at_risk"] > 0


async def test_the_benchmark_is_measured_against_or_its_absence_explained(client: httpx.AsyncClient) -> None:
    body = await answered(client, benchmark="IDX")
    assert (body["benchmark"], body["unavailable"]) == ("IDX", {})
    assert body["measures"]["beta"] > 0
    assert "no benchmark is usual for crypto" in (await answered(client))["unavailable"]["beta"]
    assert "is false" in (await answered(client, include_benchmark=False))["unavailable"]["beta"]
    error = assert_error(await client.post(ROUTE, json={**PLAIN, "benchmark": "NOSUCH"}), 404, "unknown_symbol")
    assert fields_of(error) == ["benchmark"]


async def test_shocks_reach_holdings_directly_and_by_regression(client: httpx.AsyncClient) -> None:
    shock = (await answered(client, shocks={"AAA": -0.2, "IDX": -0.1}))["stress"]["shock"]
    assert shock["moves"]["AAA"] == -0.2
    assert -0.2 < shock["moves"]["BBB"] < 0
    assert sum(shock["contributions"].values()) == pytest.approx(shock["return"])
    error = assert_error(await client.post(ROUTE, json={**PLAIN, "shocks": {"NOSUCH": -0.1}}), 404, "unknown_symbol")
    assert fields_of(error) == ["shocks.NOSUCH"]


async def test_optimal_portfolios_stand_beside_equal_and_current_weights(client: httpx.AsyncClient) -> None:
    found = (await answered(client, optimisation={**BRIEF, "max_weight": 0.5}))["optimisation"]
    walked = found["out_of_sample"]
    assert (walked["refits"], walked["reason"]) == (6, None)
    assert (walked["first"], walked["last"]) == (str(common_days()[-600]), str(common_days()[-1]))
    assert [each["method"] for each in found["portfolios"]][-2:] == ["equal_weight", "current"]
    assert len(found["portfolios"]) == 7
    for each in found["portfolios"]:
        assert sum(each["weights"].values()) == pytest.approx(1)
        assert each["out_of_sample"]["annual_volatility"] > 0
        assert each["method"] == "current" or max(each["weights"].values()) <= 0.5 + 1e-6
    assert found["portfolios"][-1]["trade"] == 0


async def test_a_short_history_leaves_out_the_walk_then_the_weights_and_says_so(client: httpx.AsyncClient) -> None:
    no_walk = (await answered(client, optimisation={"training_days": 850, "rebalance_days": 100}))["optimisation"]
    assert "fewer than the 950" in no_walk["out_of_sample"]["reason"]
    assert all(each["out_of_sample"] is None and each["weights"] for each in no_walk["portfolios"])
    nothing = (await answered(client, optimisation={"training_days": 1000}))["optimisation"]
    assert (nothing["portfolios"], nothing["reason"]) == ([], "896 common returns are fewer than training_days")


async def test_risk_is_answered_when_the_optimisers_cannot(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.portfolio = desk_with(Inline(Unavailable("the process that computes this died, twice")))
    body = await answered(client, optimisation={})
    assert body["volatility"]["annual"] > 0
    assert "died, twice" in body["optimisation"]["reason"]


async def test_the_optimisers_run_in_a_process_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portfolio_desk.PATIENCE", 300.0)  # a busy machine takes its time to start one
    question = PortfolioRequest(weights=WEIGHTS, optimisation=OptimisationRequest(**BRIEF))
    here = await desk_with(Inline()).portfolio(question)
    offload = Offload()
    try:
        there = await desk_with(offload).portfolio(question)
        assert offload.pid is not None
    finally:
        await offload.close()
    assert there["optimisation"] == here["optimisation"]


@pytest.mark.parametrize(
    ("optimisation", "place", "words"),
    [
        ({"min_weight": 0.4}, "optimisation.min_weight", "3 holdings of at least 0.4 each make 1.2, more than 1"),
        ({"max_weight": 0.3}, "optimisation.max_weight", "3 holdings of at most 0.3 each make 0.9, less than 1"),
        ({"min_weight": 0.3, "max_weight": 0.2}, "optimisation", "nothing fits"),
        ({"max_weight": 1.5}, "optimisation.max_weight", "at most 1"),
        ({"methods": ["guess"]}, "optimisation.methods[0]", "must be"),
        ({"leverage": 2}, "optimisation.leverage", "no such field"),
    ],
)
async def test_what_cannot_be_optimised_is_a_422_that_says_why(
    client: httpx.AsyncClient, optimisation: dict[str, Any], place: str, words: str
) -> None:
    response = await client.post(ROUTE, json={**PLAIN, "optimisation": optimisation})
    [detail] = assert_error(response, 422, "invalid_request")["details"]
    assert detail["field"] == place
    assert words in detail["problem"]


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"weights": {}}, "weights"),
        ({"weights": {"AAA": "half"}}, "weights.AAA"),
        ({"weights": {"AAA": 1e9}}, "weights.AAA"),
        ({"weights": {"no symbol": 1}}, "weights.no symbol"),
        ({"weights": {"AAA": 0}}, "weights"),
        ({"weights": {"AAA": 1, "BBB": -1}}, "weights"),
        ({"weights": {"AAA": 1, "aaa": 2}}, "weights"),
        ({"weights": {"AAA": 1, "EUR1": 1}}, "weights.EUR1"),
        ({"weights": None}, "body"),
        ({"positions": {"AAA": 1}}, "body"),
        ({"period_days": 1}, "period_days"),
        ({"confidence_levels": [1.0]}, "confidence_levels[0]"),
        ({"shocks": {"AAA": -2}}, "shocks.AAA"),
        ({"covariance": "robust"}, "covariance"),
    ],
)
async def test_a_wrong_field_is_named(client: httpx.AsyncClient, changed: dict[str, Any], place: str) -> None:
    error = assert_error(await client.post(ROUTE, json={**PLAIN, **changed}), 422, "invalid_request")
    assert fields_of(error) == [place]


async def test_every_unknown_symbol_is_named(client: httpx.AsyncClient) -> None:
    response = await client.post(ROUTE, json={**PLAIN, "weights": {"AAA": 1, "NOPE": 1, "GONE": 1}})
    assert fields_of(assert_error(response, 404, "unknown_symbol")) == ["weights.NOPE", "weights.GONE"]


async def test_a_source_that_is_down_is_a_503(client: httpx.AsyncClient) -> None:
    assert_error(await client.post(ROUTE, json={**PLAIN, "weights": {"DOWN": 1}}), 503, "source_unavailable")


async def test_holdings_with_too_few_days_in_common_are_refused(client: httpx.AsyncClient) -> None:
    response = await client.post(ROUTE, json={**PLAIN, "weights": {"AAA": 1, "NEW": 1}})
    assert fields_of(assert_error(response, 422, "unusable_series")) == ["weights.AAA", "weights.NEW"]


@pytest.mark.parametrize("weights", [{"AAA": 1}, {"AAA": 3, "BBB": -1}, dict.fromkeys(SYMBOLS[:3], 1)])
@pytest.mark.parametrize("covariance", ["sample", "ledoit_wolf"])
async def test_every_number_is_finite(client: httpx.AsyncClient, weights: dict[str, float], covariance: str) -> None:
    body = await answered(client, weights=weights, covariance=covariance, shocks={"AAA": -1}, horizon=90)
    assert all(math.isfinite(number) for number in numbers_in(body))


async def test_prices_that_do_not_move_leave_reasons(client: httpx.AsyncClient, backend: FakeBackend) -> None:
    series = made_bars()
    flat = Bars("AAA", "1d", series["AAA"].times, np.full(N_DAYS, 100.0), "made")
    backend.portfolio = PortfolioDesk(Market({"AAA": flat}), Weekdays(), Inline())
    body = await answered(client, weights={"AAA": 1}, optimisation={})
    assert body["volatility"]["annual"] is None
    assert "do not vary" in body["volatility"]["reason"]
    assert all(math.isfinite(number) for number in numbers_in(body))


def test_the_gateway_imports_none_of_the_heavy_libraries() -> None:
    heavy = "{'pandas', 'skfolio', 'sklearn', 'cvxpy', 'QuantLib'}"
    code = f"import sys, options_desk, portfolio_desk; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "set()"


def test_the_examples_of_the_documentation_have_the_shape_that_it_states() -> None:
    PortfolioRequest.model_validate(examples.REQUEST)
    PortfolioResponse.model_validate(examples.RESPONSE)
