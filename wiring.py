"""Everything the gateway process is made of, put together as the settings say. Imported by the gateway alone."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bentoml._internal.configuration.containers import BentoMLContainer
from pydantic import SecretStr

from contracts import Calendar, MarketData, PartHealth, SharedCache
from forecast_cache import MEMORY_BYTES, ForecastCache, Lifetimes
from forecast_risk import ServedForecasts
from forecaster import Desks, Forecaster
from gateway.answers import Answer
from gateway.cache_metrics import cache_metrics
from gateway.measurements import ForecastMetrics
from market.aside import build_aside
from market.build import build_sources
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from market.source import Source
from offload import Offload
from options_desk import OptionsDesk
from parts import Parts, traced_parts
from pipeline import Ports
from portfolio_desk import PortfolioDesk
from risk_desk import RiskDesk
from runners.coalesce import Limits
from runners.hosts import processes_of, services_of
from runners.loaded import load_set
from runners.reload import Reloader
from settings import Settings, model_set_folder
from storage.cache import MemoryCache
from storage.history.store import HistoryOptions, HistoryStore
from storage.redis_cache import RedisCache
from storage.worker_cache import WorkerCache, worker_cache_file


def build_backend(service: Any, settings: Settings) -> Forecaster:
    """Market data, calendar, models and runners. ``service`` has the runners as attributes."""
    limits = Limits(timeout=settings.runner_timeout)
    parts = _parts(service, settings)
    loaded = load_set(service, Path(service.model_set.path), limits, parts.runner)
    calendar = ExchangeCalendars(build_aside)
    calendar.warm_up()
    shared = _shared_cache(settings, parts, service.layout.workers)
    chain = SourceChain(_sources(settings, calendar, shared))
    market = parts.market(chain)
    cache = _forecast_cache(market, calendar, settings, shared, parts)
    history = parts.history(_history(settings, market))
    forecaster = Forecaster(
        Ports(market, calendar, loaded.runners, explainers=loaded.explainers, inputs=parts.inputs()),
        loaded.runners,
        loaded.model_set,
        cache,
        history,
        probes={"cache": partial(_cache_health, shared), "database": history.health},
        sets=Reloader(service, model_set_folder(), limits, parts.runner),
        processes=processes_of(service),
        metrics=ForecastMetrics(BentoMLContainer.metrics_client.get()),
        layout=service.layout,
        latest=lambda symbol, timeframe: getattr(chain.latest(symbol, timeframe), "price", None),
        gathers=parts.gathering,
        shared=shared,
    )
    forecaster.open(_desks(market, calendar, forecaster))
    return forecaster


def _parts(service: Any, settings: Settings) -> Parts:
    if settings.traces == "off":
        return Parts()
    from tracing import start_tracing  # for those who want it

    start_tracing("DeepFinance", settings.traces_sample)
    return traced_parts(remote=bool(services_of(service)))


def _desks(market: MarketData, calendar: Calendar, forecaster: Forecaster) -> Desks:
    offload = Offload()
    own = ServedForecasts(forecaster.forecast_aside, lambda: forecaster.answering)
    risk = RiskDesk(market, calendar, offload, own)
    return Desks(OptionsDesk(offload), risk, PortfolioDesk(market, calendar, offload), offload)


async def _cache_health(shared: RedisCache | WorkerCache | None) -> PartHealth:
    if shared is None:
        return PartHealth("cache", "memory", None, "REDIS_URL is not set: each worker keeps its own forecasts")
    if isinstance(shared, WorkerCache):
        how = "the workers share forecasts in a file" if shared.problem is None else shared.problem
        return PartHealth("cache", "memory", None, f"REDIS_URL is not set: {how}")
    found = await shared.health()
    return PartHealth("cache", "redis" if found.state == "ok" else "failing", found.latency_ms, found.detail)


def _history(settings: Settings, market: MarketData) -> HistoryStore:
    keep = timedelta(days=settings.history_retention_days) if settings.history_retention_days else None
    url = settings.database_url.get_secret_value() if settings.database_url else None
    return HistoryStore(HistoryOptions(settings.state_dir, url, keep, settings.settlement_interval), market)


def _shared_cache(settings: Settings, parts: Parts, workers: int) -> RedisCache | WorkerCache | None:
    """What the processes share: in Redis, or where there is none, the workers of this gateway in a file."""
    if settings.redis_url is None:
        if workers == 1:
            return None
        told = parts.looked("workers", cache_metrics().counter("workers"))
        return WorkerCache(worker_cache_file(settings.state_dir), on_get=told)
    on_get = parts.looked("redis", cache_metrics().counter("redis"))
    return RedisCache(settings.redis_url.get_secret_value(), on_get=on_get)


def _forecast_cache(
    market: MarketData, calendar: Calendar, settings: Settings, shared: SharedCache | None, parts: Parts
) -> ForecastCache:
    metrics = cache_metrics()
    lifetimes = Lifetimes(settings.prediction_cache_ttl, settings.data_cache_ttl)
    memory = MemoryCache[str, Answer](MEMORY_BYTES, on_change=metrics.gauges("memory"))
    on_get = parts.looked("memory", metrics.counter("memory"))
    return ForecastCache(market, calendar, lifetimes, memory, shared, on_get=on_get)


def _sources(settings: Settings, calendar: Calendar, shared: SharedCache | None) -> list[Source]:
    return build_sources(
        settings.providers,
        calendar,
        data_dir=settings.data_dir,
        finnhub_key=_clear(settings.finnhub_api_key),
        alpha_vantage_key=_clear(settings.alpha_vantage_api_key),
        ttl=settings.data_cache_ttl,
        shared=shared,
        addresses=settings.addresses,
    )


def _clear(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
