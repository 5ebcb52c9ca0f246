"""What the routes for those who run the service answer, as OpenAPI shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.reports import Fraction, Report


class WarmupStep(Report):
    """One thing that must work before the first request is taken."""

    name: str = Field(description="A model, or `forecast`: one made for real, from bars to answer.", examples=["lstm"])
    ready: bool = Field(description="Whether it has worked once since the start.")
    seconds: float | None = Field(description="Seconds after the start when it did.", examples=[2.1])


class WarmupReport(Report):
    """How far the start of this worker has come."""

    ready: bool = Field(description="Whether requests are taken: `forecast` has worked, and nobody asked us to stop.")
    attempts: int = Field(ge=0, description="How often a forecast was tried.", examples=[1])
    steps: list[WarmupStep] = Field(description="In the order of the models, `forecast` last.")


class MemberStatus(Report):
    """How one model does, as seen from this gateway worker since it started or since the set was loaded."""

    name: str = Field(description="Name of the model.", examples=["xgboost"])
    version: str = Field(description="Version that is loaded.")
    where: Literal["gateway", "runner"] = Field(
        description="Whether it answers in the gateway or in a process of its own."
    )
    state: Literal["ok", "away", "unused"] = Field(
        description="`away`: lost, and not back yet; requests do without it. `unused`: not asked yet."
    )
    circuit: Literal["closed", "open"] = Field(
        description="`open`: nothing is sent to it until it has answered a probe."
    )
    latency_ms: float | None = Field(description="Time of the last call that was answered, in milliseconds.")
    calls: int = Field(ge=0, description="Calls that were answered; a call carries the rows of many requests.")
    rows: int = Field(ge=0, description="Rows in them.")
    largest_call: int = Field(ge=0, description="Most rows in one of them.")
    shared_rows: int = Field(ge=0, description="Rows that were answered by a computation already under way.")
    failures: int = Field(ge=0, description="Calls that failed.")
    refused: int = Field(ge=0, description="Requests that were refused at once because it is away.")
    queued_rows: int = Field(ge=0, description="Rows that wait for a call.")
    last_error: str | None = Field(description="What the last failure was, null since it has answered again.")


class ModelsStatusReport(Report):
    """The model set in use, member by member."""

    models_version: str = Field(description="Version of the set that new requests are answered with.")
    layout: Literal["per_model", "combined", "embedded"] = Field(
        description="Where the models run: in a process each, together in one, or in the gateway's own (RUNNER_LAYOUT)."
    )
    layout_reason: str = Field(
        description="Why there.", examples=["on 2 cores it answers most: no call leaves the gateway"]
    )
    gateway_workers: int = Field(ge=1, description="Workers of this gateway (GATEWAY_WORKERS).")
    members: list[MemberStatus] = Field(description="In published order.")


class ReloadReport(Report):
    """What came of a reload."""

    status: Literal["reloaded", "unchanged"] = Field(
        description="`unchanged`: the published set is the one in use. Both mean that it is in use now."
    )
    models_version: str = Field(description="Version in use now.", examples=["20221231-f35583bbdb"])
    previous_version: str = Field(description="Version in use before.", examples=["20211231-11d0a37c52"])
    seconds: float = Field(ge=0, description="How long it took to check, load and try out the set.")


class Latency(Report):
    """Percentiles of the time until the last byte of an answer was handed over, in milliseconds."""

    p50: float | None = Field(description="Median; null where nothing was measured.", examples=[3.2])
    p95: float | None = Field(examples=[9.8])
    p99: float | None = Field(examples=[22.0])


class EndpointReport(Report):
    """One route."""

    endpoint: str = Field(
        description="Template of the route, `other` for paths that are none.", examples=["/api/v1/predict"]
    )
    requests: int = Field(ge=0, description="Requests answered.")
    client_errors: int = Field(ge=0, description="Answers from 400 to 499.")
    server_errors: int = Field(ge=0, description="Answers from 500.")
    error_rate: Fraction | None = Field(description="Share of answers from 500; null where there was none.")
    latency_ms: Latency


class CallSizes(Report):
    """Calls to one model."""

    model: str = Field(examples=["xgboost"])
    calls: int = Field(ge=0, description="Calls that were answered.")
    rows_per_call: float | None = Field(
        description="Mean number of rows in a call: more than 1 is what batching gains."
    )
    failures: int = Field(ge=0, description="Calls that failed.")
    latency_ms: Latency


class CacheUse(Report):
    """One layer of the forecast cache."""

    layer: str = Field(description="`hot`, `memory`, `workers` (what they share) or `redis`.", examples=["memory"])
    hits: int = Field(ge=0)
    misses: int = Field(ge=0)
    errors: int = Field(ge=0, description="Look-ups that the cache could not answer.")
    hit_rate: Fraction | None = Field(description="Hits as a share of look-ups; null where there was none.")


class ProcessMemory(Report):
    """Memory of one process of the service."""

    process: str = Field(description="What it serves; `supervisor` keeps the others.", examples=["LstmRunner"])
    megabytes: float = Field(ge=0, description="In units of 1,000,000 bytes.", examples=[96.4])


class MemoryReport(Report):
    """Memory of the processes."""

    megabytes: float = Field(ge=0, description="All processes together.")
    kind: Literal["pss", "rss"] = Field(
        description="`pss`: pages that processes share are counted once. `rss`: they are counted in each, as "
        "the system does not tell."
    )
    processes: list[ProcessMemory]


class PerformanceReport(Report):
    """Everything measured since the start of the service, over all of its gateway workers."""

    uptime_seconds: float = Field(ge=0, description="Seconds since the service was started.")
    percentile_error: Fraction = Field(
        description="Percentiles come from histograms; they are off by no more than this fraction of themselves."
    )
    endpoints: list[EndpointReport] = Field(description="The busiest first.")
    forecasts: dict[str, int] = Field(
        description="Forecasts computed by result: `ok`, `degraded`, or the code of the error.", examples=[{"ok": 12}]
    )
    models: list[CallSizes]
    cache: list[CacheUse]
    memory: MemoryReport


class PerformanceSummary(Report):
    """The same in a few numbers. Probes and documentation are not counted among the requests."""

    uptime_seconds: float = Field(ge=0)
    requests: int = Field(ge=0)
    error_rate: Fraction | None = Field(description="Share of answers from 500; null where there was none.")
    latency_ms: Latency = Field(description="Of forecasts: /predict and /predict/batch.")
    forecasts: int = Field(ge=0, description="Forecasts computed.")
    degraded: int = Field(ge=0, description="Of them, those that a model is missing from.")
    cache_hit_rate: Fraction | None = Field(description="Forecasts given from a cache, as a share of those asked for.")
    memory_megabytes: float = Field(ge=0, description="All processes together.")
