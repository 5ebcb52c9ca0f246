"""Answers on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console, Group, RenderableType
from rich.table import Table

from deepfinance_client.responses import BacktestBody, HealthReport, PredictResponse, RiskResponse

PLAIN = frozenset(
    {"sharpe", "sortino", "calmar", "omega", "tail_ratio", "skew", "kurtosis", "beta", "correlation"}
    | {"information_ratio", "up_capture", "down_capture"}
)
"""Measures that are ratios or moments; the others are shown in per cent."""


def forecast(answer: PredictResponse) -> RenderableType:
    """One forecast: what, how sure, and how good that has been."""
    said, interval, evidence = answer.prediction, answer.interval, answer.evidence
    money = answer.currency or ""
    lines = [
        ("price", f"{answer.current_price:,.2f} {money} on {answer.as_of}" + (" (stale)" if answer.data.stale else "")),
        ("target", f"{said.price_target:,.2f} {money} on {answer.target_date} ({said.expected_return:+.2%})"),
        (f"{interval.confidence_level:.0%} interval", f"{interval.lower:,.2f} to {interval.upper:,.2f} {money}"),
        ("quantiles", "   ".join(f"{float(level):.0%} {price:,.2f}" for level, price in answer.quantiles.items())),
        ("direction", f"{said.direction}, {said.probability_up:.1%} to rise"),
        ("measured", _measured(evidence.coverage, evidence.samples, evidence.beats_random_walk)),
        ("models", ", ".join(f"{it.model} {it.weight:.2f}" for it in answer.members if it.status == "ok")),
        ("source", f"{answer.data.provider}, {answer.data.bars} bars; models {answer.models_version}"),
        *(("degraded", it) for it in answer.degraded),
        *(("note", it) for it in answer.notes),
    ]
    return _facts(f"{answer.symbol}, {answer.horizon} bars of {answer.timeframe} ahead", lines)


def _measured(coverage: float | None, samples: int, beats: bool) -> str:
    if coverage is None:
        return "nothing at this horizon"
    verdict = "better than a random walk" if beats else "not shown to be better than a random walk"
    return f"{coverage:.1%} of {samples:,} outcomes inside such intervals; {verdict}"


def risk(answer: RiskResponse) -> RenderableType:
    """Measures, and value at risk by method with what its backtest says."""
    against = f" against {answer.benchmark.symbol}" if answer.benchmark else ""
    measures = [
        (name.replace("_", " "), f"{value:.3f}" if name in PLAIN else f"{value:.2%}")
        for name, value in answer.measures
        if value is not None
    ]
    level = [("risk level", answer.risk_level.level)] if answer.risk_level else []
    period = f"{answer.period.first} to {answer.period.last}, {answer.period.returns} returns"
    lines = [*level, *measures, *_reasons(answer.unavailable), *(("note", it) for it in answer.notes)]
    return Group(_facts(f"{answer.symbol}{against}, {period}", lines), _tail(answer))


def _reasons(unavailable: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A line for each reason, with everything that is missing for it."""
    for why in dict.fromkeys(unavailable.values()):
        yield "not there", f"{', '.join(name for name, it in unavailable.items() if it == why)}: {why}"


def _backtest(result: BacktestBody | None) -> str:
    if result is None or result.passes is None:
        return "not tested"
    verdict = "passes" if result.passes else "fails"
    return f"{verdict}: {result.exceedances} of {result.days} days, {result.expected:g} expected"


def _tail(answer: RiskResponse) -> Table:
    table = Table(title="Losses, as fractions of the holding", title_justify="left", box=None, pad_edge=False)
    for name in ("method", "level", "bars", "value at risk", "expected shortfall", "backtest"):
        table.add_column(name, justify="left" if name in ("method", "backtest") else "right")
    for it in answer.value_at_risk:
        losses = ("" if loss is None else f"{loss:.2%}" for loss in (it.value_at_risk, it.expected_shortfall))
        table.add_row(
            it.method.replace("_", " "), f"{it.confidence_level:g}", str(it.horizon), *losses, _backtest(it.backtest)
        )
    return table


def health(answer: HealthReport) -> RenderableType:
    """What answers and what does not."""
    checks = answer.checks
    lines = [(it.name, f"{it.state} {it.detail or ''}") for it in checks.runners]
    lines += [(it.name, f"{it.state} {it.detail or ''}") for it in checks.sources]
    lines += [("cache", it.state) for it in (checks.cache,) if it]
    lines += [("database", f"{it.state} {it.detail or ''}") for it in (checks.database,) if it]
    return _facts(f"{answer.status}, models {answer.models_version}", lines)


def _facts(title: str, lines: Iterable[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(name, text)
    return table


def on_screen(shown: RenderableType) -> None:
    """To standard output; markup in what a service says is text."""
    Console(markup=False, highlight=False).print(shown)
