"""What the service answers, field by field. Made by client/generate.py from its OpenAPI description: do not edit."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import Field

from deepfinance_client.body import Body


class FieldProblem(Body):
    """One offending field."""

    field: str
    """Where it is."""
    problem: str
    """What is wrong with it."""


class ErrorInfo(Body):
    """What went wrong."""

    code: str
    """For programs."""
    message: str
    """For people."""
    details: list[FieldProblem]
    """The fields that are wrong, if any."""
    request_id: str
    """The same as in the header X-Request-ID."""


class BatchError(Body):
    """An item that was not."""

    status: int
    """Status it would have had on its own."""
    error: ErrorInfo


class Breakdown(Body):
    """Four fractions that explain the confidence; 1 is best. They do not enter it."""

    model_agreement: float | None
    """How far the models agree; null where there is one model."""
    historical_skill: float | None
    """Measured skill at this horizon; null where none was measured."""
    data_quality: float
    """Share of the sessions in the input window that have a checked bar."""
    regime: float
    """How ordinary current volatility is."""


class DroppedBar(Body):
    """A bar that was not used, or that looks odd and was."""

    time: str
    """Date, or ISO 8601 time."""
    problem: str
    """What is wrong with it."""


class DataBody(Body):
    """The prices the forecast was made from."""

    provider: str
    """Source of the bars."""
    last_bar: datetime.date
    """Date of the newest bar."""
    stale: bool
    """True when a newer session has closed, or the source cannot renew the bars now."""
    bars: int
    """Number of bars."""
    fingerprint: str
    """Hash of the bars."""
    dropped: list[DroppedBar] = Field([])
    """Bars that were not used, and why."""
    age_seconds: float | None = None
    """Seconds since a live source gave the bars; null for bars of no live source."""
    suspicious: list[DroppedBar] = Field([])
    """Bars that look odd and were used, and why."""


class EvidenceBody(Body):
    """What the out-of-sample evaluation measured for this horizon. Null where nothing was measured."""

    coverage: float | None
    """Share of outcomes that fell inside the interval."""
    samples: int
    """Number of forecasts it was measured on."""
    skill_vs_random_walk: float | None
    """1 - loss / loss of the random walk (pinball). Positive is better than the random walk."""
    p_value: float | None
    """Two-sided p-value of that difference, robust to overlap."""
    beats_random_walk: bool
    """True only where the difference is significant."""
    window: tuple[datetime.date, datetime.date] | None
    """First and last date of the evaluation."""
    scope: str
    """In words, what was measured, or why nothing was."""
    up_share: float | None = None
    """Share of outcomes that went up."""
    direction_accuracy: float | None = None
    """Share of signs that were right."""
    direction_p_value: float | None = None
    """p-value of beating both the base rate in Brier score and always-up in calls."""
    direction_edge: bool = False
    """True where it is told better both ways, with significance."""


class LayerBody(Body):
    """Attention of one layer, averaged over its heads."""

    layer: int
    """1 is the first."""
    mean: list[float]
    """Weight of each patch, averaged over the rows of `weights`."""
    weights: list[list[float]]
    """Row i: how much patch i reads of each patch. Every row adds up to 1."""


class PatchBody(Body):
    """Neighbouring bars that the network reads as one."""

    first: datetime.date
    """Date of its oldest bar."""
    last: datetime.date
    """Date of its newest bar."""


class AttentionBody(Body):
    """What the attention network read: the weights it computed for this forecast."""

    model: str
    """Name of the model."""
    patches: list[PatchBody]
    """The patches of its window, oldest first."""
    layers: list[LayerBody]
    """The layers, first to last."""
    method: str
    """What the weights are and are not, in words."""


class EffectBody(Body):
    """What one part adds. The parts of an explanation add up to its `total`."""

    median_z: float
    """To the median return, in units of current volatility times sqrt(horizon)."""
    width_z: float
    """To the width of the 90 % interval, in the same units."""
    median_price: float
    """To the median price, in `currency`."""
    width_price: float
    """To the width of the 90 % interval, in `currency`."""


class FeatureEffectBody(Body):
    """One input and its effect."""

    feature: str
    """Name of the input."""
    value: float
    """Its value at `as_of`; of `horizon`, the bars ahead."""
    effect: EffectBody


class TreeBody(Body):
    """The answer of the tree model in parts: `base`, `features` and `calibration` add up to `total` exactly."""

    model: str
    """Name of the model."""
    weight: float
    """Its weight in the forecast; 0 if it has no part in it."""
    base: EffectBody
    """Its mean answer in training, before it looks at any input."""
    features: list[FeatureEffectBody]
    """Every input, the largest effect first."""
    calibration: EffectBody | None
    """What calibration adds; null where the model has no part in the forecast."""
    total: EffectBody
    """From the current price to the model's own `price_target` in `members`, and its own interval."""
    method: str
    """How it was worked out, in words."""


class ExplanationBody(Body):
    """Why the models say what they say. Nothing here is estimated or made up afterwards."""

    tree: TreeBody | None
    """Null where there is none; `missing` says why."""
    attention: AttentionBody | None
    """Null where there is none; `missing` says why."""
    missing: dict[str, str]
    """Why there is no `tree` or `attention`, by that name."""


class Interval(Body):
    """Where the price at the target date should lie."""

    confidence_level: float
    """Share of outcomes it is meant to cover."""
    lower: float
    """Lower bound, a price."""
    upper: float
    """Upper bound, a price."""


