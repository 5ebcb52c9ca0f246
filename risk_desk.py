"""Risk reports from the same market data as the forecasts: fetches, computes aside, remembers. Free of the framework.

The pure formulas are in ``risk/``; here they get their bars, their calendar and their GARCH fits (from a process of
their own), and what forecast_risk.py has of our own forecasts. What a part cannot deliver becomes a reason beside the
null it leaves.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from answer import data_report
from contracts import AssetClass, Bars, Calendar, Floats, Instrument, MarketData
from errors import DeepFinanceError, ErrorDetail, UnknownSymbol, UnusableSeries
from forecast_risk import Asked, OwnForecasts, Passing, forecast_risk
from gateway.risk_page import page_of
from gateway.risk_picture import draw_charts, draw_page
from gateway.risk_schemas import PictureKind, ReturnsRequest, RiskRequest
from offload import Offload
from remembering import Remembered
from risk.gjr import Fits, fitted, refit_places
from risk.plain import plain_report
from risk.report import Series, Terms, report
from risk.returns import aligned, simple_returns
from risk_pictures import pictured

FIT_SECONDS = 20.0
DRAW_SECONDS = 20.0
CALENDAR_YEARS = 10
BENCHMARKS = {
    "XNYS": "^GSPC",
    "XLON": "^FTSE",
    "XETR": "^GDAXI",
    "XPAR": "^FCHI",
    "XMAD": "^IBEX",
    "XSWX": "^SSMI",
    "XTKS": "^N225",
    "XHKG": "^HSI",
    "XTSE": "^GSPTSE",
    "XASX": "^AXJO",
    "XBOM": "^NSEI",
    "XKRX": "^KS11",
    "BVMF": "^BVSP",
}
"""By calendar: the broad index of the asset's own market, in its own currency."""
NOT_WANTED = "include_benchmark is false"


