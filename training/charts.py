"""The plots of the report, each an SVG in words: no script, no outside font, the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from contracts import Floats, Times
from training.fans import FAN_LEVELS, Fan
from training.scoreboard import COVERAGES, Row

INK, GRID, BLUE, RED, GREEN = "#1f2933", "#d9dee3", "#2563a8", "#c2410c", "#2f7d4f"
HORIZON_COLOURS = ("#2563a8", "#c2410c", "#2f7d4f", "#7c3aed", "#a16207", "#0e7490")
# Pairs of quantiles that make the bands of a fan, widest first, with their opacity.
BANDS = ((0, -1, 0.15), (1, -2, 0.18), (2, -3, 0.25))
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "deepfinance",
    "xtick.color": INK,
    "ytick.color": INK,
}


def panels(count: int, columns: int, width: float = 3.6, height: float = 2.7) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes in rows of ``columns``; ``width`` and ``height`` of each in inches."""
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes[:count]


def svg(figure: Figure) -> str:
    """The <svg> element alone."""
    text = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return "<svg" + text.getvalue().partition("<svg")[2]


def draw_fan(axes: Axes, past: tuple[Times, Floats], times: Times, quantiles: Floats, came: Floats | None) -> None:
    """Past prices, bands of (n_steps, n_levels) quantiles of FAN_LEVELS, their median, and what came."""
    origin, price = past[0][-1], past[1][-1]
    ahead = np.concatenate([[origin], times])
    fan = np.concatenate([np.full((1, quantiles.shape[1]), price), quantiles])
    for low, high, opacity in BANDS:
        level = round(100 * (FAN_LEVELS[high] - FAN_LEVELS[low]))
        axes.fill_between(
            ahead, fan[:, low], fan[:, high], color=BLUE, alpha=opacity, linewidth=0, label=f"{level} %", zorder=2
        )
    axes.plot(ahead, fan[:, FAN_LEVELS.index(0.5)], color=BLUE, linewidth=1.2, label="median", zorder=3)
    axes.plot(*past, color=INK, linewidth=1.0, label="known", zorder=3)
    if came is not None:
        axes.plot(ahead, np.concatenate([[price], came]), color=RED, linewidth=1.2, label="came", zorder=4)
    axes.axvline(origin, color=INK, linewidth=0.6, linestyle=":")
    dates_along(axes)


def dates_along(axes: Axes) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def fan_charts(fans: Sequence[Fan]) -> str:
    """One panel a forecast."""
    figure, axes = panels(len(fans), 3, 3.8, 2.8)
    for each, fan in zip(axes, fans, strict=True):
        draw_fan(each, (fan.past_times, fan.past), fan.times, fan.quantiles, fan.came)
        each.set_title(f"{fan.symbol}, {fan.past_times[-1].astype('datetime64[D]')} ({fan.mood})")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return svg(figure)


def coverage_chart(rows: Sequence[Row]) -> str:
    """Observed minus stated coverage in points, with two standard errors, by horizon and level."""
    figure, (axes,) = panels(1, 1, 7.4, 3.0)
    places = np.arange(len(rows))
    for i, level in enumerate(COVERAGES):
        shift = (i - (len(COVERAGES) - 1) / 2) * 0.14
        gap = [100 * row[f"coverage_{level}"] - level for row in rows]
        error = [200 * (row[f"coverage_{level}_se"] or 0.0) for row in rows]
        colour = HORIZON_COLOURS[i]
        axes.errorbar(places + shift, gap, error, fmt="o", color=colour, markersize=4, capsize=2, label=f"{level} %")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xticks(places, [_bars(row) for row in rows])
    axes.set_ylabel("points above what was stated")
    figure.legend(loc="outside right upper", title="interval", frameon=False)
    return svg(figure)


def pit_chart(rows: Sequence[Row]) -> str:
    """Share of the outcomes in each twentieth of the forecast distribution; 1 is right."""
    figure, axes = panels(len(rows), 3, 3.4, 2.2)
    for each, row in zip(axes, rows, strict=True):
        counts = np.array(row["pit"], np.float64)
        edges = np.linspace(0, 1, len(counts) + 1)
        each.stairs(counts / counts.mean(), edges, fill=True, color=BLUE, alpha=0.55)
        each.axhline(1, color=INK, linewidth=0.8)
        each.set_ylim(0, max(1.6, 1.1 * counts.max() / counts.mean()))
        each.set_xlim(0, 1)
        each.set_title(_bars(row))
    return svg(figure)


