"""Bodies on the wire, field by field as the contract has them. What a field may hold is said here, once.

Rules that need more than one field, or to know what is published, are in ``gateway.convert``.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WrapValidator

from gateway.explanation_schemas import ExplanationBody

MAX_HORIZON = 90
MAX_BATCH = 500
MAX_MODELS = 32

SYMBOL_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9.^=\-]{0,14}$"


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[int, Field(strict=True), BeforeValidator(_whole)]

# Lower case is let in by the pattern and then raised. Raising first would let in letters such as a sharp s,
# whose upper case is two ASCII letters.
Symbol = Annotated[str, Field(strict=True, pattern=SYMBOL_PATTERN), AfterValidator(str.upper)]
ModelName = Annotated[str, Field(strict=True, min_length=1, max_length=64)]
ModelNames = Annotated[
    list[ModelName], Field(min_length=1, max_length=MAX_MODELS, json_schema_extra={"uniqueItems": True})
]
Weight = Annotated[float, Field(strict=True, ge=0.0, allow_inf_nan=False)]
Timeframe = Literal["1d", "1h"]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Price = Annotated[float, Field(gt=0.0)]


class Body(BaseModel):
    """Closed and frozen: an unknown field is the caller's typing error, not something to ignore."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictRequest(Body):
    """What to forecast. Only `symbol` is required."""

    symbol: Symbol = Field(description="Symbol of the asset; lower case is raised.", examples=["AAPL", "^GSPC"])
    horizon: Annotated[WholeNumber, Field(ge=1, le=MAX_HORIZON)] = Field(
        default=5,
        description="How many bars ahead. For `1d`, trading days of the asset's own exchange.",
        examples=[5],
    )
    timeframe: Timeframe = Field(default="1d", description="Length of a bar: a day or an hour.", examples=["1d"])
    models: ModelNames | None = Field(
        default=None,
        description="Members to use, without repeats. Left out or null: those with a published weight.",
        examples=[["xgboost", "lstm", "transformer"]],
    )
    weights: Annotated[dict[ModelName, Weight], Field(max_length=MAX_MODELS)] | None = Field(
        default=None,
        description="Weight of each chosen model: finite, not negative, not all zero; they are normalised, "
        "and a chosen model that is not named weighs nothing. Left out or null: the published weights.",
        examples=[{"xgboost": 0.5, "lstm": 0.3, "transformer": 0.2}],
    )
    confidence_level: Annotated[float, Field(strict=True, ge=0.5, le=0.99, allow_inf_nan=False)] = Field(
        default=0.9,
        description="Share of outcomes that the interval is meant to cover, a fraction.",
        examples=[0.9],
    )
    explain: Annotated[bool, Field(strict=True)] = Field(
        default=False,
        description="Whether to add an `explanation`: what each input adds to the tree model's answer, and which bars "
        "the attention network read. Takes some milliseconds more.",
        examples=[False],
    )


def _unchecked(value: Any, _: object) -> Any:
    return value


#: Shown as a request, but let through as it came: one bad item must not refuse the others of a batch.
BatchItem = Annotated[PredictRequest, WrapValidator(_unchecked)]


class BatchRequest(Body):
    """Several requests at once. Each is checked and answered on its own."""

    requests: Annotated[list[BatchItem], Field(min_length=1, max_length=MAX_BATCH)] = Field(
        description="The requests; the results come in the same order.",
        examples=[[{"symbol": "AAPL"}, {"symbol": "MSFT", "horizon": 20}]],
    )


class Prediction(Body):
    """The forecast in a few numbers."""

    price_target: Price = Field(description="Median price at the target date.", examples=[126.2])
    expected_return: float = Field(
        description="Simple return from current price to target, a fraction: 0.01 is one per cent up.",
        examples=[0.0013],
    )
    direction: Literal["bullish", "bearish", "neutral"] = Field(
        description="`neutral` where the measured evidence says that the sign cannot be told.",
        examples=["bullish"],
    )
    probability_up: Probability = Field(
        description="Calibrated probability that the price will be above the current one.", examples=[0.53]
    )
    confidence: Probability = Field(
        description="Calibrated probability that `direction` is right, 0.5 to 1.", examples=[0.53]
    )


