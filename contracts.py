"""The nouns: frozen records and the ports between the folders. Imports nothing of ours but errors.

Axes are named in every docstring: n_bars (oldest first), n_rows (one per series), n_features, n_steps,
n_channels, n_horizons, n_levels. Returns are log returns, rates are fractions, times are UTC.
``z`` is a return in units of current volatility: r_h / (sigma * sqrt(h)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from typing import Literal, Protocol, TypeVar, dataclass_transform

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.intp]
Times = NDArray[np.datetime64]

Timeframe = Literal["1d", "1h"]

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True)
def record(cls: type[Record]) -> type[Record]:
    """A dataclass that an answer is made of, thirty a forecast: frozen for the type checker alone.

    What a frozen class does at run time is four fifths of the time that making one takes; and of a class without slots
    orjson writes the attributes as they lie, of one with slots it looks each up.
    """
    return dataclass(cls)


class AssetClass(StrEnum):
    """What kind of asset a symbol is; calendars, calibration and evidence depend on it."""

    EQUITY = "equity"
    INDEX = "index"
    CRYPTO = "crypto"
    CURRENCY = "currency"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is known about a symbol. ``name`` is None where no source gives one; nothing is guessed but the
    exchange calendar, which follows from the symbol's suffix (see market/calendars.py)."""

    symbol: str
    asset_class: AssetClass
    calendar: str
    currency: str | None
    exchange: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class BarIssue:
    """Something found wrong in the prices on the way in; ``problem`` starts with ``dropped:``, ``kept:`` or
    ``ignored:`` and says what was done about it."""

    time: str
    problem: str


@dataclass(frozen=True, eq=False)
class Bars:
    """Checked prices of one symbol, oldest first, strictly increasing in time.

    ``times``, ``close`` and, where the source has them, ``open``, ``high``, ``low``, ``adj_close``,
    ``volume`` all have shape (n_bars,). Prices are positive and finite; volume is not negative.
    ``adj_close`` is adjusted for splits and dividends. Build through ``market.quality.checked_bars``.

    ``fetched_at`` (aware, UTC) is when a source behind a network gave them. ``skipped`` names the sources that come
    before ``provider`` and could not tell; where it names ``provider`` itself, these are its last good bars, which it
    cannot renew now. Neither is part of ``fingerprint``.
    """

    symbol: str
    timeframe: Timeframe
    times: Times
    close: Floats
    provider: str
    open: Floats | None = None
    high: Floats | None = None
    low: Floats | None = None
    adj_close: Floats | None = None
    volume: Floats | None = None
    issues: tuple[BarIssue, ...] = ()
    fingerprint: str = ""
    fetched_at: datetime | None = None
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("times", "close", "open", "high", "low", "adj_close", "volume"):
            column = getattr(self, name)
            if column is not None:
                column.setflags(write=False)
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", _bars_fingerprint(self))

    def __len__(self) -> int:
        return len(self.close)

    @property
    def total_return_close(self) -> Floats:
        """(n_bars,) the closes that returns are taken from: adjusted where the source adjusts, else as traded."""
        return self.close if self.adj_close is None else self.adj_close

    @property
    def is_last_good(self) -> bool:
        """Whether the source that gave them cannot renew them now."""
        return self.provider in self.skipped

    def day(self, index: int) -> date:
        """Of one bar."""
        found: date = self.times[index].astype("datetime64[D]").item()
        return found

    @cached_property
    def last_day(self) -> date:
        """Of the newest bar: what a forecast is as of."""
        return self.day(-1)

    @cached_property
    def has_ranges(self) -> bool:
        """Whether open, high, low and volume are all there: what the members that use ranges need."""
        return all(column is not None for column in (self.open, self.high, self.low, self.volume))


