"""What the service keeps: every forecast that it computed, once, and what it says of symbols without any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts import Forecast, ForecastRequest
from errors import HistoryUnavailable, SourceUnavailable, UnknownSymbol
from forecaster import Forecaster
from market.bundled import BundledSource
from market.chain import SourceChain
from pipeline import Ports
from records import HistoryPage, HistoryQuery, ScoreQuery
from runners.coalesce import CoalescingRunner, Limits
from runners.model_set import load_model_set
from storage.history.store import HistoryOptions, HistoryStore
from tests.service.test_forecaster import CALENDAR, Models
from tests.storage.history.making import until


@pytest.fixture
def options(tmp_path: Path) -> HistoryOptions:
    return HistoryOptions(tmp_path)


def made_with(model_set: Path, options: HistoryOptions | None) -> Forecaster:
    models, published, market = Models(model_set), load_model_set(model_set), SourceChain([BundledSource()])
    runners = {
        spec.name: CoalescingRunner(spec, published.grid, models.call(spec.name), Limits(timeout=30.0))
        for spec in published.members
    }
    history = None if options is None else HistoryStore(options, market)
    return Forecaster(Ports(market, CALENDAR, runners), runners, published, history=history)


@pytest.fixture
async def service(model_set: Path, options: HistoryOptions) -> AsyncIterator[Forecaster]:
    started = made_with(model_set, options)
    await started.warm_up()
    yield started
    await started.close()


async def entries(service: Forecaster, symbol: str, count: int) -> HistoryPage:
    async def are_there() -> bool:
        return len((await service.history(HistoryQuery(symbol, 200))).entries) >= count

    await until(are_there)
    return await service.history(HistoryQuery(symbol, 200))


async def test_what_is_computed_is_kept_once(service: Forecaster):
    asked = [
        ForecastRequest("XOM", 5),
        ForecastRequest("XOM", 20),
        ForecastRequest("NOSUCH"),
        ForecastRequest("XOM", 5),
    ]
    made = [each for each in await service.forecast(asked) if isinstance(each, Forecast)]
    page = await entries(service, "XOM", 2)
    assert {entry.record.forecast_id for entry in page.entries} == {each.forecast_id for each in made}
    assert len(page.entries) == 2
    assert {entry.state for entry in page.entries} == {"pending"}


async def test_a_forecast_that_nobody_asked_for_is_not_kept(service: Forecaster):
    await asyncio.sleep(0.5)  # it forecast something to see whether it works
    for symbol in ("AAPL", "MSFT"):
        assert (await service.history(HistoryQuery(symbol))).entries == ()


async def test_a_known_symbol_without_forecasts_has_an_empty_history(service: Forecaster):
    assert await service.history(HistoryQuery("KO")) == HistoryPage((), None)


async def test_a_symbol_that_no_source_knows_is_unknown(service: Forecaster):
    with pytest.raises(UnknownSymbol):
        await service.history(HistoryQuery("NOSUCH"))


async def test_a_source_that_is_away_does_not_make_a_symbol_unknown(
    service: Forecaster, monkeypatch: pytest.MonkeyPatch
):
    async def away(*_: object) -> None:
        raise SourceUnavailable("no source answers")

    monkeypatch.setattr(SourceChain, "bars", away)
    assert await service.history(HistoryQuery("KO")) == HistoryPage((), None)


async def test_scores_are_those_of_the_published_set_unless_another_is_named(service: Forecaster, model_set: Path):
    assert (await service.live_scores(ScoreQuery())).models_version == load_model_set(model_set).version
    assert (await service.live_scores(ScoreQuery("older"))).models_version == "older"


async def test_what_was_forecast_last_is_there_after_a_restart(model_set: Path, options: HistoryOptions):
    first = made_with(model_set, options)
    await first.warm_up()
    (made,) = await first.forecast([ForecastRequest("XOM", 7)])
    await first.close()
    again = made_with(model_set, options)
    await again.warm_up()
    page = await entries(again, "XOM", 1)
    assert [entry.record.forecast_id for entry in page.entries] == [made.forecast_id]
    await again.close()


async def test_what_was_forecast_is_written_also_when_another_part_ends_badly(
    model_set: Path, options: HistoryOptions, monkeypatch: pytest.MonkeyPatch
):
    service = made_with(model_set, options)
    await service.warm_up()
    await service.forecast([ForecastRequest("XOM", 7)])

    async def broken() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(service._ports.market, "close", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        await service.close()
    again = made_with(model_set, options)
    await entries(again, "XOM", 1)
    await again.close()


async def test_without_a_history_it_says_so(model_set: Path):
    service = made_with(model_set, None)
    with pytest.raises(HistoryUnavailable):
        await service.history(HistoryQuery("AAPL"))
    await service.close()
