"""Measures portfolios on the same market data as the forecasts: fetches, aligns, and has the optimisers run aside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import numpy as np

from answer import data_report
from contracts import Bars, Calendar, Floats, Instrument, MarketData, Times
from errors import DeepFinanceError, ErrorDetail, InvalidRequest, UnknownSymbol, UnusableSeries
from gateway.portfolio_schemas import OptimisationRequest, PortfolioRequest
from offload import Offload
from remembering import Remembered
from risk.offloaded import optimal_portfolios
from risk.portfolio_report import Holdings, Terms, optimisation_of, risk_of, shock_of, stress_of
from risk.portfolio_terms import OptimisationTerms
from risk.returns import simple_returns
from risk_desk import default_benchmark, sessions_per_year

FEWEST_RETURNS = 30
PATIENCE = 30.0
"""Seconds for the optimisers, the start of their process included."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Asset:
    """A symbol with its bars."""

    symbol: str
    bars: Bars
    instrument: Instrument

    @property
    def days(self) -> Times:
        return self.bars.times.astype("datetime64[D]")


class PortfolioDesk:
    """``gateway.portfolio_routes.PortfolioBackend``. Belongs to one event loop."""

    def __init__(self, market: MarketData, calendar: Calendar, offload: Offload) -> None:
        self._market = market
        self._calendar = calendar
        self._offload = offload
        self._known: Remembered[Json] = Remembered()

    async def portfolio(self, question: PortfolioRequest) -> Json:
        """Raises InvalidRequest, UnknownSymbol, UnusableSeries, or what the data sources raise."""
        require_feasible(question.optimisation, len(question.symbols))
        others = tuple(symbol for symbol in question.shocks or () if symbol not in question.symbols)
        assets = await self._assets(question.symbols, question.field)
        shocked = await self._assets(others, "shocks")
        require_one_currency(assets, question.field)
        benchmark = await self._benchmark(question, assets[0].instrument)
        fetched = [*assets, *shocked, *([] if isinstance(benchmark, str) else [benchmark])]
        key = (question.model_dump_json(), tuple(asset.bars.fingerprint for asset in fetched), str(benchmark)[:200])
        body = await self._known.get(key, lambda: self._answer(question, assets, shocked, benchmark))
        return {**body, "data": self._data(assets, body["period"]["first"])}

    async def _assets(self, symbols: Sequence[str], field: str) -> list[Asset]:
        """All at once; every one that is unknown is named in one error."""
        found = await asyncio.gather(*(self._market.bars(it, "1d") for it in symbols), return_exceptions=True)
        unknown = [
            ErrorDetail(f"{field}.{symbol}", bars.message)
            for symbol, bars in zip(symbols, found, strict=True)
            if isinstance(bars, UnknownSymbol)
        ]
        if unknown:
            raise UnknownSymbol("there are no prices of some of the symbols", unknown)
        assets = []
        for symbol, bars in zip(symbols, found, strict=True):
            if isinstance(bars, BaseException):
                raise bars
            assets.append(Asset(symbol, bars, self._market.instrument(symbol)))
        return assets

    async def _benchmark(self, question: PortfolioRequest, first: Instrument) -> Asset | str:
        """Raises where one that the caller named has no bars; one that we chose is then missing."""
        if not question.include_benchmark:
            return "include_benchmark is false"
        symbol = question.benchmark or default_benchmark(first)
        if symbol is None:
            return f"no benchmark is usual for {first.asset_class.value}; name one in benchmark"
        try:
            return Asset(symbol, await self._market.bars(symbol, "1d"), self._market.instrument(symbol))
        except DeepFinanceError as error:
            if question.benchmark is not None:
                raise type(error)(error.message, [ErrorDetail("benchmark", error.message)]) from None
            return f"no prices of the benchmark {symbol}: {error.message}"

    async def _answer(
        self, question: PortfolioRequest, assets: Sequence[Asset], shocked: Sequence[Asset], benchmark: Asset | str
    ) -> Json:
        holdings, value = holdings_of(question, assets)
        terms = self._terms(question, assets)
        risk, stress, optimisation = await asyncio.gather(
            asyncio.to_thread(risk_of, holdings, against(holdings, benchmark), terms),
            asyncio.to_thread(_stress, question.shocks, holdings, shocked),
            self._optimised(question, holdings, terms),
        )
        days = holdings.days[-1 - holdings.period :]
        few = f"there are {holdings.period} common returns, fewer than period_days"
        return {
            "as_of": days[-1].item(),
            "currency": assets[0].instrument.currency,
            "period": {"first": days[0].item(), "last": days[-1].item(), "returns": holdings.period},
            "periods_per_year": terms.periods_per_year,
            "weights": dict(zip(holdings.symbols, holdings.weights.tolist(), strict=True)),
            "value": value,
            "gross_exposure": float(np.abs(holdings.weights).sum()),
            "benchmark": None if isinstance(benchmark, str) else benchmark.symbol,
            **risk,
            "stress": stress,
            "optimisation": optimisation,
            "notes": [few] if holdings.period < question.period_days else [],
        }

    def _terms(self, question: PortfolioRequest, assets: Sequence[Asset]) -> Terms:
        """Sessions of the exchange a year, of the one with the fewest where there are several."""
        years = [sessions_per_year(self._calendar, it.instrument, it.days[-1].item()) for it in assets]
        return Terms(
            tuple(question.confidence_levels),
            question.horizon,
            min(years),
            question.risk_free_rate,
            question.covariance == "ledoit_wolf",
        )

    async def _optimised(self, question: PortfolioRequest, holdings: Holdings, terms: Terms) -> Json | None:
        """What the optimisers found; a reason where they cannot answer, as risk does not depend on them."""
        asked = question.optimisation
        if asked is None:
            return None
        returns = holdings.all_returns
        nothing: Json = {
            "out_of_sample": {"first": None, "last": None, "refits": 0, "reason": "nothing was optimised"},
            "portfolios": [],
        }
        if len(returns) < asked.training_days:
            return {**nothing, "reason": f"{len(returns)} common returns are fewer than training_days"}
        limits = _optimisation_terms(asked, terms)
        needed = returns[-(limits.training + limits.most_refits * limits.rebalance) :]
        try:
            found = await self._offload.run(optimal_portfolios, needed, holdings.weights, limits, timeout=PATIENCE)
        except DeepFinanceError as error:
            return {**nothing, "reason": f"the optimisers cannot answer now: {error.message}"}
        return {**optimisation_of(holdings, found, terms), "reason": None}

    def _data(self, assets: Sequence[Asset], first: Any) -> Json:
        now = datetime.now(UTC)
        start = np.datetime64(first, "D")
        everyone = reduce(np.union1d, (it.days[it.days >= start] for it in assets))
        return {
            it.symbol: {
                **asdict(data_report(it.bars, self._calendar.last_completed_session(it.instrument.calendar, now), now)),
                "first_bar": it.days[0].item(),
                "missing_sessions": len(everyone) - int((it.days >= start).sum()),
            }
            for it in assets
        }