class Member(Body):
    """What one model said."""

    model: str
    """Name of the model."""
    version: str
    """Version of the model."""
    weight: float
    """Weight used, a fraction; 0 for a model that failed."""
    price_target: float | None
    """Its own median price, null if it failed."""
    status: Literal["ok", "failed", "left_out"]
    """`failed`: no answer, the rest carry its weight. `left_out`: the bars lack what it needs."""
    error: str | None = None
    """Why there is no answer, in words."""
    note: str | None = None
    """What else to know of this model, in words."""


class Prediction(Body):
    """The forecast in a few numbers."""

    price_target: float
    """Median price at the target date."""
    expected_return: float
    """Simple return from current price to target, a fraction: 0.01 is one per cent up."""
    direction: Literal["bullish", "bearish", "neutral"]
    """`neutral` where the measured evidence says that the sign cannot be told."""
    probability_up: float
    """Calibrated probability that the price will be above the current one."""
    confidence: float
    """Calibrated probability that `direction` is right, 0.5 to 1."""


class Step(Body):
    """One bar of the way to the target."""

    step: int
    """Bars ahead of `as_of`, from 1."""
    date: datetime.date
    """Trading day of the asset's exchange."""
    median: float
    """Median price."""
    lower: float
    """Lower bound at the asked confidence level."""
    upper: float
    """Upper bound at the asked confidence level."""


class PredictResponse(Body):
    """A forecast with the evidence for it. Prices are in `currency`; returns are fractions."""

    forecast_id: str
    """Identifies this forecast; a cached answer keeps it."""
    symbol: str
    """Symbol that was forecast."""
    timeframe: Literal["1d", "1h"]
    """Length of a bar."""
    as_of: datetime.date
    """Date of the newest bar used."""
    current_price: float
    """Close of that bar."""
    currency: str | None
    """ISO 4217 code; null where no source gives one."""
    horizon: int
    """Bars ahead."""
    target_date: datetime.date
    """Trading day `horizon` bars after `as_of`."""
    prediction: Prediction
    interval: Interval
    quantiles: dict[str, float]
    """Price at each quantile level; the level is the key."""
    path: list[Step]
    """Every bar up to the target."""
    members: list[Member]
    """Every chosen model."""
    confidence_breakdown: Breakdown
    evidence: EvidenceBody
    data: DataBody
    models_version: str
    """Version of the model set."""
    degraded: list[str]
    """Models that failed (interval and evidence are those of the rest), and `source:` with the name of each data
    source that could not answer (`data.provider` is who did)."""
    cached: bool
    """True when the same forecast was made before and is given again."""
    notes: list[str] = Field([])
    """Remarks that belong to this forecast, in words."""
    explanation: ExplanationBody | None = None
    """Only where `explain` asked for it."""


class BatchForecast(Body):
    """An item that was answered."""

    status: Literal[200]
    """Status it would have had on its own."""
    forecast: PredictResponse


class BatchResponse(Body):
    """One result per request, in the same order."""

    results: list[BatchForecast | BatchError]
    """For each request, its forecast or its own error."""
    count: int
    """Number of requests."""
    succeeded: int
    """Number of forecasts among the results."""
    failed: int
    """Number of errors among the results."""


class ErrorBody(Body):
    """The one shape of every error."""

    error: ErrorInfo


class CacheCheck(Body):
    """The cache, where there is one."""

    state: Literal["memory", "redis", "failing"]
    """Which layer answers at the moment."""
    latency_ms: float | None = None
    """Time of the last probe, in milliseconds."""
    detail: str | None = None
    """Why it is failing, in words."""


class DatabaseCheck(Body):
    """Where forecasts are kept."""

    state: str
    """`sqlite` or `postgresql` where it answers; `failing`: forecasts are made and wait to be stored."""
    latency_ms: float | None = None
    """Time of the last probe, in milliseconds."""
    detail: str | None = None
    """What else to know, in words."""


class RunnerCheck(Body):
    """One model runner."""

    name: str
    """Model name, as in `models` of a forecast request."""
    state: Literal["ok", "failing"]
    """`ok` when the last probe was answered."""
    version: str | None = None
    """Version of the model behind the runner."""
    latency_ms: float | None = None
    """Time of the last probe, in milliseconds."""
    detail: str | None = None
    """Why it is failing, in words."""


class SourceCheck(Body):
    """One data source, in the order in which they are tried."""

    name: str
    """Name of the source."""
    state: Literal["ok", "failing", "open", "half_open", "unused"]
    """`unused` when it has not been asked yet, `open` when it failed and is left alone for a while, `half_open`
    when it is being tried again."""
    latency_ms: float | None = None
    """Time of the last answer, in milliseconds."""
    detail: str | None = None
    """Why it is failing, in words."""


class HealthChecks(Body):
    """Everything a forecast depends on."""

    runners: list[RunnerCheck]
    """Every model runner."""
    sources: list[SourceCheck]
    """Every data source."""
    cache: CacheCheck | None = None
    """Null when there is no cache."""
    database: DatabaseCheck | None = None
    """Null when no history is kept."""


class HealthDown(Body):
    """The report when no forecast can be made: the error shape, with the checks beside it."""

    checks: HealthChecks
    models_version: str | None
    """Version of the loaded model set."""
    uptime_seconds: float
    """Seconds since the service started."""
    status: Literal["ok", "degraded", "down"]
    """`ok`: everything answers. `degraded`: forecasts are made, but something is missing. `down`: none can be
    made."""
    error: ErrorInfo