class Interval(Body):
    """Where the price at the target date should lie."""

    confidence_level: Probability = Field(description="Share of outcomes it is meant to cover.", examples=[0.9])
    lower: Price = Field(description="Lower bound, a price.", examples=[117.9])
    upper: Price = Field(description="Upper bound, a price.", examples=[134.6])


class Step(Body):
    """One bar of the way to the target."""

    step: int = Field(ge=1, description="Bars ahead of `as_of`, from 1.", examples=[1])
    date: datetime.date = Field(description="Trading day of the asset's exchange.", examples=["2022-12-29"])
    median: Price = Field(description="Median price.", examples=[126.1])
    lower: Price = Field(description="Lower bound at the asked confidence level.", examples=[122.4])
    upper: Price = Field(description="Upper bound at the asked confidence level.", examples=[129.7])


class Member(Body):
    """What one model said."""

    model: str = Field(description="Name of the model.", examples=["xgboost"])
    version: str = Field(description="Version of the model.")
    weight: Probability = Field(description="Weight used, a fraction; 0 for a model that failed.", examples=[0.5])
    price_target: Price | None = Field(description="Its own median price, null if it failed.", examples=[126.3])
    status: Literal["ok", "failed", "left_out"] = Field(
        description="`failed`: no answer, the rest carry its weight. `left_out`: the bars lack what it needs."
    )
    error: str | None = Field(default=None, description="Why there is no answer, in words.")
    note: str | None = Field(default=None, description="What else to know of this model, in words.")


class Breakdown(Body):
    """Four fractions that explain the confidence; 1 is best. They do not enter it."""

    model_agreement: Probability | None = Field(
        description="How far the models agree; null where there is one model.", examples=[0.8]
    )
    historical_skill: Probability | None = Field(
        description="Measured skill at this horizon; null where none was measured.", examples=[0.5]
    )
    data_quality: Probability = Field(
        description="Share of the sessions in the input window that have a checked bar.", examples=[1.0]
    )
    regime: Probability = Field(description="How ordinary current volatility is.", examples=[0.7])


class EvidenceBody(Body):
    """What the out-of-sample evaluation measured for this horizon. Null where nothing was measured."""

    coverage: Probability | None = Field(
        description="Share of outcomes that fell inside the interval.", examples=[0.902]
    )
    samples: int = Field(ge=0, description="Number of forecasts it was measured on.", examples=[4231])
    skill_vs_random_walk: float | None = Field(
        description="1 - loss / loss of the random walk (pinball). Positive is better than the random walk.",
        examples=[0.02],
    )
    p_value: Probability | None = Field(
        description="Two-sided p-value of that difference, robust to overlap.", examples=[0.003]
    )
    beats_random_walk: bool = Field(description="True only where the difference is significant.")
    window: tuple[datetime.date, datetime.date] | None = Field(
        description="First and last date of the evaluation.", examples=[["2019-01-02", "2022-12-28"]]
    )
    scope: str = Field(description="In words, what was measured, or why nothing was.")
    up_share: Probability | None = Field(default=None, description="Share of outcomes that went up.")
    direction_accuracy: Probability | None = Field(default=None, description="Share of signs that were right.")
    direction_p_value: Probability | None = Field(
        default=None,
        description="p-value of beating both the base rate in Brier score and always-up in calls.",
    )
    direction_edge: bool = Field(
        default=False, description="True where it is told better both ways, with significance."
    )


class DroppedBar(Body):
    """A bar that was not used, or that looks odd and was."""

    time: str = Field(description="Date, or ISO 8601 time.", examples=["2020-03-09"])
    problem: str = Field(description="What is wrong with it.", examples=["high below low"])