def require_feasible(asked: OptimisationRequest | None, n_assets: int) -> None:
    """Raise InvalidRequest where no weights that add up to 1 keep the bounds."""
    if asked is None:
        return
    least, most = asked.min_weight * n_assets, asked.max_weight * n_assets
    if least > 1 + 1e-9:
        problem = f"{n_assets} holdings of at least {asked.min_weight:g} each make {least:g}, more than 1"
        raise InvalidRequest("no weights keep the bounds", [ErrorDetail("optimisation.min_weight", problem)])
    if most < 1 - 1e-9:
        problem = f"{n_assets} holdings of at most {asked.max_weight:g} each make {most:g}, less than 1"
        raise InvalidRequest("no weights keep the bounds", [ErrorDetail("optimisation.max_weight", problem)])


def require_one_currency(assets: Sequence[Asset], field: str) -> None:
    """Raise InvalidRequest naming every holding that is quoted otherwise than the first."""
    first = assets[0].instrument
    problems = [
        ErrorDetail(
            f"{field}.{it.symbol}",
            f"is quoted in {it.instrument.currency}, {first.symbol} in {first.currency}; nothing is converted here",
        )
        for it in assets
        if it.instrument.currency != first.currency
    ]
    if problems:
        raise InvalidRequest("the holdings are not in one currency", problems)