class HealthReport(Body):
    """Whether forecasts can be made, and what that was read from."""

    checks: HealthChecks
    models_version: str | None
    """Version of the loaded model set."""
    uptime_seconds: float
    """Seconds since the service started."""
    status: Literal["ok", "degraded", "down"]
    """`ok`: everything answers. `degraded`: forecasts are made, but something is missing. `down`: none can be
    made."""


class StoredInterval(Body):
    """The interval as it was given."""

    confidence_level: float
    """Share of outcomes that it was meant to cover."""
    lower: float
    """Its lower end."""
    upper: float
    """Its upper end."""


class StoredMember(Body):
    """One model's part in a stored forecast."""

    model: str
    """Name of the model."""
    version: str
    """Version of the model."""
    weight: float
    """Weight that was used; 0 for one that failed or was left out."""
    price_target: float | None
    """Its own target, null where it did not answer."""
    status: str
    """`ok`, `failed` or `left_out`."""
    error: float | None
    """Realised minus forecast, as a fraction of `current_price`; null until settled."""


class StoredForecast(Body):
    """A forecast as it was made and, once its target date is over, how it came out."""

    forecast_id: str
    """Name of the forecast, as in the answer that gave it."""
    symbol: str
    """Symbol of the asset."""
    timeframe: str
    """Length of a bar."""
    as_of: datetime.date
    """Date of the bar that it was made from."""
    made_at: datetime.datetime
    """When it was computed, UTC."""
    horizon: int
    """Bars ahead."""
    target_date: datetime.date
    """The day that it is about."""
    current_price: float
    """Price at `as_of`."""
    currency: str | None
    """ISO 4217 code of the prices."""
    price_target: float
    """Median of the price at the target date."""
    expected_return: float
    """`price_target / current_price - 1`."""
    direction: str
    """`bullish`, `bearish` or `neutral`."""
    probability_up: float
    """Probability that the price rises."""
    confidence: float
    """Probability that the likelier sign is right."""
    interval: StoredInterval
    quantiles: dict[str, float]
    """Price by quantile level."""
    members: list[StoredMember]
    """The models, in published order."""
    models_version: str
    """Version of the model set."""
    provider: str
    """Source of the bars."""
    fingerprint: str
    """Hash of the bars that it was made from."""
    degraded: list[str]
    """Models that should have answered and did not."""
    state: Literal["pending", "settled", "unsettleable"]
    """`pending`: no bar of the target date yet. `unsettleable`: there will be none; `reason` says why."""
    reason: str | None = None
    """Why it will not be settled."""
    settled_at: datetime.datetime | None
    """When the outcome was filled in, UTC."""
    realised_date: datetime.date | None
    """The bar that it is compared with: of the target date, or the next one where that has none."""
    bars_ahead: int | None
    """Bars between `as_of` and `realised_date`; `horizon` as a rule."""
    realised_price: float | None
    """`current_price` times the change of the adjusted closes since: in the scale of `as_of`, whatever was split
    since, dividends included as in the forecast."""
    realised_return: float | None
    """`realised_price / current_price - 1`."""
    error: float | None
    """Realised minus forecast, as a fraction of `current_price`; null until settled."""
    inside_interval: bool | None
    """Whether the realised price lies in `interval`, ends included."""
    pinball: float | None
    """Mean quantile loss of `quantiles`, of log returns."""
    pinball_random_walk: float | None
    """The same of the quantiles of all returns over that horizon that were known at `as_of`."""


class HistoryReport(Body):
    """One page of a symbol's forecasts, newest first."""

    symbol: str
    """Symbol of the asset."""
    forecasts: list[StoredForecast]
    """Newest first. Empty where none was made."""
    next_cursor: str | None
    """Value of `cursor` for the next page, null on the last one."""


class ImpliedVolatilityAnswer(Body):
    """The volatility at which a contract has its price."""

    implied_volatility: float | None
    """Volatility a year, a fraction; null where there is none."""
    reason: str | None
    """Why there is none; null where there is one."""
    lower_bound: float
    """What the contract is worth without volatility."""
    upper_bound: float
    """What no volatility makes it worth."""
    method: str
    """How it was computed."""


class RefusedContract(Body):
    """A contract of a chain that is not valid, or that could not be computed."""

    status: int
    """Status it would have had on its own."""
    error: ErrorInfo


class SolvedContract(Body):
    """A contract of a chain that was solved for, or that has no volatility."""

    implied_volatility: float | None
    """Volatility a year, a fraction; null where there is none."""
    reason: str | None
    """Why there is none; null where there is one."""
    lower_bound: float
    """What the contract is worth without volatility."""
    upper_bound: float
    """What no volatility makes it worth."""
    method: str
    """How it was computed."""
    status: Literal[200]
    """Status it would have had on its own."""


class ImpliedVolatilityChainResponse(Body):
    """One result for each contract, in the same order."""

    results: list[SolvedContract | RefusedContract]
    """Volatility, or the contract's own error."""