def _bars_fingerprint(bars: Bars) -> str:
    """sha256 over symbol, timeframe and every column: the same prices give the same name, whoever served them."""
    digest = hashlib.sha256(f"{bars.symbol}|{bars.timeframe}|".encode())
    digest.update(np.ascontiguousarray(bars.times).astype("datetime64[s]").tobytes())
    for name in ("open", "high", "low", "close", "adj_close", "volume"):
        column = getattr(bars, name)
        digest.update(name.encode())
        if column is not None:
            digest.update(np.ascontiguousarray(column, dtype=np.float64).tobytes())
    return f"sha256:{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class FeatureMatrix:
    """Model inputs, one row per series at its last bar (or, in training, one row per chosen bar).

    ``tabular`` (n_rows, n_features) and ``windows`` (n_rows, n_steps, n_channels) hold no NaN; neither does
    ``ranges`` (n_rows, n_range_features), from open, high, low and volume, which is None without them;
    ``sigma`` (n_rows,) is the current volatility of one bar's log return, always positive.
    ``regime`` (n_rows,) is log(short volatility / long volatility), the state that confidence looks at.
    """

    tabular: Floats32
    windows: Floats32
    sigma: Floats
    regime: Floats
    ranges: Floats32 | None = None

    def __len__(self) -> int:
        return len(self.sigma)

    def take(self, rows: Ints) -> FeatureMatrix:
        """The same for the rows at these positions."""
        ranges = None if self.ranges is None else self.ranges[rows]
        return FeatureMatrix(self.tabular[rows], self.windows[rows], self.sigma[rows], self.regime[rows], ranges)

    def row(self, index: int) -> FeatureMatrix:
        """One row, copied: it keeps no other alive."""
        return self.take(np.array([index]))

    @staticmethod
    def joined(parts: Sequence[FeatureMatrix]) -> FeatureMatrix:
        """The rows of all parts, in order; all parts have ranges or none has."""
        if len(parts) == 1:
            return parts[0]
        ranges = [part.ranges for part in parts if part.ranges is not None]
        return FeatureMatrix(
            np.concatenate([part.tabular for part in parts]),
            np.concatenate([part.windows for part in parts]),
            np.concatenate([part.sigma for part in parts]),
            np.concatenate([part.regime for part in parts]),
            np.concatenate(ranges) if ranges else None,
        )

    def rows_for(self, takes: MemberInput) -> Floats32:
        """(n_rows, row_width) as a member takes them; ``tabular`` comes first in all three."""
        if takes == "tabular":
            return self.tabular
        if takes == "flat":
            return np.concatenate(
                [self.tabular, self.windows.reshape(len(self), self.windows.shape[1] * self.windows.shape[2])], axis=1
            )
        if self.ranges is None:
            raise ValueError("these series have no open, high, low and volume")
        return np.concatenate([self.tabular, self.ranges], axis=1)


MemberInput = Literal["tabular", "flat", "ranges"]
MemberKind = Literal["xgboost", "onnx", "linear", "garch"]
IN_PROCESS: frozenset[MemberKind] = frozenset({"linear", "garch"})
"""Kinds that are a few dozen multiplications and need no runner process."""


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """One published model: its file in the set, which rows it takes, and how wide one is.

    ``fitted`` says to what: ``pooled`` is to the training symbols together, once, never to a symbol in a request."""

    name: str
    version: str
    file: str
    sha256: str
    kind: MemberKind
    takes: MemberInput
    row_width: int
    fitted: str = "pooled"

    @property
    def in_process(self) -> bool:
        """Whether it answers inside the gateway, and so still does when every runner process is dead."""
        return self.kind in IN_PROCESS

    def fits(self, has_ranges: bool) -> bool:
        """Whether bars with, or without, open, high, low and volume carry what this member needs."""
        return has_ranges or self.takes != "ranges"