def holdings_of(question: PortfolioRequest, assets: Sequence[Asset]) -> tuple[Holdings, float | None]:
    """Weights and aligned prices, and the value of positions. Raises InvalidRequest or UnusableSeries."""
    days = _common(assets)
    if len(days) <= FEWEST_RETURNS:
        details = [ErrorDetail(f"{question.field}.{it.symbol}", f"{it.days[0]} to {it.days[-1]}") for it in assets]
        raise UnusableSeries(f"the holdings have {len(days)} days in common; {FEWEST_RETURNS + 1} are needed", details)
    prices = np.column_stack([it.bars.total_return_close[np.isin(it.days, days)] for it in assets])
    amounts = np.array(list((question.weights or question.positions or {}).values()))
    value = None
    if question.positions is not None:
        amounts = amounts * np.array([it.bars.close[np.searchsorted(it.days, days[-1])] for it in assets])
        value = float(amounts.sum())
    total, gross = float(amounts.sum()), float(np.abs(amounts).sum())
    if total <= 1e-6 * gross:
        problem = "must add up to more than zero, short holdings against long ones"
        raise InvalidRequest("the portfolio has no value", [ErrorDetail(question.field, problem)])
    period = min(question.period_days, len(days) - 1)
    return Holdings(question.symbols, amounts / total, days, prices, period), value


def against(holdings: Holdings, benchmark: Asset | str) -> tuple[Floats, Floats] | str:
    """Returns of portfolio and benchmark between the days of the period that both have, or why there are none."""
    if isinstance(benchmark, str):
        return benchmark
    days = holdings.days[-1 - holdings.period :]
    _, mine, theirs = np.intersect1d(days, benchmark.days, assume_unique=True, return_indices=True)
    if len(mine) < 3:
        return f"the prices of {benchmark.symbol} end on {benchmark.days[-1]} and share too few days with the period"
    prices = holdings.prices[-1 - holdings.period :][mine]
    together = (prices[1:] / prices[:-1] - 1.0) @ holdings.weights
    return together, simple_returns(benchmark.bars.total_return_close[theirs])


def _common(assets: Sequence[Asset]) -> Times:
    return reduce(np.intersect1d, (it.days for it in assets))


def _stress(shocks: Mapping[str, float] | None, holdings: Holdings, shocked: Sequence[Asset]) -> Json:
    return {
        "historical": stress_of(holdings),
        "shock": None if shocks is None else _shock(shocks, holdings, shocked),
    }


def _shock(shocks: Mapping[str, float], holdings: Holdings, shocked: Sequence[Asset]) -> Json:
    """The regression is on the days of the period that holdings and shocked symbols share, or all such days where those
    in the period are too few. Raises UnusableSeries where all are."""
    days = reduce(np.intersect1d, (holdings.days, *(it.days for it in shocked)))
    recent = days[days >= holdings.days[-1 - holdings.period]]
    days = recent if len(recent) > FEWEST_RETURNS else days
    if len(days) <= FEWEST_RETURNS:
        details = [ErrorDetail(f"shocks.{it.symbol}", f"{it.days[0]} to {it.days[-1]}") for it in shocked]
        raise UnusableSeries("what is shocked shares too few days with the holdings", details)
    columns = [holdings.prices[np.isin(holdings.days, days)]]
    columns += [it.bars.total_return_close[np.isin(it.days, days)][:, None] for it in shocked]
    prices = np.hstack(columns)
    symbols = (*holdings.symbols, *(it.symbol for it in shocked))
    return shock_of(holdings, symbols, prices[1:] / prices[:-1] - 1.0, shocks)


def _optimisation_terms(asked: OptimisationRequest, terms: Terms) -> OptimisationTerms:
    return OptimisationTerms(
        methods=tuple(dict.fromkeys(asked.methods)),
        min_weight=asked.min_weight,
        max_weight=asked.max_weight,
        cost=asked.transaction_cost,
        risk_aversion=asked.risk_aversion,
        shrunk=terms.shrunk,
        training=asked.training_days,
        rebalance=asked.rebalance_days,
    )