class LiveScoreRow(Body):
    """What one model scored at one horizon. Errors are fractions of the price; null where nothing was
    measured."""

    model: str
    """`ensemble`, or a member."""
    members: list[str]
    """Who had a weight in the ensemble; empty for a member."""
    horizon: int
    """Bars ahead."""
    n: int
    """Outcomes: each day of a symbol once, however often it was forecast."""
    symbols: int
    """Symbols among them."""
    first: datetime.date
    """First `as_of` among them."""
    last: datetime.date
    """Last `as_of` among them."""
    mean_error: float
    """Mean of realised minus forecast: above 0 where forecasts were too low."""
    absolute_error: float
    """Mean absolute error of the target."""
    absolute_error_random_walk: float
    """That of saying that the price does not change."""
    skill_vs_no_change: float | None
    """1 - `absolute_error / absolute_error_random_walk`: positive is better than no change."""
    coverage_50: float | None
    """Share inside the central 50 % interval."""
    coverage_90: float | None
    """Share inside the central 90 % interval."""
    pinball: float | None
    """Mean quantile loss, of log returns, where the random walk's is known."""
    pinball_random_walk: float | None
    """That of the quantiles of the symbol's own past at each `as_of`."""
    skill_vs_random_walk: float | None
    """1 - `pinball / pinball_random_walk`."""
    note: str | None
    """What a reader must know of this row."""


class LiveScoreboard(Body):
    """Running scores of the forecasts that this service made, as their outcomes come in."""

    models_version: str
    """The model set that made them."""
    symbol: str | None
    """The symbol, null for all of them pooled."""
    rows: list[LiveScoreRow]
    """By horizon; the ensembles first, then the members."""
    notes: list[str]
    """How to read them."""


class MemberReport(Body):
    """One published model."""

    name: str
    """Name to use in `models` and `weights`."""
    version: str
    """Version of the model."""
    kind: str
    """How it is stored."""
    sha256: str
    """Hash of the artefact, hexadecimal."""
    weights: list[float]
    """Published weight at each of `horizons` for shares with closes alone, a fraction. All zero for a model that
    is used only where it is named."""
    weights_by_kind: dict[str, list[float]] = Field({})
    """The same for each kind of series: of the stock market or not, with ranges or without."""
    training_window: tuple[datetime.date, datetime.date] | None
    """First and last bar it learned from."""
    scores: dict[str, Any]
    """By kind of series and window: skill against EWMA of the model alone, and what it adds to the ensemble with
    its t, at each horizon, as measured when it was published; fractions."""


class ModelsReport(Body):
    """The published model set."""

    models_version: str
    """Version of the whole set; it is in every forecast."""
    feature_fingerprint: str
    """Fingerprint of the features that the models were trained on."""
    timeframes: list[str]
    """Bar lengths it can forecast."""
    horizons: list[int]
    """Horizons the models answer directly; those between are interpolated."""
    quantile_levels: list[float]
    """Quantile levels the models answer directly."""
    members: list[MemberReport]
    """The models, in published order."""
    scores: dict[str, Any]
    """Out-of-sample scores of the ensemble, as measured."""


class MemberStatus(Body):
    """How one model does, as seen from this gateway worker since it started or since the set was loaded."""

    name: str
    """Name of the model."""
    version: str
    """Version that is loaded."""
    where: Literal["gateway", "runner"]
    """Whether it answers in the gateway or in a process of its own."""
    state: Literal["ok", "away", "unused"]
    """`away`: lost, and not back yet; requests do without it. `unused`: not asked yet."""
    circuit: Literal["closed", "open"]
    """`open`: nothing is sent to it until it has answered a probe."""
    latency_ms: float | None
    """Time of the last call that was answered, in milliseconds."""
    calls: int
    """Calls that were answered; a call carries the rows of many requests."""
    rows: int
    """Rows in them."""
    largest_call: int
    """Most rows in one of them."""
    shared_rows: int
    """Rows that were answered by a computation already under way."""
    failures: int
    """Calls that failed."""
    refused: int
    """Requests that were refused at once because it is away."""
    queued_rows: int
    """Rows that wait for a call."""
    last_error: str | None
    """What the last failure was, null since it has answered again."""


class ModelsStatusReport(Body):
    """The model set in use, member by member."""

    models_version: str
    """Version of the set that new requests are answered with."""
    layout: Literal["per_model", "combined", "embedded"]
    """Where the models run: in a process each, together in one, or in the gateway's own (RUNNER_LAYOUT)."""
    layout_reason: str
    """Why there."""
    gateway_workers: int
    """Workers of this gateway (GATEWAY_WORKERS)."""
    members: list[MemberStatus]
    """In published order."""


class Greeks(Body):
    """Derivatives of the price, for one option on one unit of the asset. Null where the price has a kink."""

    delta: float | None
    """Per unit of `spot`."""
    gamma: float | None
    """Per unit of `spot`, of delta."""
    vega: float | None
    """Per 1.00 of `volatility`; a hundredth of it per percentage point."""
    theta: float | None
    """Per year that passes; negative where the option loses value."""
    theta_per_day: float | None
    """Per calendar day that passes, theta / 365."""
    rho: float | None
    """Per 1.00 of `rate`; a hundredth of it per percentage point."""


class PricedContract(Body):
    """A contract of a chain that was priced."""

    price: float
    """Of an option on one unit of the asset, in the currency of `spot`."""
    greeks: Greeks
    method: str
    """How it was computed, with the accuracy of what is not in closed form."""
    unavailable: dict[str, str]
    """For every Greek that is null, why."""
    status: Literal[200]
    """Status it would have had on its own."""


class OptionChainResponse(Body):
    """One result for each contract, in the same order."""

    results: list[PricedContract | RefusedContract]
    """Price, or the contract's own error."""


class OptionPrice(Body):
    """What a contract is worth."""

    price: float
    """Of an option on one unit of the asset, in the currency of `spot`."""
    greeks: Greeks
    method: str
    """How it was computed, with the accuracy of what is not in closed form."""
    unavailable: dict[str, str]
    """For every Greek that is null, why."""


