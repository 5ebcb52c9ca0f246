"""The four charts of a risk report, drawn by matplotlib: for a process of its own, as it brings 60 MB.

``draw_charts`` gives SVG to set into a page, ``draw_page`` one page as PDF or PNG. What they show comes in as arrays.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from contracts import Floats, Ints, Times

INK, GREY, BLUE, RED, PALE, ORANGE = "#1f2933", "#7b8794", "#2563a8", "#c0392b", "#c9dcf0", "#d9822b"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#cbd2d9",
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ecf0",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "risk",
}


LONGEST_GAP = np.timedelta64(14, "D")
"""Exchanges have been closed for ten days, not for longer."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One-period losses, positive fractions, at one level."""

    confidence_level: float
    value_at_risk: float
    expected_shortfall: float


@dataclass(frozen=True, slots=True)
class Tested:
    """``losses`` (m,) said by a ``method``, as it is written, before the returns on the days at ``places`` (m,)."""

    method: str
    confidence_level: float
    places: Ints
    losses: Floats
    verdict: str


@dataclass(frozen=True, slots=True)
class Pictured:
    """``days`` (n,) the ends of ``returns`` (n,); ``drawdowns`` (n,); ``volatility`` and ``ewma`` (n,), a year, NaN
    where there is none; ``title`` and ``lines`` head the page, ``table`` is its rows, the first their heading."""

    title: str
    lines: tuple[str, ...]
    days: Times
    returns: Floats
    drawdowns: Floats
    volatility: Floats
    volatility_window: int
    ewma: Floats
    marks: tuple[Mark, ...]
    tested: Tested | None
    figures: tuple[tuple[str, str], ...]
    table: tuple[tuple[str, ...], ...]


def draw_charts(shown: Pictured) -> list[str]:
    """Four SVG elements, without XML declaration: drawdown, volatility, distribution, exceedances."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    drawn = []
    with rc_context(STYLE):
        for chart in CHARTS:
            figure = Figure(figsize=(6.2, 2.9), layout="constrained")
            chart(figure.add_subplot(), shown)
            drawn.append(_svg(figure))
    return ids_of_their_own(drawn)


def draw_page(shown: Pictured, kind: Literal["pdf", "png"]) -> bytes:
    """One A4 page, upright."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE | {"font.size": 7.5, "axes.titlesize": 8.5, "legend.fontsize": 6.5}):
        figure = Figure(figsize=(8.27, 11.69))
        for part, box in zip((_heading, _figures, *CHARTS, _table), _boxes(len(shown.table)), strict=True):
            part(figure.add_axes(box), shown)
        out = io.BytesIO()
        metadata = {"CreationDate": None} if kind == "pdf" else None
        figure.savefig(out, format=kind, dpi=150, metadata=metadata)
    return out.getvalue()


def _drawdown(axes: Any, shown: Pictured) -> None:
    days, percent = broken(shown.days, 100 * shown.drawdowns)
    axes.fill_between(days, percent, 0, color=PALE, linewidth=0)
    axes.plot(days, percent, color=BLUE, linewidth=0.9)
    lowest = int(np.argmin(shown.drawdowns))
    axes.plot(shown.days[lowest], 100 * shown.drawdowns[lowest], "o", color=RED, markersize=3.5)
    # Beside the title, where it covers no line.
    said = f"lowest: {100 * shown.drawdowns[lowest]:.1f} % on {shown.days[lowest]}"
    axes.set_title(said, loc="right", color=RED, weight="normal", fontsize="medium")
    axes.set(title="Drawdown", ylabel="below the highest value (%)")
    _dates(axes)


def _volatility(axes: Any, shown: Pictured) -> None:
    if np.isfinite(shown.volatility).sum() > 1:
        label = f"{shown.volatility_window} days, rolling"
        axes.plot(*broken(shown.days, 100 * shown.volatility), color=BLUE, linewidth=1.1, label=label)
    axes.plot(*broken(shown.days, 100 * shown.ewma), color=ORANGE, linewidth=0.8, label="EWMA, decay 0.94")
    axes.set(title="Volatility", ylabel="a year (%)")
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
    axes.legend(loc="upper left", ncols=2)
    _dates(axes)


def _distribution(axes: Any, shown: Pictured) -> None:
    percent = 100 * shown.returns
    edge = float(np.quantile(np.abs(percent), 0.998)) or 1.0
    reach = max([edge] + [100 * mark.expected_shortfall for mark in shown.marks]) * 1.05
    count = int(np.clip(np.sqrt(len(percent)) * 2, 20, 80))
    axes.hist(np.clip(percent, -reach, reach), bins=count, color=PALE, edgecolor="white", linewidth=0.3)
    for i, mark in enumerate(shown.marks):
        level = f"{100 * mark.confidence_level:g} %"
        color = (ORANGE, RED, INK)[i % 3]
        var, shortfall = -100 * mark.value_at_risk, -100 * mark.expected_shortfall
        axes.axvline(var, color=color, linewidth=1.2, label=f"VaR {level}: {-var:.2f} %")
        axes.axvline(shortfall, color=color, linewidth=1.2, linestyle=":", label=f"ES {level}: {-shortfall:.2f} %")
    axes.set(title="Returns of one day, VaR and ES (historical)", xlabel="return of a day (%)", ylabel="number of days")
    if shown.marks:
        axes.legend(loc="upper right")


