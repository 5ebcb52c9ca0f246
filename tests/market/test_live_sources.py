"""Every vendor, well and badly behaved: the right bars or the right error, never a wrong price."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from contracts import Bars
from errors import SourceUnavailable, UnknownSymbol, UnusableSeries
from market.alpha_vantage import AlphaVantage
from market.binance import Binance
from market.calendars import ExchangeCalendars
from market.finnhub import Finnhub
from market.guard import Guard
from market.remote import RemoteSource
from market.transport import BrowserTransport, HttpxTransport
from market.vendor import Vendor
from market.yahoo import Yahoo
from tests.market import vendor_server as wire
from tests.market.vendor_server import NOW, Answer, Truth, VendorServer

KEY = "SECRETKEY123"
CALENDARS = ExchangeCalendars()


@cache
def days_of(calendar: str) -> Any:
    """The sessions from 300 before today to today."""
    sessions = CALENDARS.sessions_after(calendar, (NOW - timedelta(days=600)).date(), 700)
    return np.array([day for day in sessions if day <= NOW.date()][-300:], dtype="datetime64[D]")


SHARES = wire.truth(days_of("XNYS"))
COINS = wire.truth(days_of("24/7"))


@dataclass(frozen=True)
class Case:
    """One vendor: how to build it, what it is asked for, and what it answers on a good day."""

    vendor: Callable[[str], Vendor]
    symbol: str
    truth: Truth
    good: Any
    unknown: Answer
    bad_key: Answer | None = None

    def __str__(self) -> str:
        return self.vendor("").name


CASES = [
    Case(
        Yahoo,
        "AAPL",
        SHARES,
        Answer(wire.yahoo_chart(SHARES)),
        Answer({"chart": {"result": None, "error": {"code": "Not Found", "description": "delisted"}}}, 404),
    ),
    Case(
        lambda url: Finnhub(KEY, url),
        "AAPL",
        SHARES,
        Answer(wire.finnhub_candles(SHARES)),
        Answer({"s": "no_data"}),
        Answer({"error": "You don't have access to this resource."}, 403),
    ),
    Case(
        lambda url: AlphaVantage(KEY, url),
        "AAPL",
        SHARES,
        Answer(wire.alpha_vantage_daily(SHARES)),
        Answer({"Error Message": "Invalid API call. Please retry or visit the documentation."}),
        Answer({"Error Message": f"the parameter apikey {KEY} is invalid or missing."}),
    ),
    Case(
        Binance,
        "BTC-USD",
        COINS,
        wire.klines_page(COINS),
        Answer({"code": -1121, "msg": "Invalid symbol."}, 400),
    ),
]
each_vendor = pytest.mark.parametrize("case", CASES, ids=str)


def source_for(vendor: Vendor, *, total: float = 5.0, **more: Any) -> RemoteSource:
    transport = (BrowserTransport if vendor.name == "yahoo" else HttpxTransport)(connect=0.5, total=total)
    guard = Guard(vendor.name, transport, [(1000, 1.0)])
    return RemoteSource(vendor, guard, CALENDARS, ttl=more.pop("ttl", 300.0), clock=lambda: NOW, **more)


async def fetched(case: Case, answer: Any, *, server: VendorServer, **more: Any) -> Bars:
    server.answer = answer
    source = source_for(case.vendor(server.url), **more)
    try:
        return await source.bars(case.symbol, "1d")
    finally:
        await source.close()


@pytest.fixture
async def server():
    async with wire.vendor_server() as made:
        yield made


def is_the_truth(bars: Bars, truth: Truth) -> bool:
    return np.array_equal(bars.times, truth.days) and np.allclose(bars.close, truth.close, rtol=1e-9)


@each_vendor
async def test_on_a_good_day_the_completed_bars_are_answered(case: Case, server: VendorServer):
    bars = await fetched(case, case.good, server=server)
    assert is_the_truth(bars, case.truth)
    assert bars.has_ranges
    assert (bars.provider, bars.fetched_at, bars.issues) == (str(case), NOW, ())


HTML = "<!DOCTYPE html><html><body>Please wait while we check your browser</body></html>"
FAULTS: dict[str, tuple[Any, int | None, int]] = {
    # answer, retry_after (None: any), calls made
    "429 with Retry-After": (Answer("Too Many Requests\r\n", 429, {"Retry-After": "17"}), 17, 1),
    "429 without": (Answer("Too Many Requests\r\n", 429), 30, 1),
    "500": (Answer("oops", 500), None, 2),
    "503 with Retry-After": (Answer("later", 503, {"Retry-After": "120"}), 120, 1),
    "no answer in time": (Answer(b"", wait=3.0), None, 1),
    "HTML": (Answer(HTML, headers={"Content-Type": "text/html"}), None, 2),
    "HTML and 404": (Answer(HTML, 404), None, 2),
    "an empty body": (Answer(b""), None, 2),
    "null": (Answer("null"), None, 1),
    "a number": (Answer("17"), None, 1),
    "a redirect": (Answer(b"", 302, {"Location": "http://127.0.0.1:1/elsewhere"}), None, 2),
    "401": (Answer({"error": "Invalid API key"}, 401), 600, 1),
    "403": (Answer({"error": "forbidden"}, 403), 600, 1),
}


@each_vendor
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_an_error_that_names_the_source_and_no_price(case: Case, fault: str, server: VendorServer):
    answer, retry_after, calls = FAULTS[fault]
    with pytest.raises(SourceUnavailable) as error:
        await fetched(case, answer, server=server, total=0.4 if "time" in fault else 5.0)
    assert error.value.message.startswith(str(case))
    assert KEY not in repr(error.value)
    assert len(server.asked) == calls
    assert retry_after in (None, error.value.retry_after)


@each_vendor
async def test_half_a_body_is_no_answer(case: Case, server: VendorServer):
    good = case.good if isinstance(case.good, Answer) else Answer(wire.klines(COINS))
    with pytest.raises(SourceUnavailable, match=str(case)):
        await fetched(case, Answer(good.body, cut=True), server=server)
    half = good.content[: len(good.content) // 2]
    with pytest.raises(SourceUnavailable, match="not JSON"):
        await fetched(case, Answer(half), server=server)


@each_vendor
async def test_one_failure_is_tried_again_and_not_noticed(case: Case, server: VendorServer):
    def first_fails(asked: wire.Asked) -> Answer:
        if len(server.asked) == 1:
            return Answer("oops", 502)
        return case.good if isinstance(case.good, Answer) else case.good(asked)

    assert is_the_truth(await fetched(case, first_fails, server=server), case.truth)


@each_vendor
async def test_a_symbol_it_does_not_have_is_unknown_and_not_asked_for_twice_in_a_period(
    case: Case, server: VendorServer
):
    server.answer = case.unknown
    source = source_for(case.vendor(server.url))
    with pytest.raises(UnknownSymbol):
        await source.bars(case.symbol, "1d")
    with pytest.raises(UnknownSymbol):
        await source.version(case.symbol, "1d")
    assert (len(server.asked), source.state) == (1, "closed")
    await source.close()


@pytest.mark.parametrize("case", [it for it in CASES if it.bad_key], ids=str)
async def test_a_bad_key_is_told_from_an_unknown_symbol_and_kept_secret(case: Case, server: VendorServer, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SourceUnavailable, match="refuses") as error:
        await fetched(case, case.bad_key, server=server)
    assert KEY not in caplog.text + repr(error.value) + str(error.value.__cause__)
    sent = server.asked[0]
    assert KEY in (*sent.query.values(), *sent.headers.values())


@each_vendor
async def test_bars_given_twice_count_once(case: Case, server: VendorServer):
    def doubled(asked: wire.Asked) -> Answer:
        body = deepcopy(case.good.body if isinstance(case.good, Answer) else case.good(asked).body)
        if str(case) == "yahoo":
            result = body["chart"]["result"][0]
            lists = [
                result["timestamp"],
                result["indicators"]["adjclose"][0]["adjclose"],
                *result["indicators"]["quote"][0].values(),
            ]
        elif str(case) == "finnhub":
            lists = [values for values in body.values() if isinstance(values, list)]
        elif str(case) == "binance":
            lists = [body]
        else:
            return Answer(body)  # an object cannot hold a day twice
        for values in lists:
            values.insert(10, values[10])
        return Answer(body)

    bars = await fetched(case, doubled, server=server)
    assert is_the_truth(bars, case.truth)
    assert [it.problem for it in bars.issues] in ([], ["dropped: an identical bar came before"])


@each_vendor
async def test_columns_of_different_length_are_not_guessed_at(case: Case, server: VendorServer):
    def shortened(asked: wire.Asked) -> Answer:
        body = deepcopy(case.good.body if isinstance(case.good, Answer) else case.good(asked).body)
        if str(case) == "yahoo":
            body["chart"]["result"][0]["indicators"]["quote"][0]["close"].pop(10)
        elif str(case) == "finnhub":
            body["c"].pop(10)
        elif str(case) == "binance":
            del body[10][3:]
        else:
            del body["Time Series (Daily)"][str(SHARES.days[10])]["4. close"]
        return Answer(body)

    with pytest.raises(SourceUnavailable, match="in a form that is not its own"):
        await fetched(case, shortened, server=server)


@each_vendor
async def test_a_misprint_of_the_vendor_is_dropped_and_reported(case: Case, server: VendorServer):
    def misprinted(asked: wire.Asked) -> Answer:
        wrong = wire.truth(case.truth.all_days)
        wrong.close[50] *= 3.0
        if str(case) == "binance":
            return wire.klines_page(wrong)(asked)
        made = {"yahoo": wire.yahoo_chart, "finnhub": wire.finnhub_candles, "alpha_vantage": wire.alpha_vantage_daily}
        return Answer(made[str(case)](wrong))

    bars = await fetched(case, misprinted, server=server)
    sound = np.delete(np.arange(len(case.truth.days)), 50)
    assert np.array_equal(bars.times, case.truth.days[sound])
    assert np.allclose(bars.close, case.truth.close[sound])
    assert [it.time for it in bars.issues] == [str(case.truth.days[50])]


@each_vendor
async def test_a_jump_in_the_newest_bar_waits_for_the_next_one(case: Case, server: VendorServer):
    jumped = wire.truth(case.truth.all_days)
    jumped.close[-1] *= 2.0
    made = {"yahoo": wire.yahoo_chart, "finnhub": wire.finnhub_candles, "alpha_vantage": wire.alpha_vantage_daily}
    answer = wire.klines_page(jumped) if str(case) == "binance" else Answer(made[str(case)](jumped))
    bars = await fetched(case, answer, server=server)
    assert bars.times[-1] == case.truth.days[-2]
    assert bars.issues[-1].problem.startswith("dropped: a jump of +")


# --- what only one of them does


async def yahoo(server: VendorServer, chart: Any, symbol: str = "AAPL", timeframe: Any = "1d") -> Bars:
    server.answer = Answer(chart)
    source = source_for(Yahoo(server.url))
    try:
        return await source.bars(symbol, timeframe)
    finally:
        await source.close()


def result_of(chart: Any) -> Any:
    return chart["chart"]["result"][0]


async def test_yahoo_null_bars_and_missing_stamps_are_dropped_and_reported(server: VendorServer):
    chart = wire.yahoo_chart(SHARES)
    result = result_of(chart)
    for column in (*result["indicators"]["quote"][0].values(), result["indicators"]["adjclose"][0]["adjclose"]):
        column[20] = None
    result["timestamp"][40] = None
    bars = await yahoo(server, chart)
    sound = np.delete(np.arange(len(SHARES.days)), [20, 40])
    assert np.array_equal(bars.times, SHARES.days[sound])
    assert np.allclose(bars.close, SHARES.close[sound])
    assert {it.time for it in bars.issues} == {str(SHARES.days[20]), "NaT"}
    assert all(it.problem.startswith("dropped: ") for it in bars.issues)


async def test_yahoo_without_any_stamps_has_no_bars(server: VendorServer):
    chart = wire.yahoo_chart(SHARES)
    del result_of(chart)["timestamp"]
    result_of(chart)["indicators"] = {"quote": [{}]}
    with pytest.raises(UnknownSymbol):
        await yahoo(server, chart)


@pytest.mark.parametrize("meta", [{"symbol": "MSFT"}, {"dataGranularity": "1mo"}, {"exchangeTimezoneName": "X/Y"}])
async def test_yahoo_answering_something_else_is_not_believed(server: VendorServer, meta: dict[str, str]):
    with pytest.raises(SourceUnavailable, match="yahoo answers"):
        await yahoo(server, wire.yahoo_chart(SHARES, **{"symbol": "AAPL", **meta}))


@pytest.mark.parametrize("stamp", [10**18, -(10**18), 10**30])
async def test_a_stamp_that_no_calendar_knows_is_no_answer(server: VendorServer, stamp: int):
    chart = wire.yahoo_chart(SHARES)
    result_of(chart)["timestamp"][10] = stamp
    with pytest.raises(SourceUnavailable, match="in a form that is not its own"):
        await yahoo(server, chart)


async def test_yahoo_closes_are_adjusted_for_splits_and_adj_close_for_dividends_too(server: VendorServer):
    chart = wire.yahoo_chart(SHARES)
    day = SHARES.days[100]
    result_of(chart)["events"] = {
        "splits": {"1": {"date": wire.opening(day), "numerator": 4, "denominator": 1, "splitRatio": "4:1"}}
    }
    bars = await yahoo(server, chart)
    assert is_the_truth(bars, SHARES)
    assert np.allclose(bars.adj_close, SHARES.close * 0.995)
    assert bars.issues == ()


async def test_a_split_that_yahoo_announced_and_did_not_apply_is_applied_and_reported(server: VendorServer):
    late = wire.truth(SHARES.all_days)
    late.close[:100] *= 4
    chart = wire.yahoo_chart(late)
    day = str(SHARES.days[100])
    result_of(chart)["events"] = {"splits": {"1": {"date": wire.opening(day), "numerator": 4, "denominator": 1}}}
    bars = await yahoo(server, chart)
    assert is_the_truth(bars, SHARES)
    assert [(it.time, it.problem) for it in bars.issues] == [(day, "kept: prices before it were divided by 4, a split")]


async def test_a_jump_that_no_split_explains_is_reported(server: VendorServer):
    late = wire.truth(SHARES.all_days)
    late.close[:100] *= 4
    bars = await yahoo(server, wire.yahoo_chart(late))
    assert [it.problem[:13] for it in bars.issues] == ["kept: a jump "]


async def test_prices_in_pence_say_so(server: VendorServer):
    zone = "Europe/London"
    chart = wire.yahoo_chart(SHARES, "VOD.L", currency="GBp", exchangeTimezoneName=zone, fullExchangeName="LSE")
    server.answer = Answer(chart)
    source = source_for(Yahoo(server.url))
    bars = await source.bars("VOD.L", "1d")
    instrument = source.instrument("VOD.L")
    assert np.allclose(bars.close, SHARES.close[np.isin(SHARES.days, bars.times)])
    assert (instrument.currency, instrument.exchange, instrument.calendar) == ("GBp", "LSE", "XLON")
    await source.close()


async def test_a_change_from_pounds_to_pence_does_not_look_like_a_return(server: VendorServer):
    mixed = wire.truth(SHARES.all_days)
    mixed.close[:60] /= 100
    bars = await yahoo(server, wire.yahoo_chart(mixed))
    assert np.array_equal(bars.times, SHARES.days[60:])
    assert "the unit of the prices changes here" in bars.issues[0].problem


async def test_name_exchange_currency_and_last_price_come_from_yahoo(server: VendorServer):
    server.answer = Answer(wire.yahoo_chart(SHARES))
    source = source_for(Yahoo(server.url))
    assert source.instrument("AAPL") is None
    await source.bars("AAPL", "1d")
    told = source.instrument("AAPL")
    assert (told.name, told.exchange, told.currency) == ("Apple Inc.", "NasdaqGS", "USD")
    latest = source.latest("AAPL", "1d")
    assert (latest.price, latest.time) == (SHARES.forming_close, NOW)
    await source.close()


async def test_a_midnight_in_summer_stays_on_its_day(server: VendorServer):
    """Yahoo stamps currencies with midnight in London; by the offset of winter that is the day before."""
    pairs = wire.truth(days_of("24/5"))
    chart = wire.yahoo_chart(pairs, "EURUSD=X", exchangeTimezoneName="Europe/London", gmtoffset=0)
    result_of(chart)["timestamp"] = [wire.opening(it, wire.ZoneInfo("Europe/London"), 0, 0) for it in pairs.all_days]
    assert is_the_truth(await yahoo(server, chart, "EURUSD=X"), pairs)


async def test_hours_end_before_they_count(server: VendorServer):
    """At 15:00 UTC the hour from 13:30 is over, that from 14:30 is not."""
    chart = wire.yahoo_chart(SHARES, dataGranularity="1h")
    result = result_of(chart)
    stamps = [int(NOW.timestamp()) + 60 * (-30 - 60 * i) for i in reversed(range(40))]
    result["timestamp"] = stamps
    result["indicators"] = {"quote": [wire.candles(SHARES.close[:40])]}
    bars = await yahoo(server, chart, timeframe="1h")
    assert len(bars) == 39
    assert bars.times[-1] == np.datetime64("2024-03-15T13:30:00")
    assert bars.adj_close is None


async def test_the_newest_day_given_twice_is_the_later_of_the_two(server: VendorServer):
    evening = wire.truth(SHARES.days)  # without a forming bar; the last day is a row and a quote
    chart = wire.yahoo_chart(evening)
    result = result_of(chart)
    for name, column in (*result["indicators"]["quote"][0].items(), ("adjclose", result["indicators"]["adjclose"][0])):
        values = column["adjclose"] if name == "adjclose" else column
        values.insert(-1, values[-1] * (1 if name in ("high", "adjclose") else 0.9995))
    result["timestamp"].insert(-1, result["timestamp"][-1] - 3600)
    bars = await yahoo(server, chart)
    assert np.array_equal(bars.times, SHARES.days)
    assert bars.close[-1] == evening.forming_close
    assert bars.issues == ()


@pytest.mark.parametrize("symbol", ["^GSPC", "EURUSD=X", "BRK-B"])
async def test_symbols_travel_unharmed(server: VendorServer, symbol: str):
    await yahoo(server, wire.yahoo_chart(SHARES, symbol), symbol)
    assert unquote(server.asked[0].path) == f"/v8/finance/chart/{symbol}"


async def test_a_bad_series_is_not_fetched_twice_in_a_period(server: VendorServer):
    chart = wire.yahoo_chart(SHARES)
    result_of(chart)["indicators"]["quote"][0]["close"][10:50] = [-1.0] * 40
    server.answer = Answer(chart)
    source = source_for(Yahoo(server.url))
    with pytest.raises(UnusableSeries) as first:
        await source.bars("AAPL", "1d")
    with pytest.raises(UnusableSeries) as second:
        await source.version("AAPL", "1d")
    assert (second.value.message, len(server.asked)) == (first.value.message, 1)
    await source.close()


async def test_without_a_cache_period_an_unknown_symbol_is_asked_for_again(server: VendorServer):
    server.answer = CASES[0].unknown
    source = source_for(Yahoo(server.url), ttl=0)
    with pytest.raises(UnknownSymbol):
        await source.bars("AAPL", "1d")
    server.answer = CASES[0].good
    await source.version("AAPL", "1d")
    assert is_the_truth(await source.bars("AAPL", "1d"), SHARES)
    await source.close()


async def test_a_suffix_without_a_calendar_costs_no_call(server: VendorServer):
    with pytest.raises(UnknownSymbol):
        await yahoo(server, wire.yahoo_chart(SHARES), "ES=F")
    assert server.asked == []


async def alpha(server: VendorServer, answer: Any, symbol: str = "AAPL") -> Bars:
    server.answer = answer
    source = source_for(AlphaVantage(KEY, server.url))
    try:
        return await source.bars(symbol, "1d")
    finally:
        await source.close()


NOTICES = [
    ("Note", "Our standard API call frequency is 5 calls per minute and 500 calls per day. Please visit premium", 60),
    (
        "Information",
        f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day.",
        3600,
    ),
    ("Information", "Please consider spreading out your free API requests more sparingly (1 request per second).", 60),
]


@pytest.mark.parametrize(("field", "text", "retry_after"), NOTICES)
async def test_a_notice_of_alpha_vantage_is_understood_and_not_repeated(server, field, text, retry_after, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SourceUnavailable) as error:
        await alpha(server, Answer({field: text}))
    assert error.value.retry_after == retry_after
    assert KEY not in repr(error.value) + caplog.text


async def test_alpha_vantage_splits_are_applied_to_prices_as_traded(server: VendorServer):
    traded = wire.truth(SHARES.all_days)
    traded.close[:100] *= 4
    body = wire.alpha_vantage_daily(traded, splits={str(SHARES.days[100]): 4.0})
    for day, row in body["Time Series (Daily)"].items():
        if np.datetime64(day) < SHARES.days[100]:
            row["5. adjusted close"] = f"{float(row['5. adjusted close']) / 4:.4f}"
    bars = await alpha(server, Answer(body))
    assert np.allclose(bars.close, SHARES.close)
    assert np.allclose(bars.adj_close, SHARES.close * 0.995, atol=1e-4)
    assert (bars.volume[0], bars.volume[-1]) == (4000, 1000)


async def test_a_plan_without_adjusted_prices_is_found_out_once(server: VendorServer):
    def plan(asked: wire.Asked) -> Answer:
        if asked.query["function"] == "TIME_SERIES_DAILY_ADJUSTED":
            return Answer({"Information": "Thank you for using Alpha Vantage! This is a premium endpoint."})
        return Answer(wire.alpha_vantage_plain(SHARES))

    server.answer = plan
    source = source_for(AlphaVantage(KEY, server.url), ttl=0)
    for _ in range(2):
        bars = await source.bars("AAPL", "1d")
        assert is_the_truth(bars, SHARES)
        assert bars.adj_close is None
    assert len(server.asked) == 3
    await source.close()


async def test_prices_as_traded_start_after_what_may_be_a_split(server: VendorServer):
    traded = wire.truth(SHARES.all_days)
    traded.close[:100] *= 1.5

    def plan(asked: wire.Asked) -> Answer:
        premium = asked.query["function"] == "TIME_SERIES_DAILY_ADJUSTED"
        return Answer({"Information": "premium endpoint"} if premium else wire.alpha_vantage_plain(traded))

    bars = await alpha(server, plan)
    assert np.array_equal(bars.times, SHARES.days[100:])
    assert np.allclose(bars.close, SHARES.close[100:])
    assert "may be an unadjusted split" in bars.issues[0].problem


async def test_alpha_vantage_has_its_own_words_for_exchanges(server: VendorServer):
    server.answer = Answer(wire.alpha_vantage_daily(SHARES, "VOD.LON"))
    source = source_for(AlphaVantage(KEY, server.url))
    await source.bars("VOD.L", "1d")
    assert server.asked[0].query["symbol"] == "VOD.LON"
    for elsewhere in ("BTC-USD", "^GSPC", "EURUSD=X", "7203.T"):
        with pytest.raises(UnknownSymbol):
            await source.version(elsewhere, "1d")
    await source.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [("API limit reached. Please try again later. Remaining Limit: 0", "fewer calls"), ("Invalid API key", "refuses")],
)
async def test_an_error_of_finnhub_with_status_200_is_no_candle(server: VendorServer, text: str, words: str):
    case = CASES[1]
    with pytest.raises(SourceUnavailable, match=words):
        await fetched(case, Answer({"error": text}), server=server)


async def test_a_zero_for_every_price_is_no_price(server: VendorServer):
    """Finnhub's word for a symbol it does not know, where it has one for each column."""
    zeros = {name: [0, 0, 0] for name in "ohlcv"} | {"s": "ok", "t": wire.finnhub_candles(SHARES)["t"][:3]}
    with pytest.raises(UnusableSeries):
        await fetched(CASES[1], Answer(zeros), server=server)