class CacheUse(Body):
    """One layer of the forecast cache."""

    layer: str
    """`hot`, `memory`, `workers` (what they share) or `redis`."""
    hits: int
    misses: int
    errors: int
    """Look-ups that the cache could not answer."""
    hit_rate: float | None
    """Hits as a share of look-ups; null where there was none."""


class Latency(Body):
    """Percentiles of the time until the last byte of an answer was handed over, in milliseconds."""

    p50: float | None
    """Median; null where nothing was measured."""
    p95: float | None
    p99: float | None


class CallSizes(Body):
    """Calls to one model."""

    model: str
    calls: int
    """Calls that were answered."""
    rows_per_call: float | None
    """Mean number of rows in a call: more than 1 is what batching gains."""
    failures: int
    """Calls that failed."""
    latency_ms: Latency


class EndpointReport(Body):
    """One route."""

    endpoint: str
    """Template of the route, `other` for paths that are none."""
    requests: int
    """Requests answered."""
    client_errors: int
    """Answers from 400 to 499."""
    server_errors: int
    """Answers from 500."""
    error_rate: float | None
    """Share of answers from 500; null where there was none."""
    latency_ms: Latency


class ProcessMemory(Body):
    """Memory of one process of the service."""

    process: str
    """What it serves; `supervisor` keeps the others."""
    megabytes: float
    """In units of 1,000,000 bytes."""


class MemoryReport(Body):
    """Memory of the processes."""

    megabytes: float
    """All processes together."""
    kind: Literal["pss", "rss"]
    """`pss`: pages that processes share are counted once. `rss`: they are counted in each, as the system does not
    tell."""
    processes: list[ProcessMemory]


class PerformanceReport(Body):
    """Everything measured since the start of the service, over all of its gateway workers."""

    uptime_seconds: float
    """Seconds since the service was started."""
    percentile_error: float
    """Percentiles come from histograms; they are off by no more than this fraction of themselves."""
    endpoints: list[EndpointReport]
    """The busiest first."""
    forecasts: dict[str, int]
    """Forecasts computed by result: `ok`, `degraded`, or the code of the error."""
    models: list[CallSizes]
    cache: list[CacheUse]
    memory: MemoryReport


class PerformanceSummary(Body):
    """The same in a few numbers. Probes and documentation are not counted among the requests."""

    uptime_seconds: float
    requests: int
    error_rate: float | None
    """Share of answers from 500; null where there was none."""
    latency_ms: Latency
    """Of forecasts: /predict and /predict/batch."""
    forecasts: int
    """Forecasts computed."""
    degraded: int
    """Of them, those that a model is missing from."""
    cache_hit_rate: float | None
    """Forecasts given from a cache, as a share of those asked for."""
    memory_megabytes: float
    """All processes together."""


class CorrelationBody(Body):
    """Correlation of returns; null for a holding that does not vary."""

    symbols: list[str]
    """Names of rows and columns."""
    matrix: list[list[float | None]]


class CovarianceBody(Body):
    """Covariance of returns, a year."""

    method: Literal["sample", "ledoit_wolf"]
    shrinkage: float | None
    """Share of the target, 0 to 1; null for the sample."""
    symbols: list[str]
    """Names of rows and columns."""
    annual: list[list[float | None]]


class HoldingData(Body):
    """The prices of one holding."""

    provider: str
    """Source of the bars."""
    last_bar: datetime.date
    """Date of the newest bar."""
    stale: bool
    """True when a newer session has closed, or the source cannot renew the bars now."""
    bars: int
    """Number of bars."""
    fingerprint: str
    """Hash of the bars."""
    dropped: list[DroppedBar] = Field([])
    """Bars that were not used, and why."""
    age_seconds: float | None = None
    """Seconds since a live source gave the bars; null for bars of no live source."""
    suspicious: list[DroppedBar] = Field([])
    """Bars that look odd and were used, and why."""
    first_bar: datetime.date
    """Date of the oldest bar."""
    missing_sessions: int
    """Days of the period on which another holding has a price and this one has not."""


class WalkBody(Body):
    """Figures after costs, all of days after the fit."""

    total_return: float | None
    annual_return: float | None
    annual_volatility: float | None
    sharpe: float | None
    max_drawdown: float | None
    turnover: float | None
    """Mean of what is bought and sold at a refit after the first; 2 is all."""
    unavailable: dict[str, str]
    """Why each null beside it is null."""


class OptimalPortfolio(Body):
    """One way to choose weights."""

    method: (
        Literal["minimum_variance", "risk_parity", "maximum_diversification", "mean_cvar", "hierarchical_risk_parity"]
        | Literal["equal_weight", "current"]
    )
    weights: dict[str, float] | None
    """To hold now; null where the solver found none."""
    trade: float | None
    """What would be bought and sold to get there, as a fraction of the value."""
    out_of_sample: WalkBody | None
    reason: str | None
    """Why there are no weights or no walk."""


class WalkSpan(Body):
    """The days that all walks were measured on."""

    first: datetime.date | None
    last: datetime.date | None
    refits: int
    reason: str | None
    """Why there is no walk."""


class OptimisationBody(Body):
    """Optimal portfolios beside equal weights and today's own."""

    out_of_sample: WalkSpan
    portfolios: list[OptimalPortfolio]
    reason: str | None
    """Why there are none."""


class PeriodBody(Body):
    """What was measured."""

    first: datetime.date
    """Day of the first price."""
    last: datetime.date
    """Day of the last price."""
    returns: int
    """Number of returns."""