def reliability_chart(rows: Sequence[Row]) -> str:
    """Confidence as stated against the share of right signs, with two standard errors."""
    figure, axes = panels(len(rows), 3, 3.4, 3.0)
    for each, row in zip(axes, rows, strict=True):
        bins = row["reliability"]
        stated, observed = ([100 * part[key] for part in bins] for key in ("stated", "observed"))
        spread = [200 * part["observed_se"] for part in bins]
        low = min([46.0, *(share - error for share, error in zip(observed, spread, strict=True))])
        high = max([60.0, *stated, *(share + error for share, error in zip(observed, spread, strict=True))])
        each.errorbar(stated, observed, spread, fmt="o", color=BLUE, markersize=4, capsize=2)
        each.plot([50, high], [50, high], color=INK, linewidth=0.8)
        each.axhline(100 * row["always_up"], color=GREEN, linewidth=0.8, linestyle="--", label="always up")
        each.set_ylim(low - 1, high + 1)
        each.set_xlim(49, max([60.0, *stated]) + 1)
        each.set_title(f"{_bars(row)}, ECE {row['ece']:.3f}")
        each.set_xlabel("stated confidence, %")
        each.set_ylabel("sign right, %")
        each.legend(loc="upper left", frameon=False)
    return svg(figure)


def yearly_chart(by_year: Mapping[str, Sequence[Row]], references: Mapping[str, str]) -> str:
    """Skill by year of the origin with 95 % intervals; ``references`` are key -> title."""
    figure, axes = panels(len(references), 2, 5.2, 2.9)
    places = np.arange(len(by_year))
    for each, (key, title) in zip(axes, references.items(), strict=True):
        count = len(next(iter(by_year.values())))
        for i in range(count):
            rows = [year[i] for year in by_year.values()]
            offset = (i - (count - 1) / 2) * 0.8 / count
            colour = HORIZON_COLOURS[i % len(HORIZON_COLOURS)]
            skills, errors = _skills(rows, key)
            each.bar(places + offset, skills, 0.8 / count, color=colour, alpha=0.75, label=_bars(rows[0]))
            each.errorbar(places + offset, skills, errors, fmt="none", color=INK, linewidth=0.8)
        each.axhline(0, color=INK, linewidth=0.8)
        each.set_xticks(places, list(by_year))
        each.set_title(f"skill against {title}, %")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return svg(figure)


def symbol_chart(per_symbol: Mapping[str, Sequence[Row]], key: str) -> str:
    """Skill of each symbol with 95 % intervals, best of the first horizon on top; a panel a horizon."""
    names = sorted(per_symbol, key=lambda name: _or_nan(per_symbol[name][0][f"skill_vs_{key}"]))
    count = len(per_symbol[names[0]])
    figure, axes = panels(count, 3, 3.6, 0.9 + 0.2 * len(names))
    for i, each in enumerate(axes):
        rows = [per_symbol[name][i] for name in names]
        skills, errors = _skills(rows, key)
        each.errorbar(skills, np.arange(len(names)), xerr=errors, fmt="o", color=BLUE, markersize=3.5, linewidth=0.8)
        each.axvline(0, color=INK, linewidth=0.8)
        each.set_yticks(np.arange(len(names)), names)
        each.set_ylim(-0.7, len(names) - 0.3)
        each.set_title(_bars(rows[0]))
        each.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    return svg(figure)


def price_axis(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))


def _skills(rows: Sequence[Row], key: str) -> tuple[Floats, Floats]:
    """Percent, and half the width of their 95 % intervals: the error follows from skill and t."""
    skills = np.array([_or_nan(row[f"skill_vs_{key}"]) for row in rows]) * 100
    statistics = np.array([_or_nan(row[f"t_vs_{key}"]) for row in rows])
    errors = np.abs(np.divide(skills, statistics, out=np.zeros_like(skills), where=statistics != 0))
    return skills, 1.96 * np.nan_to_num(errors)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _bars(row: Row) -> str:
    return f"{row['horizon']} bar{'s' if row['horizon'] > 1 else ''}"
