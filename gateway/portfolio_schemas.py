"""Bodies of the portfolio route. Fractions, losses positive, a year's where the field says so."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from gateway.risk_schemas import MAX_PERIOD, Reasons, RiskTerms
from gateway.schemas import Body, DataBody, Symbol, WholeNumber

MAX_HOLDINGS = 50

Method = Literal["minimum_variance", "risk_parity", "maximum_diversification", "mean_cvar", "hierarchical_risk_parity"]
Share = Annotated[float, Field(strict=True, ge=-100.0, le=100.0, allow_inf_nan=False)]
Units = Annotated[float, Field(strict=True, ge=-1e12, le=1e12, allow_inf_nan=False)]
Shock = Annotated[float, Field(strict=True, ge=-1.0, le=10.0, allow_inf_nan=False)]
Bound = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]
BySymbol = dict[str, float]


def _named_once(value: Any) -> Any:
    """Symbols are raised to upper case, so two that differ in case alone would overwrite each other."""
    if isinstance(value, dict):
        names = [name.upper() for name in value if isinstance(name, str)]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{repeated[0][:15]} is named twice")
    return value


Named = BeforeValidator(_named_once)


class OptimisationRequest(Body):
    """Which optimal portfolios to find, and under what terms. All are long-only and fully invested."""

    methods: Annotated[list[Method], Field(min_length=1, max_length=5)] = Field(
        default=[
            "minimum_variance",
            "risk_parity",
            "maximum_diversification",
            "mean_cvar",
            "hierarchical_risk_parity",
        ],
        description="What to find.",
    )
    min_weight: Bound = Field(default=0.0, description="Least weight of every holding.")
    max_weight: Bound = Field(default=1.0, description="Most weight of every holding.")
    transaction_cost: Annotated[float, Field(strict=True, ge=0.0, le=0.1, allow_inf_nan=False)] = Field(
        default=0.001, description="Fraction of the value that is bought or sold."
    )
    risk_aversion: Annotated[float, Field(strict=True, ge=0.0, le=1e6, allow_inf_nan=False)] = Field(
        default=1.0, description="`mean_cvar` maximises mean - cost - risk_aversion * CVaR at 95 %, of one day."
    )
    training_days: Annotated[WholeNumber, Field(ge=60, le=1260)] = Field(
        default=504, description="Common sessions that weights are fitted on."
    )
    rebalance_days: Annotated[WholeNumber, Field(ge=20, le=1260)] = Field(
        default=252, description="Sessions between two fits; eight at most are walked, the latest."
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> OptimisationRequest:
        if self.min_weight > self.max_weight:
            raise ValueError(f"min_weight {self.min_weight:g} is above max_weight {self.max_weight:g}: nothing fits")
        return self


def _alone(given: str) -> dict[str, Any]:
    """The JSON Schema that lets one of both through."""
    other = {"weights": "positions", "positions": "weights"}[given]
    return {"required": [given], "properties": {given: {"type": "object"}, other: {"type": "null"}}}


class PortfolioRequest(RiskTerms):
    """A portfolio, by `weights` or by `positions`; a negative number is a short holding."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_alone("weights"), _alone("positions")]})

    weights: Annotated[dict[Symbol, Share], Field(min_length=1, max_length=MAX_HOLDINGS), Named] | None = Field(
        default=None,
        description="Share of the value by symbol; divided by their sum, which must be above zero.",
        examples=[{"AAPL": 0.5, "JPM": 0.3, "XOM": 0.2}],
    )
    positions: Annotated[dict[Symbol, Units], Field(min_length=1, max_length=MAX_HOLDINGS), Named] | None = Field(
        default=None, description="Units held by symbol, valued at the last common close.", examples=[{"AAPL": 120}]
    )
    period_days: Annotated[WholeNumber, Field(ge=30, le=MAX_PERIOD)] = Field(
        default=250, description="The last common sessions of all holdings that risk is measured on."
    )
    include_benchmark: Annotated[bool, Field(strict=True)] = Field(
        default=True, description="Whether to measure against a benchmark."
    )
    benchmark: Symbol | None = Field(
        default=None, description="Left out: the usual index of the first holding.", examples=["^GSPC"]
    )
    covariance: Literal["sample", "ledoit_wolf"] = Field(
        default="ledoit_wolf", description="What volatility, Gaussian figures and optimisers are computed from."
    )
    shocks: Annotated[dict[Symbol, Shock], Field(min_length=1, max_length=MAX_HOLDINGS), Named] | None = Field(
        default=None,
        description="Returns to suppose, of holdings or of any other symbol, such as an index. The other holdings move "
        "by their regression on these.",
        examples=[{"AAPL": -0.2}],
    )
    optimisation: OptimisationRequest | None = Field(
        default_factory=OptimisationRequest, description="Null leaves the optimal portfolios out."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> PortfolioRequest:
        if (self.weights is None) == (self.positions is None):
            raise ValueError("exactly one of weights and positions must be given")
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """The holdings, in the order that they came."""
        return tuple(self.weights or self.positions or ())

    @property
    def field(self) -> str:
        """Which of both was given."""
        return "weights" if self.weights is not None else "positions"


class PeriodBody(Body):
    """What was measured."""

    first: datetime.date = Field(description="Day of the first price.")
    last: datetime.date = Field(description="Day of the last price.")
    returns: int = Field(ge=1, description="Number of returns.")


class PortfolioMeasures(Body):
    """At fixed weights over the period. Null where it cannot be computed; `unavailable` says why."""

    total_return: float | None = Field(description="Compounded over the period.")
    annual_return: float | None = Field(description="Compound annual growth rate.")
    annual_volatility: float | None = Field(description="Sample standard deviation (n - 1), a year.")
    sharpe: float | None = Field(description="Mean excess return over its standard deviation, annualised.")
    max_drawdown: float | None = Field(description="Largest loss from a high, 0 or negative.")
    diversification_ratio: float | None = Field(description="Mean volatility of the holdings over the portfolio's.")
    volatility_sample: float | None = Field(description="From the sample covariance, a year.")
    volatility_ledoit_wolf: float | None = Field(description="From the Ledoit-Wolf covariance, a year.")
    beta: float | None = Field(description="Slope against the benchmark's excess returns.")
    correlation: float | None = Field(description="With the benchmark, -1 to 1.")
    tracking_error: float | None = Field(description="Standard deviation of the difference of returns, a year.")
    information_ratio: float | None = Field(description="Mean difference over the tracking error, annualised.")


class PartBody(Body):
    """What one holding adds to a total."""

    component: float = Field(description="Weight * marginal; all components add up to the total.")
    marginal: float = Field(description="Change of the total per 1.00 of weight.")
    share: float | None = Field(description="Component over total, null where the total is 0.")


Parts = dict[str, PartBody]


class VolatilityBody(Body):
    """Volatility a year, and what each holding adds to it."""

    annual: float | None
    contributions: Parts | None
    reason: str | None = Field(description="Why there is none.")


class TailPartsBody(Body):
    """What each holding adds to both."""

    value_at_risk: Parts
    expected_shortfall: Parts


class PortfolioTail(Body):
    """Value at risk and expected shortfall of one method at one level, positive fractions of the value."""

    method: Literal["historical", "gaussian"]
    confidence_level: float
    value_at_risk: float | None
    expected_shortfall: float | None
    contributions: TailPartsBody | None
    reason: str | None = Field(description="Why there is none.")


class CovarianceBody(Body):
    """Covariance of returns, a year."""

    method: Literal["sample", "ledoit_wolf"]
    shrinkage: float | None = Field(description="Share of the target, 0 to 1; null for the sample.")
    symbols: list[str] = Field(description="Names of rows and columns.")
    annual: list[list[float | None]]


class CorrelationBody(Body):
    """Correlation of returns; null for a holding that does not vary."""

    symbols: list[str] = Field(description="Names of rows and columns.")
    matrix: list[list[float | None]]


class ReplayBody(Body):
    """Today's weights bought before a crisis and held through it."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid", frozen=True)

    name: str
    first: datetime.date
    last: datetime.date
    result: float | None = Field(alias="return", description="Of the whole window.")
    max_drawdown: float | None = Field(description="Deepest fall within it, negative.")
    worst_day: float | None = Field(description="Lowest return of one session.")
    contributions: BySymbol | None = Field(description="What each holding adds to the return.")
    reason: str | None = Field(description="Why there is none, such as no prices so long ago.")


class ShockBody(Body):
    """What the shocks that you set would do."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid", frozen=True)

    shocks: BySymbol
    result: float = Field(alias="return", description="Of the portfolio.")
    moves: BySymbol = Field(description="Return of each holding: as set, or by regression on what is set.")
    contributions: BySymbol = Field(description="What each holding adds to the return.")
    returns: int = Field(description="Returns that the regression rests on.")