class PortfolioMeasures(Body):
    """At fixed weights over the period. Null where it cannot be computed; `unavailable` says why."""

    total_return: float | None
    """Compounded over the period."""
    annual_return: float | None
    """Compound annual growth rate."""
    annual_volatility: float | None
    """Sample standard deviation (n - 1), a year."""
    sharpe: float | None
    """Mean excess return over its standard deviation, annualised."""
    max_drawdown: float | None
    """Largest loss from a high, 0 or negative."""
    diversification_ratio: float | None
    """Mean volatility of the holdings over the portfolio's."""
    volatility_sample: float | None
    """From the sample covariance, a year."""
    volatility_ledoit_wolf: float | None
    """From the Ledoit-Wolf covariance, a year."""
    beta: float | None
    """Slope against the benchmark's excess returns."""
    correlation: float | None
    """With the benchmark, -1 to 1."""
    tracking_error: float | None
    """Standard deviation of the difference of returns, a year."""
    information_ratio: float | None
    """Mean difference over the tracking error, annualised."""


class PartBody(Body):
    """What one holding adds to a total."""

    component: float
    """Weight * marginal; all components add up to the total."""
    marginal: float
    """Change of the total per 1.00 of weight."""
    share: float | None
    """Component over total, null where the total is 0."""


class TailPartsBody(Body):
    """What each holding adds to both."""

    value_at_risk: dict[str, PartBody]
    expected_shortfall: dict[str, PartBody]


class PortfolioTail(Body):
    """Value at risk and expected shortfall of one method at one level, positive fractions of the value."""

    method: Literal["historical", "gaussian"]
    confidence_level: float
    value_at_risk: float | None
    expected_shortfall: float | None
    contributions: TailPartsBody | None
    reason: str | None
    """Why there is none."""


class ReplayBody(Body):
    """Today's weights bought before a crisis and held through it."""

    name: str
    first: datetime.date
    last: datetime.date
    return_: float | None = Field(..., alias="return")
    """Of the whole window."""
    max_drawdown: float | None
    """Deepest fall within it, negative."""
    worst_day: float | None
    """Lowest return of one session."""
    contributions: dict[str, float] | None
    """What each holding adds to the return."""
    reason: str | None
    """Why there is none, such as no prices so long ago."""


class ShockBody(Body):
    """What the shocks that you set would do."""

    shocks: dict[str, float]
    return_: float = Field(..., alias="return")
    """Of the portfolio."""
    moves: dict[str, float]
    """Return of each holding: as set, or by regression on what is set."""
    contributions: dict[str, float]
    """What each holding adds to the return."""
    returns: int
    """Returns that the regression rests on."""


class StressBody(Body):
    """Stress tests with today's weights."""

    historical: list[ReplayBody]
    shock: ShockBody | None
    """Null where no shocks were sent."""


class VolatilityBody(Body):
    """Volatility a year, and what each holding adds to it."""

    annual: float | None
    contributions: dict[str, PartBody] | None
    reason: str | None
    """Why there is none."""


class PortfolioResponse(Body):
    """Risk of a portfolio, what each holding adds to it, stress tests and optimal weights."""

    as_of: datetime.date
    """Last session that all holdings have."""
    currency: str | None
    """Of all holdings."""
    period: PeriodBody
    periods_per_year: float
    """Sessions a year of the holdings' exchange."""
    weights: dict[str, float]
    """Adding up to 1."""
    value: float | None
    """Value of the positions; null where weights were sent."""
    gross_exposure: float
    """Sum of the weights' sizes: 1 without short holdings."""
    benchmark: str | None
    """Symbol of the benchmark."""
    measures: PortfolioMeasures
    unavailable: dict[str, str]
    """Why each null beside it is null."""
    volatility: VolatilityBody
    value_at_risk: list[PortfolioTail]
    covariance: CovarianceBody
    correlation: CorrelationBody
    stress: StressBody
    optimisation: OptimisationBody | None
    """Null where it was not asked for."""
    data: dict[str, HoldingData]
    notes: list[str]


class ReloadReport(Body):
    """What came of a reload."""

    status: Literal["reloaded", "unchanged"]
    """`unchanged`: the published set is the one in use. Both mean that it is in use now."""
    models_version: str
    """Version in use now."""
    previous_version: str
    """Version in use before."""
    seconds: float
    """How long it took to check, load and try out the set."""


class LongestDrawdown(Body):
    """The longest time without a new high."""

    periods: int
    """Trading days, or periods."""
    start: datetime.date | int
    """The high before it: date, or number of returns before it."""
    end: datetime.date | int
    """When it was reached again, or the end of the period."""
    is_over: bool
    """False where the high has not been reached again."""


class DrawdownBody(Body):
    """The deepest drawdown, and the longest."""

    depth: float
    """A fraction, negative."""
    peak: datetime.date | int
    """The high before the fall."""
    trough: datetime.date | int
    """The lowest point."""
    recovery: datetime.date | int | None
    """When the high was reached again, null if it was not."""
    periods_to_trough: int
    longest: LongestDrawdown
    unavailable: dict[str, str]
    """Why each null beside it is null."""