@dataclass(frozen=True, slots=True)
class Against:
    """The benchmark of a question: its symbol and bars, or the reason why there is none."""

    symbol: str | None
    bars: Bars | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Returns (n,) of asset and benchmark between the common dates ``first`` to ``last``."""

    mine: Floats
    theirs: Floats
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Report:
    """All of an answer but symbol and data; whole where nothing in it is missing that may be there the next time."""

    body: dict[str, Any]
    is_whole: bool


class RiskDesk:
    """``gateway.backend.RiskBackend``. Belongs to one event loop."""

    def __init__(
        self,
        market: MarketData,
        calendar: Calendar,
        offload: Offload,
        forecasts: OwnForecasts | None = None,
    ) -> None:
        self._market = market
        self._calendar = calendar
        self._offload = offload
        self._forecasts = forecasts
        self._fits: Remembered[Fits] = Remembered()
        self._reports: Remembered[Report] = Remembered(keeps=lambda found: found.is_whole)

    async def asset(self, question: RiskRequest) -> dict[str, Any]:
        """One symbol. Raises UnknownSymbol, of the benchmark too where the caller named it, or UnusableSeries."""
        bars, instrument = await self._bars(question.symbol)
        against = await self._against(question, instrument)
        rest = question.model_dump(exclude={"symbol", "benchmark"}).items()
        theirs = against.bars and against.bars.fingerprint
        models = self._forecasts and self._forecasts.model_set.version
        key = (bars.fingerprint, theirs, against.missing, models, str(sorted(rest)))
        found = await self._reports.get(key, lambda: self._asset(question, bars, instrument, against))
        return {"symbol": question.symbol, **found.body, "data": self._data(bars, instrument)}

    async def returns(self, question: ReturnsRequest) -> dict[str, Any]:
        """Returns that the caller sends."""
        history = np.asarray(question.returns, np.float64)
        benchmark: tuple[Floats, Floats] | str = "no benchmark_returns were sent"
        if question.benchmark_returns is not None:
            benchmark = (history, np.asarray(question.benchmark_returns, np.float64))
        year = question.periods()
        terms = Terms(tuple(question.confidence_levels), question.horizon, year, question.risk_free_rate)
        fits = await self._fitted(hashlib.sha256(history.tobytes()).hexdigest(), history, len(history))
        series = Series(history, len(history), benchmark, fits)
        told = await asyncio.to_thread(report, series, terms)
        return {"returns": len(history), "periods_per_year": year, **plain_report(told, range(len(history) + 1))}

    async def picture(self, question: RiskRequest, kind: PictureKind) -> bytes:
        """The one-page report, over one day whatever the horizon asked for. Raises what ``asset`` raises, and
        Unavailable or Timeout where it cannot be drawn now."""
        question = question.model_copy(update={"horizon": 1})
        body = await self.asset(question)
        bars, instrument = await self._bars(question.symbol)
        series, _ = await self._series(question, bars, await self._against(question, instrument))
        shown = await asyncio.to_thread(pictured, body, series, dates_of(bars))
        if kind != "html":
            return await self._offload.run(draw_page, shown, kind, timeout=DRAW_SECONDS)
        charts = await self._offload.run(draw_charts, shown, timeout=DRAW_SECONDS)
        return page_of(shown, charts, body)

    async def _bars(self, symbol: str) -> tuple[Bars, Instrument]:
        bars = await self._market.bars(symbol, "1d")
        if len(bars) < 2:
            raise UnusableSeries(f"{symbol} has {len(bars)} bars; a return needs two")
        return bars, self._market.instrument(symbol)

    async def _against(self, question: RiskRequest, instrument: Instrument) -> Against:
        """Raises where a benchmark that the caller named has no bars; one that we chose is then missing."""
        if not question.include_benchmark:
            return Against(None, None, NOT_WANTED)
        if question.benchmark is not None:
            try:
                return Against(question.benchmark, (await self._bars(question.benchmark))[0])
            except (UnknownSymbol, UnusableSeries) as error:
                raise type(error)(error.message, [ErrorDetail("benchmark", error.message)]) from None
        symbol = default_benchmark(instrument)
        if symbol is None:
            kind = instrument.asset_class.value
            return Against(None, None, f"no benchmark is usual for {kind}; name one in benchmark")
        try:
            return Against(symbol, (await self._bars(symbol))[0])
        except DeepFinanceError as error:
            return Against(symbol, None, f"no prices of the benchmark {symbol}: {error.message}")

    async def _asset(self, question: RiskRequest, bars: Bars, instrument: Instrument, against: Against) -> Report:
        days = dates_of(bars)
        year = sessions_per_year(self._calendar, instrument, days[-1])
        terms = Terms(tuple(question.confidence_levels), question.horizon, year, question.risk_free_rate)
        period = min(question.period_days, len(bars) - 1)
        asked = Asked(bars, instrument, period, question.horizon, question.confidence_levels)
        (series, pair), own = await asyncio.gather(
            self._series(question, bars, against), forecast_risk(asked, self._forecasts)
        )
        told = await asyncio.to_thread(report, series, terms)
        body = plain_report(replace(told, value_at_risk=told.value_at_risk + own.entries), days)
        if isinstance(pair, str):
            body["unavailable"]["benchmark"] = pair
        few = f"there are {series.period} returns, fewer than period_days"
        answer = {
            "as_of": days[-1],
            "period": {"first": days[-1 - series.period], "last": days[-1], "returns": series.period},
            "periods_per_year": year,
            "benchmark": None if isinstance(pair, str) else _compared(against, pair),
            **body,
            "notes": [few] if series.period < question.period_days else [],
        }
        return Report(answer, own.is_whole and not isinstance(series.fits, Passing))

    async def _series(self, question: RiskRequest, bars: Bars, against: Against) -> tuple[Series, Pair | str]:
        history = simple_returns(bars.total_return_close)
        period = min(question.period_days, len(history))
        pair = common_returns(bars, against, period)
        fits = await self._fitted(bars.fingerprint, history, period)
        return Series(history, period, pair if isinstance(pair, str) else (pair.mine, pair.theirs), fits), pair

    async def _fitted(self, name: str, history: Floats, period: int) -> Fits | str:
        """GARCH and GJR refits, remembered by what they were fitted on; or why there are none."""
        places = refit_places(len(history), period)
        if not places:
            return Fits((), None)

        async def fit() -> Fits:
            return await self._offload.run(fitted, history, places, timeout=FIT_SECONDS)

        try:
            return await self._fits.get((name, places), fit)
        except DeepFinanceError as error:
            return Passing(f"GARCH cannot be fitted now: {error.message}")

    def _data(self, bars: Bars, instrument: Instrument) -> dict[str, Any]:
        now = datetime.now(UTC)
        return asdict(data_report(bars, self._calendar.last_completed_session(instrument.calendar, now), now))


def _compared(against: Against, pair: Pair) -> dict[str, Any]:
    return {"symbol": against.symbol, "first": pair.first, "last": pair.last, "returns": len(pair.mine)}


def default_benchmark(instrument: Instrument) -> str | None:
    """The index of a share's own market, ^GSPC for an index; None for crypto and currencies."""
    if instrument.asset_class == AssetClass.INDEX:
        return "^GSPC"
    return BENCHMARKS.get(instrument.calendar) if instrument.asset_class == AssetClass.EQUITY else None


def sessions_per_year(calendar: Calendar, instrument: Instrument, last: date) -> int:
    """Sessions of the asset's exchange a year, on average over the ten whole years before ``last``, rounded: 252 in New
    York, 365 for crypto."""
    first, end = date(last.year - CALENDAR_YEARS, 1, 1), date(last.year - 1, 12, 31)
    return round(calendar.sessions_between(instrument.calendar, first, end) / CALENDAR_YEARS)


def dates_of(bars: Bars) -> list[date]:
    days: list[date] = bars.times.astype("datetime64[D]").tolist()
    return days


def common_returns(bars: Bars, against: Against, period: int) -> Pair | str:
    """Returns of asset and benchmark between the dates in the period that both have, or why there are none."""
    if against.bars is None:
        return against.missing
    theirs = against.bars
    since = slice(len(bars) - 1 - period, None)
    dates, mine, other = aligned(
        bars.times[since].astype("datetime64[D]"),
        bars.total_return_close[since],
        theirs.times.astype("datetime64[D]"),
        theirs.total_return_close,
    )
    if len(mine) < 2:
        first, last = theirs.times[[0, -1]].astype("datetime64[D]")
        return f"the prices of {against.symbol}, {first} to {last}, share fewer than two returns with the period"
    first, last = dates[[0, -1]].tolist()
    return Pair(mine, other, first, last)
