"""`make bulk`: forecasts for a file of symbols, through the code that serves, without a server."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import Progress

from contracts import Bars, ForecastRequest, Instrument, MarketData, ModelSet
from engine.base import Engine
from engine.chosen import chosen_engine
from errors import DeepFinanceError
from market.build import build_sources
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from pipeline import Outcome, Series
from runners.artefact import verify_model_set
from runners.model_set import load_model_set
from settings import load_settings, model_set_folder
from training.bulk_table import FORMATS, read_requests, request_of, row_of, write_rows
from training.given import Batch, Forecasting
from training.predictions import packed_members
from training.progress import CONSOLE, say

SERIES_A_BATCH = 16


def forecast_bulk(
    requests: Sequence[ForecastRequest], market: MarketData, model_set: ModelSet, folder: Path, engine: Engine
) -> list[Outcome]:
    """One forecast or error a request, in order. Prices are read here, a few series ahead of the forecasts."""
    groups = _groups(requests)
    members = packed_members(model_set.members, model_set.grid, folder)
    with Progress(*Progress.get_default_columns(), console=CONSOLE) as progress:
        bar = progress.add_task("forecasting", total=len(requests))

        def tick(name: str, outcomes: Sequence[Outcome]) -> None:
            progress.advance(bar, len(outcomes))

        batches = _batches(requests, groups, market)
        found = engine.run(Forecasting(members, model_set, datetime.now(UTC)), batches, tick)
    placed = {row: outcome for name, rows in groups.items() for row, outcome in zip(rows, found[name], strict=True)}
    return [placed[row] for row in range(len(requests))]


def _groups(requests: Sequence[ForecastRequest]) -> dict[str, list[int]]:
    """Places of requests by the name of their batch: all of a series together, whose past is replayed once."""
    places: dict[Series, list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault((request.symbol, request.timeframe), []).append(place)
    series = list(places)
    return {
        f"batch {start // SERIES_A_BATCH + 1}": [
            place for each in series[start : start + SERIES_A_BATCH] for place in places[each]
        ]
        for start in range(0, len(series), SERIES_A_BATCH)
    }


def _batches(
    requests: Sequence[ForecastRequest], groups: Mapping[str, Sequence[int]], market: MarketData
) -> Iterator[tuple[str, Batch]]:
    """Each with its prices when it is its turn."""
    with asyncio.Runner() as runner:
        try:
            for name, places in groups.items():
                yield name, runner.run(_batch([requests[place] for place in places], market))
        finally:
            runner.run(market.close())


async def _batch(requests: Sequence[ForecastRequest], market: MarketData) -> Batch:
    wanted = list(dict.fromkeys((request.symbol, request.timeframe) for request in requests))
    found = await asyncio.gather(*(_bars(series, market) for series in wanted))
    instruments = {symbol: _instrument(symbol, market) for symbol, _ in wanted}
    return Batch(requests, dict(zip(wanted, found, strict=True)), instruments)


async def _bars(series: Series, market: MarketData) -> Bars | DeepFinanceError:
    try:
        return await market.bars(*series)
    except DeepFinanceError as error:
        return error


def _instrument(symbol: str, market: MarketData) -> Instrument | DeepFinanceError:
    try:
        return market.instrument(symbol)
    except DeepFinanceError as error:
        return error


def main() -> int:
    """0 when every row has its forecast or its own error; 1 where none could be made."""
    options = _options()
    try:
        usual = request_of(options.usual, ForecastRequest(""), "the options")
        requests = read_requests(options.symbols, usual)
        verify_model_set(options.model_set)
        model_set = load_model_set(options.model_set)
        outcomes = forecast_bulk(requests, _market(), model_set, options.model_set, chosen_engine())
    except DeepFinanceError as error:
        say(error.message)
        return 1
    write_rows([row_of(*pair) for pair in zip(requests, outcomes, strict=True)], options.out)
    _tell(outcomes, options.out)
    return 0


def _market() -> MarketData:
    """The sources that the service would ask, in its order."""
    settings = load_settings(serves=False)
    keys = {name: getattr(settings, f"{name}_api_key") for name in ("finnhub", "alpha_vantage")}
    clear = {f"{name}_key": None if key is None else key.get_secret_value() for name, key in keys.items()}
    sources = build_sources(
        settings.providers,
        ExchangeCalendars(),
        data_dir=settings.data_dir,
        ttl=settings.data_cache_ttl,
        addresses=settings.addresses,
        **clear,
    )
    return SourceChain(sources)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bulk ARGS=...", description=__doc__)
    parser.add_argument(
        "--symbols",
        type=Path,
        required=True,
        help="CSV with a column symbol; horizon, timeframe, models and "
        "confidence_level may stand beside it and win over the options",
    )
    parser.add_argument("--out", type=Path, required=True, help="FILE.parquet or FILE.csv, a row a row")
    parser.add_argument("--overwrite", action="store_true", help="replace the file that is there")
    for name in ("horizon", "timeframe", "models", "confidence-level"):
        parser.add_argument(f"--{name}", help="of rows that do not say it")
    parser.add_argument("--model-set", type=Path, default=model_set_folder(), help="folder of the model set")
    options = parser.parse_args()
    if options.out.suffix not in FORMATS:
        parser.error(f"--out should end in {' or '.join(FORMATS)}")
    if not options.out.parent.is_dir():
        parser.error(f"the folder {options.out.parent} does not exist")
    if options.out.exists() and not options.overwrite:
        parser.error(f"{options.out} exists; say --overwrite to replace it")
    given = {name: getattr(options, name) for name in ("horizon", "timeframe", "models", "confidence_level")}
    options.usual = {name: text for name, text in given.items() if text}
    return options


def _tell(outcomes: Sequence[Outcome], path: Path) -> None:
    errors = Counter(each.code for each in outcomes if isinstance(each, DeepFinanceError))
    counted = "".join(f", {count} {code}" for code, count in errors.most_common())
    say(f"{path}: {len(outcomes) - errors.total()} forecasts{counted}")


if __name__ == "__main__":
    sys.exit(main())