class Measures(Body):
    """Fractions unless said otherwise. Null where it cannot be computed; `unavailable` says why."""

    total_return: float | None
    """Compounded over the period."""
    annual_return: float | None
    """Compound annual growth rate."""
    annual_volatility: float | None
    """Sample standard deviation (n - 1), a year."""
    ewma_volatility: float | None
    """RiskMetrics, decay 0.94, of the next period, a year."""
    garch_volatility: float | None
    """GARCH(1,1) with Student t, of the next period, a year."""
    downside_deviation: float | None
    """Root mean square shortfall below the risk-free rate, a year."""
    sharpe: float | None
    """Mean excess return over its standard deviation, annualised."""
    sortino: float | None
    """Mean excess return over the downside deviation, annualised."""
    calmar: float | None
    """Annual return over the size of the maximum drawdown."""
    omega: float | None
    """Gains over losses, relative to the risk-free rate."""
    tail_ratio: float | None
    """Size of the 95th percentile over that of the 5th."""
    skew: float | None
    """Third standardised moment; 0 if symmetric."""
    kurtosis: float | None
    """Fourth standardised moment less 3; 0 if normal."""
    max_drawdown: float | None
    """Largest loss from a high, 0 or negative."""
    beta: float | None
    """Slope against the benchmark's excess returns."""
    alpha: float | None
    """Jensen's, compounded to a year."""
    correlation: float | None
    """With the benchmark, -1 to 1."""
    tracking_error: float | None
    """Standard deviation of the difference of returns, a year."""
    information_ratio: float | None
    """Mean difference over the tracking error, annualised."""
    up_capture: float | None
    """Annual return while the benchmark rose, over its own."""
    down_capture: float | None
    """The same while it fell; below 1 loses less."""


class RiskLevelBody(Body):
    """How risky, in a word."""

    level: Literal["low", "moderate", "high", "very high"]
    rule: str
    """What it was read from."""


class LikelihoodRatioBody(Body):
    """A likelihood ratio test."""

    statistic: float
    p_value: float
    """Chance of at least this if the method is right."""


class TrafficLightBody(Body):
    """Basel's zones, by the binomial distribution."""

    zone: Literal["green", "yellow", "red"]
    days: int
    """Last tested days that were counted, 250 at most."""
    exceedances: int
    multiplier: float | None
    """Of the capital requirement; only for 0.99 and 250 days."""
    unavailable: dict[str, str]
    """Why each null beside it is null."""


class BacktestBody(Body):
    """The method over one period, rolling over the days asked about, each estimate made without knowing its day
    or a later one."""

    verdict: str
    """In words."""
    passes: bool | None
    """Whether no test rejects it at 0.05."""
    days: int
    """Days it was tested on."""
    window: int
    """Returns behind each estimate, at least."""
    scope: str
    """What the estimates knew, in words. Forecasts are tested out of sample alone: on days later than those that
    the models were fitted and calibrated on, at most the last 1,250 of those asked about."""
    first: datetime.date | int
    last: datetime.date | int
    exceedances: int
    """Losses beyond the value at risk."""
    expected: float
    """How many there should be."""
    kupiec: LikelihoodRatioBody | None
    """Are there as many as there should be? (1995)"""
    independence: LikelihoodRatioBody | None
    """Do they come one by one? (Christoffersen, 1998)"""
    conditional_coverage: LikelihoodRatioBody | None
    """Both at once (Christoffersen, 1998)."""
    traffic_light: TrafficLightBody
    dates: list[datetime.date | int]
    """When."""
    unavailable: dict[str, str]
    """Why each null beside it is null."""


class ValueAtRiskBody(Body):
    """One method at one level. Losses are positive fractions of the holding's value."""

    method: Literal[
        "historical", "gaussian", "gaussian_ewma", "cornish_fisher", "filtered_historical", "gjr_filtered", "forecast"
    ]
    definition: str
    """How it is estimated, and how it reaches over several periods."""
    confidence_level: float
    horizon: int
    value_at_risk: float | None
    """Loss that is exceeded with probability 1 - confidence_level."""
    expected_shortfall: float | None
    """Mean of the losses at least that large."""
    backtest: BacktestBody | None
    unavailable: dict[str, str]
    """Why each null beside it is null."""


class ReturnsResponse(Body):
    """The same of returns that were sent; places are numbers of returns."""

    periods_per_year: float
    """What annual figures were annualised with."""
    measures: Measures
    drawdown: DrawdownBody | None
    value_at_risk: list[ValueAtRiskBody]
    risk_level: RiskLevelBody | None
    unavailable: dict[str, str]
    """Why each null beside it is null."""
    returns: int
    """Returns that were sent."""


class BenchmarkBody(Body):
    """What it was measured against."""

    symbol: str
    first: datetime.date
    """First and last date on which both have a price in the period."""
    last: datetime.date
    returns: int
    """Returns between dates in the period that both have."""


class Period(Body):
    """What was measured."""

    first: datetime.date
    """Date of the price before the first return."""
    last: datetime.date
    returns: int


class RiskResponse(Body):
    """One asset. Simple returns as fractions; losses are positive in value at risk and expected shortfall."""

    periods_per_year: float
    """What annual figures were annualised with."""
    measures: Measures
    drawdown: DrawdownBody | None
    value_at_risk: list[ValueAtRiskBody]
    risk_level: RiskLevelBody | None
    unavailable: dict[str, str]
    """Why each null beside it is null."""
    symbol: str
    as_of: datetime.date
    """Date of the newest bar."""
    period: Period
    benchmark: BenchmarkBody | None
    notes: list[str] = Field([])
    """Remarks, in words."""
    data: DataBody