class DataBody(Body):
    """The prices the forecast was made from."""

    provider: str = Field(description="Source of the bars.", examples=["bundled"])
    last_bar: datetime.date = Field(description="Date of the newest bar.", examples=["2022-12-28"])
    stale: bool = Field(description="True when a newer session has closed, or the source cannot renew the bars now.")
    bars: int = Field(ge=1, description="Number of bars.", examples=[8313])
    fingerprint: str = Field(description="Hash of the bars.", examples=["sha256:4bf1..."])
    dropped: list[DroppedBar] = Field(default=[], description="Bars that were not used, and why.")
    age_seconds: float | None = Field(
        default=None, ge=0, description="Seconds since a live source gave the bars; null for bars of no live source."
    )
    suspicious: list[DroppedBar] = Field(default=[], description="Bars that look odd and were used, and why.")


class PredictResponse(Body):
    """A forecast with the evidence for it. Prices are in `currency`; returns are fractions."""

    forecast_id: str = Field(description="Identifies this forecast; a cached answer keeps it.")
    symbol: str = Field(description="Symbol that was forecast.", examples=["AAPL"])
    timeframe: Timeframe = Field(description="Length of a bar.")
    as_of: datetime.date = Field(description="Date of the newest bar used.", examples=["2022-12-28"])
    current_price: Price = Field(description="Close of that bar.", examples=[126.04])
    currency: str | None = Field(description="ISO 4217 code; null where no source gives one.", examples=["USD"])
    horizon: int = Field(ge=1, le=MAX_HORIZON, description="Bars ahead.", examples=[5])
    target_date: datetime.date = Field(description="Trading day `horizon` bars after `as_of`.", examples=["2023-01-05"])
    prediction: Prediction
    interval: Interval
    quantiles: dict[str, Price] = Field(
        description="Price at each quantile level; the level is the key.",
        examples=[{"0.05": 117.9, "0.25": 123.0, "0.5": 126.2, "0.75": 129.5, "0.95": 134.6}],
    )
    path: list[Step] = Field(description="Every bar up to the target.")
    members: list[Member] = Field(description="Every chosen model.")
    confidence_breakdown: Breakdown
    evidence: EvidenceBody
    data: DataBody
    models_version: str = Field(description="Version of the model set.")
    degraded: list[str] = Field(
        description="Models that failed (interval and evidence are those of the rest), and `source:` with the name of "
        "each data source that could not answer (`data.provider` is who did)."
    )
    cached: bool = Field(description="True when the same forecast was made before and is given again.")
    notes: list[str] = Field(default=[], description="Remarks that belong to this forecast, in words.")
    explanation: ExplanationBody | None = Field(default=None, description="Only where `explain` asked for it.")


class FieldProblem(Body):
    """One offending field."""

    field: str = Field(description="Where it is.", examples=["weights.xgboost"])
    problem: str = Field(description="What is wrong with it.", examples=["must not be negative"])


class ErrorInfo(Body):
    """What went wrong."""

    code: str = Field(description="For programs.", examples=["invalid_request"])
    message: str = Field(description="For people.", examples=["1 field of the request is wrong"])
    details: list[FieldProblem] = Field(description="The fields that are wrong, if any.")
    request_id: str = Field(description="The same as in the header X-Request-ID.", examples=["3f0c2d9e"])


class ErrorBody(Body):
    """The one shape of every error."""

    error: ErrorInfo


class BatchForecast(Body):
    """An item that was answered."""

    status: Literal[200] = Field(description="Status it would have had on its own.")
    forecast: PredictResponse


class BatchError(Body):
    """An item that was not."""

    status: int = Field(ge=400, le=599, description="Status it would have had on its own.", examples=[422])
    error: ErrorInfo


class BatchResponse(Body):
    """One result per request, in the same order."""

    results: list[BatchForecast | BatchError] = Field(description="For each request, its forecast or its own error.")
    count: int = Field(ge=1, le=MAX_BATCH, description="Number of requests.")
    succeeded: int = Field(ge=0, description="Number of forecasts among the results.")
    failed: int = Field(ge=0, description="Number of errors among the results.")