class StressBody(Body):
    """Stress tests with today's weights."""

    historical: list[ReplayBody]
    shock: ShockBody | None = Field(description="Null where no shocks were sent.")


class WalkSpan(Body):
    """The days that all walks were measured on."""

    first: datetime.date | None
    last: datetime.date | None
    refits: int
    reason: str | None = Field(description="Why there is no walk.")


class WalkBody(Body):
    """Figures after costs, all of days after the fit."""

    total_return: float | None
    annual_return: float | None
    annual_volatility: float | None
    sharpe: float | None
    max_drawdown: float | None
    turnover: float | None = Field(description="Mean of what is bought and sold at a refit after the first; 2 is all.")
    unavailable: Reasons


class OptimalPortfolio(Body):
    """One way to choose weights."""

    method: Method | Literal["equal_weight", "current"]
    weights: BySymbol | None = Field(description="To hold now; null where the solver found none.")
    trade: float | None = Field(description="What would be bought and sold to get there, as a fraction of the value.")
    out_of_sample: WalkBody | None
    reason: str | None = Field(description="Why there are no weights or no walk.")


class OptimisationBody(Body):
    """Optimal portfolios beside equal weights and today's own."""

    out_of_sample: WalkSpan
    portfolios: list[OptimalPortfolio]
    reason: str | None = Field(description="Why there are none.")


class HoldingData(DataBody):
    """The prices of one holding."""

    first_bar: datetime.date = Field(description="Date of the oldest bar.")
    missing_sessions: int = Field(
        ge=0, description="Days of the period on which another holding has a price and this one has not."
    )


class PortfolioResponse(Body):
    """Risk of a portfolio, what each holding adds to it, stress tests and optimal weights."""

    as_of: datetime.date = Field(description="Last session that all holdings have.")
    currency: str | None = Field(description="Of all holdings.")
    period: PeriodBody
    periods_per_year: float = Field(description="Sessions a year of the holdings' exchange.")
    weights: BySymbol = Field(description="Adding up to 1.")
    value: float | None = Field(description="Value of the positions; null where weights were sent.")
    gross_exposure: float = Field(description="Sum of the weights' sizes: 1 without short holdings.")
    benchmark: str | None = Field(description="Symbol of the benchmark.")
    measures: PortfolioMeasures
    unavailable: Reasons
    volatility: VolatilityBody
    value_at_risk: list[PortfolioTail]
    covariance: CovarianceBody
    correlation: CorrelationBody
    stress: StressBody
    optimisation: OptimisationBody | None = Field(description="Null where it was not asked for.")
    data: dict[str, HoldingData]
    notes: list[str]