@dataclass(frozen=True, slots=True)
class Grid:
    """Horizons (bars ahead, increasing) and quantile levels (increasing, symmetric about 0.5) every member answers."""

    horizons: tuple[int, ...]
    levels: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.horizons), len(self.levels)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted on data later than training, for series of one kind.

    ``weights`` (n_members, n_horizons) are the published ones, each column sums to one; a member that the kind of
    series cannot feed, or that adds nothing, has weight zero. ``offsets`` (n_subsets, n_horizons, n_levels) are z
    offsets for the subsets of members in ``masks`` (n_subsets,), each member alone among them (ModelSet.mask).
    ``direction`` (n_steps, 2) are intercept and slope
    of the logistic recalibration of the probability of a rise, for horizons 1 to n_steps. ``regime`` (n_points,)
    are evenly spaced quantiles, smallest first, of FeatureMatrix.regime in the calibration window. Where ``drift``
    is 0 the median is moved to the current price: the drift of the training shares is not assumed of anything else.
    ``rates`` (2,) are those of the correction by recent outcomes (ensemble/online.py).
    """

    weights: Floats
    masks: Floats
    offsets: Floats
    direction: Floats
    regime: Floats
    drift: Floats
    rates: Floats


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """What the evaluation measured on data later than calibration, for one asset class and horizons 1 to n_steps.

    ``masks`` (n_subsets,) are the subsets of members that were measured (ModelSet.mask). ``coverage``
    (n_subsets, n_steps, n_cover) is the share of outcomes inside the central interval at each of
    ``cover_levels`` (n_cover,); ``skill`` and ``p_value`` (n_subsets, n_steps) are against the random walk;
    ``samples``, ``up_share``, ``accuracy``, ``direction_p_value`` and ``direction_skill`` (n_steps,) belong to
    the first subset, all members with weight. ``direction_skill`` is the smaller of the gain in Brier score over the
    base rate and in right calls over always-up, ``direction_p_value`` the larger of their p-values. ``scope`` says in
    words what was measured, ``window`` are the first origin and the last outcome.
    """

    masks: Floats
    cover_levels: Floats
    coverage: Floats
    skill: Floats
    p_value: Floats
    samples: Floats
    up_share: Floats
    accuracy: Floats
    direction_skill: Floats
    direction_p_value: Floats
    scope: str
    window: tuple[date, date]


@dataclass(frozen=True, slots=True, eq=False)
class ModelSet:
    """Members, weights, calibration and evidence: trained, evaluated and published as one versioned unit.

    ``calibration`` is keyed by kind of series (see ``kind_of``), ``evidence`` by asset class. ``manifest`` is the
    published manifest.json, for those who want to read it all.
    """

    version: str
    grid: Grid
    members: tuple[MemberSpec, ...]
    calibration: Mapping[str, Calibration]
    evidence: Mapping[str, EvidenceTable]
    manifest: Mapping[str, object]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.members)

    def weighted(self, kind: str) -> tuple[str, ...]:
        """The members that answer for this kind of series unless the caller names others, in published order."""
        weights = self.calibration[kind].weights
        return tuple(member.name for member, row in zip(self.members, weights, strict=True) if row.any())

    def witnesses(self, kind: str) -> tuple[str, ...]:
        """Whose past forecasts say how a series of this kind is to be corrected (ensemble/online.py), whoever answers:
        the linear members, which cost next to nothing to replay and cannot fail; of a set without any, those with a
        weight."""
        has_ranges = kind.endswith(RANGED)
        linear = tuple(member.name for member in self.members if member.kind == "linear" and member.fits(has_ranges))
        return linear or self.weighted(kind)

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """Who answers when none of the members with a weight does: the statistical ones, which need no process."""
        return tuple(member.name for member in self.members if member.kind == "garch")

    def mask(self, names: Collection[str]) -> int:
        """A set of members as a number: member i is bit i."""
        return sum(1 << i for i, member in enumerate(self.members) if member.name in names)


RANGED = " with ranges"


def kind_of(asset_class: AssetClass, has_ranges: bool) -> str:
    """Series that share weights and calibration: stock market or not, with open, high, low and volume or without."""
    market = "stocks" if asset_class in (AssetClass.EQUITY, AssetClass.INDEX) else "others"
    return market + RANGED if has_ranges else market


@dataclass(frozen=True, slots=True)
class ForecastRequest:
    """A validated request. ``weights`` is None for the published ones; ``models`` is in published order."""

    symbol: str
    horizon: int = 5
    timeframe: Timeframe = "1d"
    models: tuple[str, ...] | None = None
    weights: Mapping[str, float] | None = None
    confidence_level: float = 0.9
    explain: bool = False


@record
class PathStep:
    step: int
    date: date
    median: float
    lower: float
    upper: float


@record
class MemberAnswer:
    """A member as the caller sees it; ``weight`` is the one used, 0 for a member that failed or was left out by rule
    because the bars lack what it needs."""

    model: str
    version: str
    weight: float
    price_target: float | None
    status: Literal["ok", "failed", "left_out"]
    error: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class MemberEvent:
    """One member's own answer, as soon as it is there; its weight is known once all have answered."""

    model: str
    version: str
    status: Literal["ok", "failed"]
    price_target: float | None
    error: str | None = None


