"""The evaluation as one HTML file that needs nothing else, and the fan chart of a single forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from matplotlib.dates import date2num

from training import charts
from training.fans import Fan
from training.scoreboard import REFERENCES, Row, cell

TITLES = {
    "random_walk": "random walk",
    "ewma": "EWMA",
    "garch": "GARCH-t",
    "gjr": "GJR-t",
    "fhs": "FHS",
}
# A difference is called one when chance alone would show it less often than this.
TELLING = 0.05
FANNED_SYMBOLS = 3
MOST_SYMBOLS_DRAWN = 60


def write_report(result: Mapping[str, Any], fans: Sequence[Fan], path: Path) -> None:
    """``result`` is what goes into the JSON of `make evaluate`; ``fans`` are forecasts to draw."""
    path.write_text(report_html(result, fans), encoding="utf-8")


def report_html(result: Mapping[str, Any], fans: Sequence[Fan]) -> str:
    """The page. Rows without an outcome are left out."""
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    pages.filters |= {"percent": _percent, "number": _number, "signed": _signed, "telling": _telling}
    pooled = _measured(result["pooled"])
    references = {
        key: title for key, title in TITLES.items() if any(row[f"skill_vs_{key}"] is not None for row in pooled)
    }
    groups = {"All symbols": pooled}
    if len(result["by_asset_class"]) > 1:
        groups |= {name.capitalize(): _measured(rows) for name, rows in result["by_asset_class"].items()}
    return pages.get_template("report.html.j2").render(
        result=result,
        groups=groups,
        references=references,
        warnings=warnings_of(result),
        verdicts=[verdict(row) for row in pooled],
        per_symbol={name: _measured(rows) for name, rows in result["per_symbol"].items()},
        drawings={name: Markup(drawing) for name, drawing in _drawings(result, fans, references).items()},
    )


def warnings_of(result: Mapping[str, Any]) -> list[str]:
    """What keeps the scores from being out of sample, or the symbols from being unseen, in sentences."""
    start, end = result["window"]
    found = [
        f"The scored window overlaps the {name} window of the set ({first} to {last}): not out of sample there."
        for name, (first, last) in result["model_windows"].items()
        if name in ("training", "calibration") and start <= last and first <= end
    ]
    if seen := sorted(set(result["symbols"]) & set(result["trained_on"])):
        found.append(f"Earlier prices of {', '.join(seen)} were in the training of the set; the others are unseen.")
    return found


def verdict(row: Row) -> str:
    """One horizon in words, with the figures that the words rest on."""
    name = f"{row['horizon']} bar{'s' if row['horizon'] > 1 else ''}"
    parts = [_compared(row, key) for key in ("ewma", "garch") if row[f"skill_vs_{key}"] is not None]
    spread = f"The 90 % interval held {_percent(row['coverage_90'])} ± {_percent(2 * (row['coverage_90_se'] or 0))} %."
    return f"{name}: {'; '.join(parts)}. {spread} {_sign_words(row)}"


def fan_chart(forecast: Mapping[str, Any], closes: Sequence[tuple[date, float]], path: Path) -> None:
    """Draw one answer of `POST /predict` after its past: interval of every step, quantiles at the end, median.

    ``closes`` are (date, close), oldest first, up to `as_of`; the kind of file follows from the name (.svg, .png).
    """
    figure, (axes,) = charts.panels(1, 1, 8.0, 4.0)
    level = round(100 * forecast["interval"]["confidence_level"])
    origin, price = np.datetime64(forecast["as_of"]), forecast["current_price"]
    steps = forecast["path"]
    days = np.array([origin, *(step["date"] for step in steps)], "datetime64[D]")
    lower, median, upper = (np.array([price, *(step[key] for step in steps)]) for key in ("lower", "median", "upper"))
    past = np.array([day for day, _ in closes], "datetime64[D]")
    axes.plot(past, [close for _, close in closes], color=charts.INK, linewidth=1.1, label="close")
    axes.fill_between(days, lower, upper, color=charts.BLUE, alpha=0.2, linewidth=0, label=f"{level} % interval")
    axes.plot(days, median, color=charts.BLUE, linewidth=1.5, label="median")
    quartiles = [forecast["quantiles"][key] for key in ("0.25", "0.75")]
    axes.plot([days[-1]] * 2, quartiles, color=charts.BLUE, linewidth=4, solid_capstyle="butt", label="middle half")
    axes.axvline(date2num(origin), color=charts.INK, linewidth=0.6, linestyle=":")
    axes.set_title(
        f"{forecast['symbol']} from {forecast['as_of']}, {forecast['horizon']} bars ahead, "
        f"model set {forecast['models_version']}"
    )
    axes.set_ylabel(f"price, {forecast['currency']}" if forecast.get("currency") else "price")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    charts.dates_along(axes)
    charts.price_axis(axes)
    with matplotlib.rc_context(charts.STYLE):
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)


def _drawings(result: Mapping[str, Any], fans: Sequence[Fan], references: Mapping[str, str]) -> dict[str, str]:
    rows = _measured(result["pooled"])
    main = {key: references[key] for key in ("ewma", "garch") if key in references}
    years = {year: found for year, found in result["by_year"].items() if all(row["n"] for row in found)}
    symbols = {name: found for name, found in result["per_symbol"].items() if all(row["n"] for row in found)}
    drawings = {
        "coverage": charts.coverage_chart(rows),
        "pit": charts.pit_chart(rows),
        "reliability": charts.reliability_chart(rows),
    }
    if years:
        drawings["years"] = charts.yearly_chart(years, main)
    if 1 < len(symbols) <= MOST_SYMBOLS_DRAWN:
        drawings |= {f"symbols_{key}": charts.symbol_chart(symbols, key) for key in main}
    if shown := _shown_fans(result, fans):
        drawings["fans"] = charts.fan_charts(shown)
    return drawings


def _shown_fans(result: Mapping[str, Any], fans: Sequence[Fan]) -> list[Fan]:
    """Of each asset class the first symbol in alphabetical order, then further ones up to FANNED_SYMBOLS."""
    classes: Mapping[str, str] = result["symbols"]
    names = sorted({fan.symbol for fan in fans})
    first = {classes[name]: name for name in reversed(names)}
    chosen = list(dict.fromkeys([*first.values(), *names]))[: max(FANNED_SYMBOLS, len(first))]
    return [fan for name in sorted(chosen) for fan in fans if fan.symbol == name]


def _measured(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["n"]]


def _compared(row: Row, key: str) -> str:
    skill, figures = row[f"skill_vs_{key}"], f"t {row[f't_vs_{key}']:.1f}, {_p_value(row[f'p_vs_{key}'])}"
    if row[f"p_vs_{key}"] >= TELLING:
        return f"not told apart from {TITLES[key]} (skill {_signed(skill)} %, {figures})"
    return f"{'better' if skill > 0 else 'worse'} than {TITLES[key]} by {_percent(abs(skill))} % ({figures})"


def _sign_words(row: Row) -> str:
    """An edge must show both in the probability, against the base rate, and in the calls, against always-up."""
    figures = (
        f"the sign was right {_percent(row['direction'])} ± {_percent(2 * row['direction_se'])} % of the time, "
        f"always-up {_percent(row['always_up'])} % (difference {_p_value(row['p_vs_always_up'])})"
    )
    calls = row["direction"] > row["always_up"] and row["p_vs_always_up"] < TELLING
    edge = calls and row["brier_gain"] > 0 and row["brier_gain_p"] < TELLING
    return f"{'An' if edge else 'No'} edge in direction: {figures}."


def _percent(value: float | None, digits: int = 1) -> str:
    return cell(value, 100, f".{digits}f")


def _number(value: float | None, digits: int = 3) -> str:
    return cell(value, 1, f".{digits}f")


def _signed(value: float | None, digits: int = 1) -> str:
    return cell(value, 100, f"+.{digits}f")


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p {value:.3f}"


def _telling(row: Row, key: str) -> str:
    """Class of a cell: better, worse, or neither."""
    p_value = row[f"p_vs_{key}"]
    if p_value is None or p_value >= TELLING:
        return "even"
    return "better" if row[f"skill_vs_{key}"] > 0 else "worse"


assert set(TITLES) == set(REFERENCES)