def _exceedances(axes: Any, shown: Pictured) -> None:
    if shown.tested is None:
        axes.set(title="Exceedances of the value at risk")
        axes.text(
            0.5, 0.5, "no method could be tested on this period", ha="center", transform=axes.transAxes, color=GREY
        )
        axes.set_axis_off()
        return
    tested = shown.tested
    days, percent = shown.days[tested.places], 100 * shown.returns[tested.places]
    beyond = percent < -100 * tested.losses
    level = f"{100 * tested.confidence_level:g} %"
    axes.vlines(days, 0, percent, color="#aab7c4", linewidth=0.5 if len(days) > 600 else 0.9)
    label = f"VaR of the day, {tested.method}"
    axes.plot(*broken(days, -100 * tested.losses), color=BLUE, linewidth=0.9, label=label)
    axes.plot(days[beyond], percent[beyond], "o", color=RED, markersize=2.8, label=f"{int(beyond.sum())} exceedances")
    axes.set(title=f"Exceedances of the VaR at {level}", ylabel="return of a day (%)")
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.35 * (top - bottom))
    axes.legend(loc="upper left")
    _dates(axes)


CHARTS: tuple[Callable[[Any, Pictured], None], ...] = (_drawdown, _volatility, _distribution, _exceedances)


LEFT, WIDTH, BOTTOM = 0.08, 0.88, 0.025
TOP_OF_CHARTS, BETWEEN_CHARTS, ABOVE_TABLE = 0.79, 0.045, 0.055
"""The last two hold the axis labels of what is above them and the title of what is below."""
ROW, TALLEST_TABLE = 0.0157, 0.35
"""A row of a table at full size; what is taller than the second is set smaller."""


def _boxes(rows: int) -> list[tuple[float, float, float, float]]:
    """Left, bottom, width and height of the parts of the page, heading first and table, of so many ``rows``, last. The
    charts share what the table leaves."""
    table = min(ROW * rows, TALLEST_TABLE)
    lowest = BOTTOM + table + ABOVE_TABLE
    height = (TOP_OF_CHARTS - lowest - 2 * BETWEEN_CHARTS) / 3
    step, half = height + BETWEEN_CHARTS, (WIDTH - 0.10) / 2
    charts = [(LEFT, lowest + at * step, WIDTH, height) for at in (2, 1)]
    charts += [(left, lowest, half, height) for left in (LEFT, LEFT + half + 0.10)]
    return [(LEFT, 0.915, WIDTH, 0.055), (LEFT, 0.825, WIDTH, 0.08), *charts, (LEFT, BOTTOM, WIDTH, table)]


def _dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.margins(x=0.01)


def _heading(axes: Any, shown: Pictured) -> None:
    axes.set_axis_off()
    axes.text(0, 1, shown.title, fontsize=15, weight="bold", va="top", transform=axes.transAxes)
    axes.text(0, 0.6, "\n".join(shown.lines), fontsize=7.5, color=GREY, va="top", transform=axes.transAxes)


def _figures(axes: Any, shown: Pictured, columns: int = 4) -> None:
    """Names and numbers, in columns."""
    axes.set_axis_off()
    rows = -(-len(shown.figures) // columns)
    for i, (name, value) in enumerate(shown.figures):
        left, top = (i // rows) / columns, 1 - (i % rows) / rows
        axes.text(left, top, name, va="top", color=GREY, transform=axes.transAxes)
        axes.text(left + 0.88 / columns, top, value, va="top", ha="right", weight="bold", transform=axes.transAxes)


def _table(axes: Any, shown: Pictured) -> None:
    axes.set_axis_off()
    axes.set_title("Value at risk over one day, and how it held")
    head, *rows = shown.table
    box = (0.0, 0.0, 1.0, 1.0)
    made = axes.table(rows, colLabels=head, bbox=box, cellLoc="right", colLoc="right", edges="horizontal")
    made.auto_set_font_size(False)
    made.set_fontsize(6.5 * min(1.0, TALLEST_TABLE / (ROW * len(shown.table))))
    for (row, column), cell in made.get_celld().items():
        cell.set_edgecolor("#e1e6eb")
        if column == 0:
            cell.set_text_props(ha="left")
        if row == 0:
            cell.set_text_props(weight="bold", color=GREY)
        elif rows[row - 1][column] == "fails":
            cell.set_text_props(color=RED, weight="bold")


def broken(days: Times, values: Floats) -> tuple[Times, Floats]:
    """The (n,) days and values, with a NaN in every gap longer than LONGEST_GAP: no line is drawn over what is not
    known."""
    after = np.flatnonzero(np.diff(days) > LONGEST_GAP) + 1
    return np.insert(days, after, days[after] - np.timedelta64(1, "D")), np.insert(values, after, np.nan)


def _svg(figure: Any) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)


def ids_of_their_own(svgs: Sequence[str]) -> list[str]:
    """The same elements with ids that do not meet when they stand on one page."""
    return [re.sub(r'(\bid="|href="#|url\(#)', rf"\1c{i}-", svg) for i, svg in enumerate(svgs)]
