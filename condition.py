"""How the parts of the service do, each asked for a second at most: what health and status routes tell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from contracts import HealthProbe, MarketData, PartHealth
from gateway.operations_reports import MemberStatus, ModelsStatusReport
from gateway.reports import CacheCheck, DatabaseCheck, HealthChecks, RunnerCheck, SourceCheck
from runners.coalesce import CoalescingRunner
from runners.layout import Layout
from runners.probe import Probe
from serving import Serving

log = logging.getLogger("deepfinance.service")

PROBE_WITHIN = 1.0
"""Seconds that a part has to say how it does."""


async def health_checks(serving: Serving, probes: Mapping[str, HealthProbe]) -> HealthChecks:
    """Runners, sources and, as far as there is a probe of that name, ``cache`` and ``database``."""
    runners, sources, cache, database = await asyncio.gather(
        serving.prober.probes(),
        _source_checks(serving.ports.market),
        _part("cache", probes),
        _part("database", probes),
    )
    return HealthChecks(
        runners=[_runner_check(probe) for probe in runners],
        sources=sources,
        cache=cache and CacheCheck.model_validate(_checked(cache)),
        database=database and DatabaseCheck.model_validate(_checked(database)),
    )


def models_status(serving: Serving, layout: Layout) -> ModelsStatusReport:
    """What happened to each member since the start."""
    members = [_member_status(runner, layout) for runner in serving.runners.values()]
    return ModelsStatusReport(
        models_version=serving.model_set.version,
        layout=layout.name,
        layout_reason=layout.reason,
        gateway_workers=layout.workers,
        members=members,
    )


async def _source_checks(market: MarketData) -> Sequence[SourceCheck]:
    try:
        found = await asyncio.wait_for(market.health(), PROBE_WITHIN)
    except Exception as error:
        log.warning("the sources cannot say how they do: %r", error)
        return [SourceCheck(name="sources", state="failing", latency_ms=None, detail="no answer from the sources")]
    return [SourceCheck(name=it.name, state=it.state, latency_ms=it.latency_ms, detail=it.detail) for it in found]


async def _part(name: str, probes: Mapping[str, HealthProbe]) -> PartHealth | None:
    if name not in probes:
        return None
    try:
        return await asyncio.wait_for(probes[name](), PROBE_WITHIN)
    except TimeoutError:
        return PartHealth(name, "failing", None, f"no answer within {PROBE_WITHIN:g} s")
    except Exception as error:
        log.warning("the probe of the %s failed: %r", name, error)
        return PartHealth(name, "failing", None, "the probe failed")


def _runner_check(probe: Probe) -> RunnerCheck:
    return RunnerCheck(
        name=probe.name,
        state="ok" if probe.ok else "failing",
        version=probe.version,
        latency_ms=None if probe.latency is None else probe.latency * 1000,
        detail=probe.problem,
    )


def _checked(part: PartHealth) -> dict[str, object]:
    return {"state": part.state, "latency_ms": part.latency_ms, "detail": part.detail}


def _member_status(runner: CoalescingRunner, layout: Layout) -> MemberStatus:
    counters = runner.counters
    state: Literal["ok", "away", "unused"] = "away" if runner.is_away else "ok" if counters.calls else "unused"
    return MemberStatus(
        name=runner.spec.name,
        version=runner.spec.version,
        where="gateway" if runner.spec.in_process or layout.name == "embedded" else "runner",
        state=state,
        circuit="open" if runner.is_away else "closed",
        latency_ms=None if counters.last_latency is None else counters.last_latency * 1000,
        calls=counters.calls,
        rows=counters.rows,
        largest_call=counters.largest_call,
        shared_rows=counters.shared_rows,
        failures=counters.failures,
        refused=counters.refused,
        queued_rows=runner.queued_rows,
        last_error=counters.last_error,
    )
