"""What the settings name is what is built, and what it does is counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from errors import SourceUnavailable
from market.build import ADDRESSES, build_sources
from market.calendars import ExchangeCalendars
from market.chain import SourceChain

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = dict.fromkeys(ADDRESSES, "http://127.0.0.1:9")


def test_sources_come_in_the_order_asked_for(tmp_path):
    names = ["binance", "bundled", "alpha_vantage", "files", "yahoo", "finnhub"]
    sources = build_sources(
        names, ExchangeCalendars(), data_dir=tmp_path, finnhub_key="a", alpha_vantage_key="b", addresses=NOWHERE
    )
    assert [source.name for source in sources] == names


@pytest.mark.parametrize("name", ["files", "finnhub", "alpha_vantage", "bloomberg"])
def test_a_source_that_cannot_be_built_is_a_mistake(name):
    with pytest.raises(ValueError, match=name):
        build_sources([name], ExchangeCalendars())


async def test_calls_failures_and_the_breaker_are_counted():
    def value(name, **labels):
        return REGISTRY.get_sample_value(name, {"source": "binance", **labels}) or 0

    before = value("deepfinance_source_calls_total", outcome="faulty")
    chain = SourceChain(build_sources(["binance"], ExchangeCalendars(), addresses=NOWHERE))
    with pytest.raises(SourceUnavailable):
        await chain.bars("BTC-USD", "1d")
    assert value("deepfinance_source_calls_total", outcome="faulty") == before + 2
    assert value("deepfinance_source_call_seconds_count") >= 2
    assert value("deepfinance_source_breaker_state") == 2
    await chain.close()


def test_the_sources_bring_no_pandas_and_no_metrics_library_before_they_are_used():
    """Metrics belong to a process whose directory is set after the import; pandas would cost 90 MB."""
    code = "import sys, market.build, market.chain; sys.exit(bool({'pandas', 'prometheus_client'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
