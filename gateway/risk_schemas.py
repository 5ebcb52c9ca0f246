"""Bodies of the risk routes, field by field as the contract has them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, model_validator

from gateway.schemas import Body, DataBody, Symbol, Whole

MAX_PERIOD = 7_560
MAX_RETURNS = 20_000
MAX_HORIZON = 90
PERIODS = {"daily": 252.0, "weekly": 52.0, "monthly": 12.0, "quarterly": 4.0, "yearly": 1.0}

Level = Annotated[float, Field(strict=True, gt=0.5, lt=1.0, allow_inf_nan=False)]
Levels = Annotated[list[Level], Field(min_length=1, max_length=10)]
Return = Annotated[float, Field(strict=True, ge=-1.0, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, gt=-1.0, le=10.0, allow_inf_nan=False)]
Reasons = Annotated[dict[str, str], Field(description="Why each null beside it is null.")]
Place = datetime.date | int
PictureKind = Literal["html", "pdf", "png"]


class RiskTerms(Body):
    """What every question about risk may say."""

    confidence_levels: Levels = Field(
        default=[0.95, 0.99],
        description="Levels of value at risk, fractions between 0.5 and 1.",
        examples=[[0.95, 0.99]],
    )
    horizon: Annotated[int, Field(strict=True, ge=1, le=MAX_HORIZON), Whole] = Field(
        default=1, description="Trading days (periods) that value at risk reaches over.", examples=[1]
    )
    risk_free_rate: Rate = Field(default=0.0, description="A year's, compound, a fraction.", examples=[0.0])


class RiskRequest(RiskTerms):
    """One asset. Only `symbol` is required."""

    symbol: Symbol = Field(description="Symbol of the asset; lower case is raised.", examples=["AAPL"])
    period_days: Annotated[int, Field(strict=True, ge=2, le=MAX_PERIOD), Whole] = Field(
        default=250, description="The last trading days that are measured; those before them inform estimates."
    )
    include_benchmark: Annotated[bool, Field(strict=True)] = Field(
        default=True, description="Whether to measure against a benchmark."
    )
    benchmark: Symbol | None = Field(
        default=None,
        description="Symbol of the benchmark. Left out: the index of the share's own market, `^GSPC` in New York and "
        "for indexes, none for crypto and currencies.",
        examples=["^GSPC"],
    )


class ReturnsRequest(RiskTerms):
    """Returns that you send, oldest first."""

    returns: Annotated[list[Return], Field(min_length=1, max_length=MAX_RETURNS)] = Field(
        description="Simple returns as fractions, -1 or more.", examples=[[0.01, -0.02, 0.005]]
    )
    benchmark_returns: Annotated[list[Return], Field(min_length=1, max_length=MAX_RETURNS)] | None = Field(
        default=None, description="Returns of the benchmark over the same periods."
    )
    frequency: Literal["daily", "weekly", "monthly", "quarterly", "yearly"] = Field(
        default="daily", description="How often there is a return: 252, 52, 12, 4 or 1 a year."
    )
    periods_per_year: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = Field(
        default=None, description="Returns a year, in place of what `frequency` says.", examples=[252]
    )

    @model_validator(mode="after")
    def _same_length(self) -> ReturnsRequest:
        if self.benchmark_returns is not None and len(self.benchmark_returns) != len(self.returns):
            raise ValueError(
                f"benchmark_returns must have as many values as returns, {len(self.returns)}, "
                f"has {len(self.benchmark_returns)}"
            )
        return self

    def periods(self) -> float:
        """Returns a year."""
        return self.periods_per_year or PERIODS[self.frequency]


class Measures(Body):
    """Fractions unless said otherwise. Null where it cannot be computed; `unavailable` says why."""

    total_return: float | None = Field(description="Compounded over the period.")
    annual_return: float | None = Field(description="Compound annual growth rate.")
    annual_volatility: float | None = Field(description="Sample standard deviation (n - 1), a year.")
    ewma_volatility: float | None = Field(description="RiskMetrics, decay 0.94, of the next period, a year.")
    garch_volatility: float | None = Field(description="GARCH(1,1) with Student t, of the next period, a year.")
    downside_deviation: float | None = Field(description="Root mean square shortfall below the risk-free rate, a year.")
    sharpe: float | None = Field(description="Mean excess return over its standard deviation, annualised.")
    sortino: float | None = Field(description="Mean excess return over the downside deviation, annualised.")
    calmar: float | None = Field(description="Annual return over the size of the maximum drawdown.")
    omega: float | None = Field(description="Gains over losses, relative to the risk-free rate.")
    tail_ratio: float | None = Field(description="Size of the 95th percentile over that of the 5th.")
    skew: float | None = Field(description="Third standardised moment; 0 if symmetric.")
    kurtosis: float | None = Field(description="Fourth standardised moment less 3; 0 if normal.")
    max_drawdown: float | None = Field(description="Largest loss from a high, 0 or negative.")
    beta: float | None = Field(description="Slope against the benchmark's excess returns.")
    alpha: float | None = Field(description="Jensen's, compounded to a year.")
    correlation: float | None = Field(description="With the benchmark, -1 to 1.")
    tracking_error: float | None = Field(description="Standard deviation of the difference of returns, a year.")
    information_ratio: float | None = Field(description="Mean difference over the tracking error, annualised.")
    up_capture: float | None = Field(description="Annual return while the benchmark rose, over its own.")
    down_capture: float | None = Field(description="The same while it fell; below 1 loses less.")


class LongestDrawdown(Body):
    """The longest time without a new high."""

    periods: int = Field(ge=0, description="Trading days, or periods.")
    start: Place = Field(description="The high before it: date, or number of returns before it.")
    end: Place = Field(description="When it was reached again, or the end of the period.")
    is_over: bool = Field(description="False where the high has not been reached again.")


class DrawdownBody(Body):
    """The deepest drawdown, and the longest."""

    depth: float = Field(le=0, description="A fraction, negative.")
    peak: Place = Field(description="The high before the fall.")
    trough: Place = Field(description="The lowest point.")
    recovery: Place | None = Field(description="When the high was reached again, null if it was not.")
    periods_to_trough: int = Field(ge=0)
    longest: LongestDrawdown
    unavailable: Reasons


class LikelihoodRatioBody(Body):
    """A likelihood ratio test."""

    statistic: float = Field(ge=0)
    p_value: float = Field(ge=0, le=1, description="Chance of at least this if the method is right.")


class TrafficLightBody(Body):
    """Basel's zones, by the binomial distribution."""

    zone: Literal["green", "yellow", "red"]
    days: int = Field(description="Last tested days that were counted, 250 at most.")
    exceedances: int
    multiplier: float | None = Field(description="Of the capital requirement; only for 0.99 and 250 days.")
    unavailable: Reasons


