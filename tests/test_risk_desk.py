"""The desk over prices in memory: which returns it takes, what it remembers, and what it says where a part is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from contracts import AssetClass, Bars, Instrument
from errors import DeepFinanceError, SourceUnavailable, Timeout, UnknownSymbol, UnusableSeries
from gateway.risk_schemas import ReturnsRequest, ReturnsResponse, RiskRequest, RiskResponse
from offload import Offload
from risk_desk import RiskDesk, default_benchmark, sessions_per_year
from tests.features.series import wandering_bars
from tests.in_memory import MemoryMarket, Weekdays
from tests.own_forecasts import Told
from tests.risk.test_any_returns import problems

LEVELS = [0.95, 0.99]


class Here:
    """An offload that computes at once, and can be told to fail."""

    def __init__(self, error: DeepFinanceError | None = None) -> None:
        self.error = error
        self.calls: list[str] = []

    async def run(self, function: Any, *args: Any, timeout: float) -> Any:  # noqa: ASYNC109
        self.calls.append(function.__name__)
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return function(*args)


@pytest.fixture
def here() -> Here:
    return Here()


class LongMarket(MemoryMarket):
    """Enough bars for GARCH, on the calendars of their exchanges."""

    def __init__(self) -> None:
        kinds = {"AAPL": 900, "^GSPC": 1000, "BTC-USD": 950, "SHORT": 40}
        super().__init__(series={name: wandering_bars(n, seed=n, symbol=name) for name, n in kinds.items()})

    def instrument(self, symbol: str) -> Instrument:
        kind = {"^GSPC": AssetClass.INDEX, "BTC-USD": AssetClass.CRYPTO}.get(symbol, AssetClass.EQUITY)
        return Instrument(symbol, kind, "XNYS", "USD")


@pytest.fixture
def market() -> MemoryMarket:
    return LongMarket()


@pytest.fixture
def desk(market: MemoryMarket, here: Here) -> RiskDesk:
    return RiskDesk(market, Weekdays(), here, Told())


@pytest.fixture
async def offload(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Offload]:
    for name in ("FIT_SECONDS", "DRAW_SECONDS"):  # a busy machine takes its time to start a process
        monkeypatch.setattr(f"risk_desk.{name}", 300.0)
    made = Offload()
    yield made
    await made.close()


async def test_the_answer_has_the_documented_shape_and_no_null_without_a_reason(desk: RiskDesk):
    body = await desk.asset(RiskRequest(symbol="AAPL", period_days=250))
    RiskResponse.model_validate(body)
    assert not [each for each in problems(body) if ".data." not in each]
    assert body["period"]["returns"] == 250
    assert len(body["value_at_risk"]) == 7 * 2
    assert {entry["method"] for entry in body["value_at_risk"] if entry["value_at_risk"] is None} == set()


async def test_the_measures_are_those_of_the_last_days_of_the_prices(desk: RiskDesk, market: MemoryMarket):
    bars = market.series["AAPL"]
    body = await desk.asset(RiskRequest(symbol="AAPL", period_days=100))
    closes = bars.total_return_close
    returns = closes[1:] / closes[:-1] - 1
    assert body["measures"]["total_return"] == pytest.approx(closes[-1] / closes[-101] - 1)
    assert body["measures"]["annual_volatility"] == pytest.approx(
        np.std(returns[-100:], ddof=1) * np.sqrt(260), rel=1e-3
    )
    found = {entry["confidence_level"]: entry for entry in body["value_at_risk"] if entry["method"] == "historical"}
    assert found[0.95]["value_at_risk"] == pytest.approx(-np.quantile(returns[-100:], 0.05))
    assert body["as_of"] == body["data"]["last_bar"] == bars.times[-1].astype("datetime64[D]").item()


async def test_the_same_question_is_computed_once_and_new_bars_are_seen(
    desk: RiskDesk, market: MemoryMarket, here: Here
):
    question = RiskRequest(symbol="AAPL")
    first, second = await asyncio.gather(desk.asset(question), desk.asset(question))
    assert first == second
    assert here.calls == ["fitted"]
    bars = market.series["AAPL"]
    market.series["AAPL"] = replace(
        bars, close=bars.close * np.linspace(1, 1.1, len(bars)), adj_close=None, fingerprint=""
    )
    assert (await desk.asset(question))["measures"] != first["measures"]


async def test_other_models_make_another_forecast(market: MemoryMarket, here: Here):
    told = Told()
    desk = RiskDesk(market, Weekdays(), here, told)
    for _ in range(2):
        await desk.asset(RiskRequest(symbol="AAPL"))
    assert (len(told.asked), len(told.replayed)) == (2, 1)
    told.model_set = replace(told.model_set, version="newer")
    await desk.asset(RiskRequest(symbol="AAPL"))
    assert (len(told.asked), len(told.replayed)) == (4, 2)


async def test_another_question_about_the_same_bars_needs_no_new_fit(desk: RiskDesk, here: Here):
    await desk.asset(RiskRequest(symbol="AAPL"))
    other = await desk.asset(RiskRequest(symbol="AAPL", horizon=10, confidence_levels=[0.9]))
    assert here.calls == ["fitted"]
    assert {entry["horizon"] for entry in other["value_at_risk"]} == {10}


async def test_without_the_other_process_the_rest_is_answered_and_the_next_time_it_is_tried_again(
    market: MemoryMarket,
):
    here = Here(Timeout("the computation took longer than 20 seconds"))
    desk = RiskDesk(market, Weekdays(), here, Told())
    body = await desk.asset(RiskRequest(symbol="AAPL"))
    assert body["measures"]["garch_volatility"] is None
    assert "took longer" in body["unavailable"]["garch_volatility"]
    gjr = next(entry for entry in body["value_at_risk"] if entry["method"] == "gjr_filtered")
    assert gjr["value_at_risk"] is None
    assert "took longer" in gjr["unavailable"]["value_at_risk"]
    here.error = None
    assert (await desk.asset(RiskRequest(symbol="AAPL")))["measures"]["garch_volatility"] is not None


async def test_without_a_forecast_there_is_a_reason(market: MemoryMarket, here: Here):
    away = Told(error=SourceUnavailable("no model could answer"))
    for told, now, before in (
        (None, "no forecast is made here", "no forecast is made here"),
        (away, "no forecast: no model could answer", "no forecasts of the past: no model could answer"),
    ):
        body = await RiskDesk(market, Weekdays(), here, told).asset(RiskRequest(symbol="AAPL"))
        entry = body["value_at_risk"][-1]
        assert (entry["method"], entry["value_at_risk"], entry["backtest"]) == ("forecast", None, None)
        assert (entry["unavailable"]["value_at_risk"], entry["unavailable"]["backtest"]) == (now, before)


async def test_a_replay_that_failed_is_tried_again(market: MemoryMarket, here: Here):
    told = Told(error_in_replay=Timeout("model lstm did not answer in time"))
    desk = RiskDesk(market, Weekdays(), here, told)
    first = (await desk.asset(RiskRequest(symbol="AAPL")))["value_at_risk"][-1]
    assert first["value_at_risk"] is not None
    assert first["unavailable"] == {"backtest": "no forecasts of the past: model lstm did not answer in time"}
    told.error_in_replay = None
    assert (await desk.asset(RiskRequest(symbol="AAPL")))["value_at_risk"][-1]["backtest"] is not None


async def test_every_method_is_tested_on_the_days_asked_about(desk: RiskDesk):
    body = await desk.asset(RiskRequest(symbol="AAPL", period_days=250))
    tested = {entry["method"]: entry["backtest"] for entry in body["value_at_risk"]}
    assert {(each["first"], each["last"], each["days"]) for each in tested.values()} == {
        (tested["forecast"]["first"], body["as_of"], 250)
    }
    assert "measured out of sample from" in tested["forecast"]["scope"]


async def test_a_symbol_or_benchmark_that_nobody_knows_is_an_error_that_names_it(desk: RiskDesk):
    with pytest.raises(UnknownSymbol):
        await desk.asset(RiskRequest(symbol="NOSUCH"))
    with pytest.raises(UnknownSymbol) as raised:
        await desk.asset(RiskRequest(symbol="AAPL", benchmark="NOSUCH"))
    assert [detail.field for detail in raised.value.details] == ["benchmark"]


async def test_a_benchmark_that_was_not_asked_for_may_be_missing(desk: RiskDesk, market: MemoryMarket):
    del market.series["^GSPC"]
    body = await desk.asset(RiskRequest(symbol="AAPL"))
    assert body["benchmark"] is None
    assert "no prices of the benchmark ^GSPC" in body["unavailable"]["beta"]


async def test_a_benchmark_that_ends_before_the_period_gives_a_reason(desk: RiskDesk, market: MemoryMarket):
    bars = market.series["^GSPC"]
    market.series["^GSPC"] = replace(bars, times=bars.times - np.timedelta64(7300, "D"), fingerprint="")
    body = await desk.asset(RiskRequest(symbol="AAPL"))
    assert "share fewer than two returns with the period" in body["unavailable"]["beta"]


async def test_crypto_has_no_benchmark_unless_one_is_named(desk: RiskDesk):
    alone = await desk.asset(RiskRequest(symbol="BTC-USD"))
    assert "no benchmark is usual for crypto" in alone["unavailable"]["beta"]
    named = await desk.asset(RiskRequest(symbol="BTC-USD", benchmark="^GSPC"))
    assert named["measures"]["beta"] is not None
    assert named["benchmark"]["symbol"] == "^GSPC"
    none = await desk.asset(RiskRequest(symbol="AAPL", include_benchmark=False))
    assert none["unavailable"]["beta"] == "include_benchmark is false"


async def test_a_period_longer_than_the_history_is_told(desk: RiskDesk):
    body = await desk.asset(RiskRequest(symbol="SHORT", period_days=250, include_benchmark=False))
    assert body["period"]["returns"] == 39
    assert body["notes"] == ["there are 39 returns, fewer than period_days"]


async def test_a_single_price_has_no_return(desk: RiskDesk, market: MemoryMarket):
    bars = market.series["AAPL"]
    market.series["AAPL"] = Bars("AAPL", "1d", bars.times[:1].copy(), bars.close[:1].copy(), "test")
    with pytest.raises(UnusableSeries, match="a return needs two"):
        await desk.asset(RiskRequest(symbol="AAPL"))


async def test_returns_that_are_sent_are_measured_the_same_way(desk: RiskDesk, market: MemoryMarket):
    closes = market.series["AAPL"].total_return_close[-601:]
    returns = (closes[1:] / closes[:-1] - 1).tolist()
    body = await desk.returns(ReturnsRequest(returns=returns, benchmark_returns=returns, periods_per_year=260))
    ReturnsResponse.model_validate(body)
    assert not list(problems(body))
    assert body["measures"]["beta"] == pytest.approx(1.0)
    assert body["measures"]["information_ratio"] is None
    assert body["periods_per_year"] == 260
    assert body["value_at_risk"][-1]["method"] == "gjr_filtered"


async def test_few_returns_start_no_process(desk: RiskDesk, here: Here):
    await desk.returns(ReturnsRequest(returns=[0.01, -0.02]))
    assert here.calls == []


@pytest.mark.parametrize(
    ("asset_class", "calendar", "benchmark"),
    [
        (AssetClass.EQUITY, "XNYS", "^GSPC"),
        (AssetClass.EQUITY, "XETR", "^GDAXI"),
        (AssetClass.EQUITY, "XSAU", None),
        (AssetClass.INDEX, "XTKS", "^GSPC"),
        (AssetClass.CRYPTO, "24/7", None),
        (AssetClass.CURRENCY, "24/5", None),
    ],
)
def test_the_usual_benchmark_is_that_of_the_market(asset_class: AssetClass, calendar: str, benchmark: str | None):
    assert default_benchmark(Instrument("X", asset_class, calendar, None)) == benchmark


def test_a_year_has_the_sessions_of_the_exchange():
    class EveryDay(Weekdays):
        def _trades(self, day: date) -> bool:
            return True

    crypto = Instrument("BTC-USD", AssetClass.CRYPTO, "24/7", "USD")
    assert sessions_per_year(EveryDay(), crypto, date(2022, 6, 1)) == 365
    assert sessions_per_year(Weekdays(), crypto, date(2022, 6, 1)) == 260


@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF-"), ("png", b"\x89PNG")])
async def test_the_report_is_drawn_on_a_page(desk: RiskDesk, here: Here, kind: Any, start: bytes):
    assert (await desk.picture(RiskRequest(symbol="AAPL", period_days=300), kind)).startswith(start)
    assert here.calls == ["fitted", "draw_page"]


async def test_the_report_as_html_shows_everything_and_loads_nothing(market: MemoryMarket, offload: Offload):
    desk = RiskDesk(market, Weekdays(), offload, Told())
    text = (await desk.picture(RiskRequest(symbol="AAPL", period_days=300), "html")).decode()
    assert text.startswith("<!doctype html>")
    assert text.count("<svg") == 4
    for outside in ("<script", "src=", "http-equiv", "@import", "url(http", 'href="http'):
        assert outside not in text
    for shown in (
        "Drawdown",
        "Volatility",
        "VaR 95 %",
        "ES 99 %",
        "Exceedances",
        "a year (%)",
        "filtered historical",
        "Backtest: measured out of sample from",
    ):
        assert shown in text


@pytest.mark.parametrize("period", [2, 3, 20])
async def test_a_short_period_can_be_drawn(desk: RiskDesk, period: int):
    question = RiskRequest(symbol="SHORT", period_days=period, include_benchmark=False)
    assert (await desk.picture(question, "png")).startswith(b"\x89PNG")
    assert (await desk.picture(question, "html")).startswith(b"<!doctype html>")


async def test_prices_that_never_move_can_be_drawn(desk: RiskDesk, market: MemoryMarket):
    bars = market.series["AAPL"]
    market.series["AAPL"] = Bars("AAPL", "1d", bars.times.copy(), np.full(len(bars), 10.0), "test")
    assert (await desk.picture(RiskRequest(symbol="AAPL"), "png")).startswith(b"\x89PNG")