class ScoreRow(Body):
    """One horizon. Fractions, not percent; losses and widths are log returns; null where nothing was measured."""

    horizon: int
    """Bars ahead."""
    n: int
    """Forecasts whose outcome is known, over all symbols."""
    pinball: float | None = None
    """Mean quantile loss over the levels 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95."""
    skill_vs_random_walk: float | None = None
    """1 - pinball loss / pinball loss of the symbol's own unconditional quantiles: positive is better. Null where
    it was not measured."""
    t_vs_random_walk: float | None = None
    """Diebold-Mariano statistic of that difference: clustered by day, Newey-West with `horizon` lags."""
    skill_vs_ewma: float | None = None
    """1 - pinball loss / pinball loss of a normal with RiskMetrics volatility: positive is better. Null where it
    was not measured."""
    t_vs_ewma: float | None = None
    """Diebold-Mariano statistic of that difference: clustered by day, Newey-West with `horizon` lags."""
    skill_vs_garch: float | None = None
    """1 - pinball loss / pinball loss of GARCH(1,1) with Student t, fitted to the symbol: positive is better.
    Null where it was not measured."""
    t_vs_garch: float | None = None
    """Diebold-Mariano statistic of that difference: clustered by day, Newey-West with `horizon` lags."""
    skill_vs_gjr: float | None = None
    """1 - pinball loss / pinball loss of GJR-GARCH(1,1) with Student t, fitted to the symbol: positive is better.
    Null where it was not measured."""
    t_vs_gjr: float | None = None
    """Diebold-Mariano statistic of that difference: clustered by day, Newey-West with `horizon` lags."""
    skill_vs_fhs: float | None = None
    """1 - pinball loss / pinball loss of filtered historical simulation: positive is better. Null where it was
    not measured."""
    t_vs_fhs: float | None = None
    """Diebold-Mariano statistic of that difference: clustered by day, Newey-West with `horizon` lags."""
    coverage_50: float | None = None
    """Share of the outcomes inside the central 50 % interval."""
    coverage_80: float | None = None
    """Share of the outcomes inside the central 80 % interval."""
    coverage_90: float | None = None
    """Share of the outcomes inside the central 90 % interval."""
    coverage_95: float | None = None
    """Share of the outcomes inside the central 95 % interval."""
    coverage_99: float | None = None
    """Share of the outcomes inside the central 99 % interval."""
    width_90: float | None = None
    """Mean width of the 90 % interval, a log return."""
    direction: float | None = None
    """Share of the signs that were called right."""
    direction_se: float | None = None
    """Standard error of that share."""
    always_up: float | None = None
    """The share that were rises."""
    brier: float | None = None
    """Mean squared error of `probability_up`."""
    brier_gain: float | None = None
    """1 - Brier score / Brier score of the share of rises before the window."""
    ece: float | None = None
    """Expected calibration error of `confidence`, ten bins."""


class ClassScores(Body):
    """What was measured for one kind of asset."""

    scope: str
    """What was measured, in words: symbols and window."""
    window: tuple[datetime.date, datetime.date]
    """First and last origin."""
    rows: list[ScoreRow]
    """A row a horizon."""


class ScoreboardReport(Body):
    """Out-of-sample scores of the published model set."""

    models_version: str
    """Version of the whole set; it is in every forecast."""
    windows: dict[str, tuple[datetime.date, datetime.date]]
    """What members, then weights and calibration were fitted on, and what the scores were measured on. An outcome
    lies inside its window."""
    by_asset_class: dict[str, ClassScores]
    """Scores of each kind of asset that was measured: `equity`, `index`, `crypto`, `currency`."""
    definitions: dict[str, str]
    """What each number of a row means."""


class SymbolDetail(Body):
    """A symbol with the state of its bars."""

    symbol: str
    """Symbol to use in a forecast request."""
    name: str | None
    """Name, null where no source gives one."""
    exchange: str | None
    """Exchange, null where no source gives one."""
    currency: str | None
    """ISO 4217 code of the prices."""
    calendar: str
    """Exchange calendar that target dates follow."""
    asset_class: Literal["equity", "index", "crypto", "currency"]
    """Kind of asset."""
    provider: str
    """Source of the bars."""
    first_bar: datetime.date
    """Date of the oldest bar."""
    last_bar: datetime.date
    """Date of the newest bar."""
    bars: int
    """Number of bars."""
    stale: bool
    """True when a newer session of the exchange has closed."""


class SymbolReport(Body):
    """What is known about a symbol."""

    symbol: str
    """Symbol to use in a forecast request."""
    name: str | None
    """Name, null where no source gives one."""
    exchange: str | None
    """Exchange, null where no source gives one."""
    currency: str | None
    """ISO 4217 code of the prices."""
    calendar: str
    """Exchange calendar that target dates follow."""
    asset_class: Literal["equity", "index", "crypto", "currency"]
    """Kind of asset."""


class SymbolPage(Body):
    """One page of a search."""

    symbols: list[SymbolReport]
    """The symbols, in alphabetical order."""
    total: int
    """Number of symbols that match, on all pages."""
    next_cursor: str | None
    """Value of `cursor` for the next page, null on the last one."""


class WarmupStep(Body):
    """One thing that must work before the first request is taken."""

    name: str
    """A model, or `forecast`: one made for real, from bars to answer."""
    ready: bool
    """Whether it has worked once since the start."""
    seconds: float | None
    """Seconds after the start when it did."""


class WarmupReport(Body):
    """How far the start of this worker has come."""

    ready: bool
    """Whether requests are taken: `forecast` has worked, and nobody asked us to stop."""
    attempts: int
    """How often a forecast was tried."""
    steps: list[WarmupStep]
    """In the order of the models, `forecast` last."""