class BacktestBody(Body):
    """The method over one period, rolling over the days asked about, each estimate made without knowing its day or
    a later one."""

    verdict: str = Field(description="In words.")
    passes: bool | None = Field(description="Whether no test rejects it at 0.05.")
    days: int = Field(description="Days it was tested on.")
    window: int = Field(description="Returns behind each estimate, at least.")
    scope: str = Field(
        description="What the estimates knew, in words. Forecasts are tested out of sample alone: on days later than "
        "those that the models were fitted and calibrated on, at most the last 1,250 of those asked about."
    )
    first: Place
    last: Place
    exceedances: int = Field(description="Losses beyond the value at risk.")
    expected: float = Field(description="How many there should be.")
    kupiec: LikelihoodRatioBody | None = Field(description="Are there as many as there should be? (1995)")
    independence: LikelihoodRatioBody | None = Field(description="Do they come one by one? (Christoffersen, 1998)")
    conditional_coverage: LikelihoodRatioBody | None = Field(description="Both at once (Christoffersen, 1998).")
    traffic_light: TrafficLightBody
    dates: list[Place] = Field(description="When.")
    unavailable: Reasons


class ValueAtRiskBody(Body):
    """One method at one level. Losses are positive fractions of the holding's value."""

    method: Literal[
        "historical",
        "gaussian",
        "gaussian_ewma",
        "cornish_fisher",
        "filtered_historical",
        "gjr_filtered",
        "forecast",
    ]
    definition: str = Field(description="How it is estimated, and how it reaches over several periods.")
    confidence_level: float
    horizon: int
    value_at_risk: float | None = Field(description="Loss that is exceeded with probability 1 - confidence_level.")
    expected_shortfall: float | None = Field(description="Mean of the losses at least that large.")
    backtest: BacktestBody | None
    unavailable: Reasons


class RiskLevelBody(Body):
    """How risky, in a word."""

    level: Literal["low", "moderate", "high", "very high"]
    rule: str = Field(description="What it was read from.")


class RiskBody(Body):
    """What both answers have."""

    periods_per_year: float = Field(description="What annual figures were annualised with.")
    measures: Measures
    drawdown: DrawdownBody | None
    value_at_risk: list[ValueAtRiskBody]
    risk_level: RiskLevelBody | None
    unavailable: Reasons


class Period(Body):
    """What was measured."""

    first: datetime.date = Field(description="Date of the price before the first return.")
    last: datetime.date
    returns: int


class BenchmarkBody(Body):
    """What it was measured against."""

    symbol: str
    first: datetime.date = Field(description="First and last date on which both have a price in the period.")
    last: datetime.date
    returns: int = Field(description="Returns between dates in the period that both have.")


class RiskResponse(RiskBody):
    """One asset. Simple returns as fractions; losses are positive in value at risk and expected shortfall."""

    symbol: str
    as_of: datetime.date = Field(description="Date of the newest bar.")
    period: Period
    benchmark: BenchmarkBody | None
    notes: list[str] = Field(default=[], description="Remarks, in words.")
    data: DataBody


class ReturnsResponse(RiskBody):
    """The same of returns that were sent; places are numbers of returns."""

    returns: int = Field(description="Returns that were sent.")


class RiskBackend(Protocol):
    """Who answers. Both give plain values in the shape of the responses above."""

    async def asset(self, question: RiskRequest) -> dict[str, Any]:
        """Raises UnknownSymbol, UnusableSeries or SourceUnavailable."""
        ...

    async def returns(self, question: ReturnsRequest) -> dict[str, Any]: ...

    async def picture(self, question: RiskRequest, kind: PictureKind) -> bytes:
        """The one-page report. Raises what ``asset`` raises, and Unavailable or Timeout."""
        ...