@pytest.mark.parametrize("place", ["America/New_York", "UTC", "Asia/Tokyo", "Australia/Sydney"])
async def test_finnhub_days_are_those_of_the_exchange(server: VendorServer, place: str):
    """It stamps a day with its midnight, of UTC or of the exchange."""
    body = wire.finnhub_candles(SHARES)
    body["t"] = [wire.opening(day, wire.ZoneInfo(place), 0, 0) for day in SHARES.all_days]
    assert is_the_truth(await fetched(CASES[1], Answer(body), server=server), SHARES)


async def test_binance_is_read_page_by_page_and_says_what_its_dollars_are(server: VendorServer):
    long = wire.truth(np.datetime64("2024-03-15") - np.arange(2500)[::-1])
    server.answer = wire.klines_page(long)
    source = source_for(Binance(server.url))
    bars = await source.bars("BTC-USD", "1d")
    assert is_the_truth(bars, long)
    assert bars.issues == ()
    assert [it.query["symbol"] for it in server.asked] == ["BTCUSDT"] * 3
    assert source.instrument("BTC-USD").currency == "USDT"
    await source.close()


async def test_a_vendor_that_hangs_does_not_hold_up_the_loop(server: VendorServer):
    server.answer = Answer(b"", wait=2.0)
    source = source_for(Yahoo(server.url), total=0.5)
    read = asyncio.create_task(source.bars("AAPL", "1d"))
    turns = 0
    while not read.done():
        await asyncio.sleep(0.01)
        turns += 1
    with pytest.raises(SourceUnavailable, match="in time"):
        await read
    assert turns > 10, "in half a second"
    await source.close()