@record
class ConfidenceBreakdown:
    """Four fractions, 1 is best; definitions in ensemble/confidence.py. They explain, they do not enter ``confidence``.

    None where there is nothing to measure: agreement of a single member, skill without evidence.
    """

    model_agreement: float | None
    historical_skill: float | None
    data_quality: float
    regime: float


@record
class Evidence:
    """What the out-of-sample evaluation measured for this horizon, kind of asset and set of members.

    ``coverage`` is the share of outcomes inside the interval at the asked level, ``skill_vs_random_walk``
    1 - pinball / pinball of the random walk, ``p_value`` Diebold-Mariano, two-sided. ``scope`` says in words
    what was measured; every number is None, ``samples`` 0, and ``scope`` says why, where nothing was.
    """

    coverage: float | None
    samples: int
    skill_vs_random_walk: float | None
    p_value: float | None
    beats_random_walk: bool
    window: tuple[date, date] | None
    scope: str
    up_share: float | None = None
    direction_accuracy: float | None = None
    direction_p_value: float | None = None
    direction_edge: bool = False


@record
class DataReport:
    """``stale``: a newer session has closed, or the source cannot renew these bars now. ``age_seconds`` since a live
    source gave them, None for bars that no live source gave. ``suspicious`` bars look odd and were kept."""

    provider: str
    last_bar: date
    stale: bool
    bars: int
    fingerprint: str
    dropped: tuple[BarIssue, ...] = ()
    age_seconds: float | None = None
    suspicious: tuple[BarIssue, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """What one part adds: to the median and to the width of the 90 % interval, in z and in money."""

    median_z: float
    width_z: float
    median_price: float
    width_price: float


@dataclass(frozen=True, slots=True)
class FeatureEffect:
    feature: str
    value: float
    effect: Effect


@dataclass(frozen=True, slots=True)
class TreeExplanation:
    """A tree member's answer in parts: ``base`` (its mean answer in training), each feature (largest effect first) and
    ``calibration`` add up to ``total``, the change from the current price to the member's target and the width of its
    own interval. ``calibration`` is None for a member without a part in the forecast (``weight`` 0)."""

    model: str
    weight: float
    base: Effect
    features: tuple[FeatureEffect, ...]
    calibration: Effect | None
    total: Effect
    method: str


@dataclass(frozen=True, slots=True)
class Patch:
    """First and last day of some neighbouring bars that a network reads as one."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class AttentionLayer:
    """``weights`` (n_patches, n_patches): row i is what patch i read of each patch, summing to one. ``mean``
    (n_patches,) is over the rows, as the network averages its patches in the end."""

    layer: int
    mean: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class AttentionExplanation:
    model: str
    patches: tuple[Patch, ...]
    layers: tuple[AttentionLayer, ...]
    method: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """``missing`` says why there is no ``tree`` or no ``attention``, by that name."""

    tree: TreeExplanation | None
    attention: AttentionExplanation | None
    missing: Mapping[str, str]


@record
class Forecast:
    """One answer. Prices are in ``currency``, returns are simple returns as fractions."""

    forecast_id: str
    symbol: str
    timeframe: Timeframe
    as_of: date
    current_price: float
    currency: str | None
    horizon: int
    target_date: date
    price_target: float
    expected_return: float
    direction: Literal["bullish", "bearish", "neutral"]
    probability_up: float
    confidence: float
    confidence_level: float
    lower: float
    upper: float
    quantiles: Mapping[str, float]
    path: tuple[PathStep, ...]
    members: tuple[MemberAnswer, ...]
    confidence_breakdown: ConfidenceBreakdown
    evidence: Evidence
    data: DataReport
    models_version: str
    degraded: tuple[str, ...]
    notes: tuple[str, ...] = ()
    cached: bool = False
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """``open``: it failed and is left alone for a while; ``half_open``: being tried again."""

    name: str
    state: Literal["ok", "failing", "open", "half_open", "unused"]
    latency_ms: float | None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class PartHealth:
    """How a part that the service can do without (cache, database) took its last question, and how long it took."""

    name: str
    state: str
    latency_ms: float | None
    detail: str | None = None

    @property
    def ok(self) -> bool:
        """Every state but ``failing`` means that it answers: ``memory``, ``redis``, ``sqlite``, ``ok``."""
        return self.state != "failing"


HealthProbe = Callable[[], Awaitable[PartHealth]]
"""Answers within a second or is given up; raising counts as failing."""


class MarketData(Protocol):
    """Where bars come from. Raises UnknownSymbol, UnusableSeries or SourceUnavailable."""

    async def bars(self, symbol: str, timeframe: Timeframe) -> Bars: ...

    def instrument(self, symbol: str) -> Instrument: ...

    def symbols(self) -> Sequence[str]: ...

    async def health(self) -> Sequence[SourceHealth]: ...

    async def close(self) -> None: ...


class Calendar(Protocol):
    """Sessions of an exchange."""

    def sessions_after(self, calendar: str, last: date, count: int) -> Sequence[date]:
        """The next ``count`` sessions strictly after ``last``."""
        ...

    def last_completed_session(self, calendar: str, now: datetime) -> date:
        """The newest session whose close is not after ``now`` (aware, UTC)."""
        ...

    def sessions_between(self, calendar: str, first: date, last: date) -> int:
        """How many sessions lie in [first, last]."""
        ...


Explainer = Callable[[Floats32], Awaitable[Floats]]
"""What a runner tells of its model beside quantiles. Of trees: (n_rows, row_width + 1), log(horizon) last, ->
(n_rows, n_levels, row_width + 2) contributions, those of log(horizon) and the bias last. Of networks with attention:
(n_rows, row_width) -> (n_rows, n_layers, n_heads, n_patches, n_patches). Raises RunnerUnavailable or Timeout."""


class MemberRunner(Protocol):
    """A model behind its runner. ``keys`` name the rows, so that identical rows in flight are computed once."""

    @property
    def spec(self) -> MemberSpec: ...

    async def predict(self, keys: Sequence[str], rows: Floats32) -> Floats:
        """(n_rows, row_width) -> (n_rows, n_horizons, n_levels), increasing with the level; raises RunnerUnavailable or
        Timeout."""
        ...


class SharedCache(Protocol):
    """Bytes that processes share, best effort. Never raises and never holds a caller up for more than 50 ms: a cache
    that is slow, full or gone costs hits, nothing else. Keys are printable and say everything the value depends on."""

    async def get(self, key: str) -> bytes | None:
        """None also where the cache cannot tell."""
        ...

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep for ``ttl`` seconds."""
        ...

    async def claim(self, key: str, ttl: float) -> bool:
        """True where the caller is the one to do the work named ``key``, for ``ttl`` seconds at most; True as well
        where nobody can tell, so that work is done twice rather than never."""
        ...

    async def release(self, key: str) -> None:
        """The work that was claimed is done, or given up."""
        ...
