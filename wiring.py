"""Everything the gateway process is made of, put together as the settings say. Imported by the gateway alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from contracts import Calendar, MarketData, SharedCache
from forecast_cache import MEMORY_BYTES, ForecastCache, Lifetimes
from forecaster import Forecaster
from gateway.answers import Answer
from gateway.cache_metrics import cache_metrics
from market.aside import build_aside
from market.build import build_sources
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from market.source import Source
from pipeline import Ports
from runners.coalesce import CoalescingRunner, Limits
from runners.hosts import call_of, explainers_of
from runners.metrics import rows_per_call
from runners.model_set import load_model_set
from settings import Settings
from storage.cache import MemoryCache
from storage.redis_cache import RedisCache


def build_backend(service: Any, settings: Settings) -> Forecaster:
    """Market data, calendar, models and runners. ``service`` has the runners as attributes."""
    folder = Path(service.model_set.path)
    model_set = load_model_set(folder)
    limits = Limits(timeout=settings.runner_timeout)
    runners = {
        spec.name: CoalescingRunner(
            spec, model_set.grid, call_of(service, spec, folder), limits, rows_per_call(spec.name)
        )
        for spec in model_set.members
    }
    calendar = ExchangeCalendars(build_aside)
    calendar.warm_up()
    shared = _shared_cache(settings)
    market = SourceChain(_sources(settings, calendar, shared))
    explainers = explainers_of(service, model_set.names, settings.runner_timeout)
    cache = _forecast_cache(market, calendar, settings, shared)
    return Forecaster(Ports(market, calendar, runners, explainers=explainers), runners, model_set, cache)


def _shared_cache(settings: Settings) -> RedisCache | None:
    """What the processes share, where there is a Redis."""
    if settings.redis_url is None:
        return None
    return RedisCache(settings.redis_url.get_secret_value(), on_get=cache_metrics().counter("redis"))


def _forecast_cache(
    market: MarketData, calendar: Calendar, settings: Settings, shared: SharedCache | None
) -> ForecastCache:
    metrics = cache_metrics()
    lifetimes = Lifetimes(settings.prediction_cache_ttl, settings.data_cache_ttl)
    memory = MemoryCache[str, Answer](MEMORY_BYTES, on_change=metrics.gauges("memory"))
    return ForecastCache(market, calendar, lifetimes, memory, shared, on_get=metrics.counter("memory"))


def _sources(settings: Settings, calendar: Calendar, shared: SharedCache | None) -> list[Source]:
    return build_sources(
        settings.providers,
        calendar,
        data_dir=settings.data_dir,
        finnhub_key=_clear(settings.finnhub_api_key),
        alpha_vantage_key=_clear(settings.alpha_vantage_api_key),
        ttl=settings.data_cache_ttl,
        shared=shared,
    )


def _clear(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
