"""What the published model set scored, as `make train` measured it and its manifest keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import Field

from gateway.reports import Report

_SKILL = "1 - pinball loss / pinball loss of {}: positive is better. Null where it was not measured."
_T = "Diebold-Mariano statistic of that difference: clustered by day, Newey-West with `horizon` lags."
_COVERAGE = "Share of the outcomes inside the central {} % interval."


def _against(reference: str) -> Any:
    return Field(default=None, description=_SKILL.format(reference))


def _inside(level: int) -> Any:
    return Field(default=None, ge=0, le=1, description=_COVERAGE.format(level))


class ScoreRow(Report):
    """One horizon. Fractions, not percent; losses and widths are log returns; null where nothing was measured."""

    horizon: int = Field(description="Bars ahead.", examples=[5])
    n: int = Field(ge=0, description="Forecasts whose outcome is known, over all symbols.", examples=[20020])
    pinball: float | None = Field(
        default=None, description="Mean quantile loss over the levels 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95."
    )
    skill_vs_random_walk: float | None = _against("the symbol's own unconditional quantiles")
    t_vs_random_walk: float | None = Field(default=None, description=_T)
    skill_vs_ewma: float | None = _against("a normal with RiskMetrics volatility")
    t_vs_ewma: float | None = Field(default=None, description=_T)
    skill_vs_garch: float | None = _against("GARCH(1,1) with Student t, fitted to the symbol")
    t_vs_garch: float | None = Field(default=None, description=_T)
    skill_vs_gjr: float | None = _against("GJR-GARCH(1,1) with Student t, fitted to the symbol")
    t_vs_gjr: float | None = Field(default=None, description=_T)
    skill_vs_fhs: float | None = _against("filtered historical simulation")
    t_vs_fhs: float | None = Field(default=None, description=_T)
    coverage_50: float | None = _inside(50)
    coverage_80: float | None = _inside(80)
    coverage_90: float | None = _inside(90)
    coverage_95: float | None = _inside(95)
    coverage_99: float | None = _inside(99)
    width_90: float | None = Field(default=None, description="Mean width of the 90 % interval, a log return.")
    direction: float | None = Field(default=None, ge=0, le=1, description="Share of the signs that were called right.")
    direction_se: float | None = Field(default=None, ge=0, description="Standard error of that share.")
    always_up: float | None = Field(default=None, ge=0, le=1, description="The share that were rises.")
    brier: float | None = Field(default=None, ge=0, description="Mean squared error of `probability_up`.")
    brier_gain: float | None = Field(
        default=None, description="1 - Brier score / Brier score of the share of rises before the window."
    )
    ece: float | None = Field(default=None, ge=0, description="Expected calibration error of `confidence`, ten bins.")


class ClassScores(Report):
    """What was measured for one kind of asset."""

    scope: str = Field(description="What was measured, in words: symbols and window.")
    window: tuple[date, date] = Field(description="First and last origin.", examples=[["2019-01-02", "2022-12-27"]])
    rows: list[ScoreRow] = Field(description="A row a horizon.")


class ScoreboardReport(Report):
    """Out-of-sample scores of the published model set."""

    models_version: str = Field(description="Version of the whole set; it is in every forecast.")
    windows: dict[str, tuple[date, date]] = Field(
        description="What members, then weights and calibration were fitted on, and what the scores were measured on. "
        "An outcome lies inside its window.",
    )
    by_asset_class: dict[str, ClassScores] = Field(
        description="Scores of each kind of asset that was measured: `equity`, `index`, `crypto`, `currency`."
    )
    definitions: dict[str, str] = Field(description="What each number of a row means.")


DEFINITIONS = {name: about.description or "" for name, about in ScoreRow.model_fields.items()}


def scoreboard_report(manifest: Mapping[str, Any]) -> ScoreboardReport:
    """The manifest's scores; numbers in it that the report does not know are left out."""
    evidence = manifest.get("evidence") or {}
    return ScoreboardReport(
        models_version=manifest["models_version"],
        windows=manifest.get("windows") or {},
        by_asset_class={
            name: ClassScores(
                scope=evidence[name]["scope"], window=evidence[name]["window"], rows=[_row(row) for row in rows]
            )
            for name, rows in (manifest.get("scores") or {}).items()
            if name in evidence
        },
        definitions=DEFINITIONS,
    )


def _row(row: Mapping[str, Any]) -> ScoreRow:
    return ScoreRow.model_validate({name: row[name] for name in ScoreRow.model_fields if name in row})
