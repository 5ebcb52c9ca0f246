"""`python deploy/grafana/draw.py http://127.0.0.1:9090 [--minutes 60] [--out FOLDER]`: the dashboards as pictures.

Every panel is drawn from its own queries, units, thresholds and legends, asked of Prometheus' query_range: what Grafana
would show, drawn by matplotlib, for documents and for places without Grafana. Needs matplotlib and httpx.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

BOARDS = Path(__file__).parent / "dashboards"
COLUMNS, WIDTH, ROW, GAP = 24, 14.0, 0.34, 0.1
"""Grafana's grid: columns of a board; inches of its width, of a row, and between panels."""
HEAD, LEGEND_ROW, LEGEND_ROWS = 0.62, 0.17, 4
POINTS = 240
"""How many of a line are drawn."""
PAPER, CARD, INK, FAINT = "#f4f5f7", "#ffffff", "#24292e", "#8a9099"
COLOURS = ("#3274d9", "#e0752d", "#37872d", "#8f3bb8", "#e02f44", "#0a9396", "#b8870b", "#d6548e", "#5b6b8c", "#7a5c3e")
NAMED = {"green": "#37872d", "red": "#d0253b", "orange": "#e0752d", "transparent": "none"}
SUFFIX = {"reqps": " req/s", "ops": " ops/s", "cps": " c/s", "bytes": "B"}


@dataclass(frozen=True)
class Line:
    """A series: its name in the legend, epoch seconds (n,), values (n,) with NaN where there is none."""

    name: str
    times: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]


Ask = Callable[[str], Sequence[tuple[Mapping[str, str], Sequence[tuple[float, float]]]]]
"""Expression -> (labels, (time, value)s) of every series."""


def asking(url: str, start: float, end: float, step: float) -> Ask:
    """Of a Prometheus."""

    def ask(expression: str) -> Sequence[tuple[Mapping[str, str], Sequence[tuple[float, float]]]]:
        params: dict[str, Any] = {"query": expression, "start": start, "end": end, "step": step}
        answer = httpx.get(f"{url}/api/v1/query_range", params=params, timeout=60)
        answer.raise_for_status()
        found = answer.json()["data"]["result"]
        return [(it["metric"], [(float(at), float(value)) for at, value in it["values"]]) for it in found]

    return ask


def lines_of(panel: Mapping[str, Any], ask: Ask, times: np.ndarray[Any, Any]) -> list[Line]:
    """What the panel's queries give at ``times``, those of a query in the order of their names."""
    lines: list[Line] = []
    for target in panel["targets"]:
        found = [(_legend(target["legendFormat"], labels), dict(pairs)) for labels, pairs in ask(target["expr"])]
        for name, values in sorted(found, key=lambda it: it[0]):
            lines.append(Line(name, times, np.array([values.get(at, np.nan) for at in times])))
    return lines


def _legend(pattern: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{\s*(\w+)\s*}}", lambda it: labels.get(it[1], ""), pattern)


def written(value: float, unit: str) -> str:
    """A number as a reader wants it."""
    if not math.isfinite(value):
        return "no data"
    if unit == "percentunit":
        return f"{100 * value:.3g}%"
    if unit == "s":
        return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{1000 * value:.3g} ms"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {letter}{SUFFIX.get(unit, '').strip()}"
    return f"{value:.3g}{' B' if unit == 'bytes' else SUFFIX.get(unit, '')}"


def draw(board: Mapping[str, Any], ask: Ask, times: np.ndarray[Any, Any], caption: str) -> tuple[Figure, list[str]]:
    """The board, and the titles of panels that showed nothing."""
    rows = max(it["gridPos"]["y"] + it["gridPos"]["h"] for it in board["panels"])
    height = HEAD + ROW * rows + GAP
    figure = Figure(figsize=(WIDTH, height), facecolor=PAPER)
    figure.text(GAP / WIDTH, 1 - 0.16 / height, board["title"], size=15, weight="bold", color=INK, va="top")
    figure.text(GAP / WIDTH, 1 - 0.44 / height, caption, size=8.5, color=FAINT, va="top")
    empty = []
    for panel in board["panels"]:
        lines = [line for line in lines_of(panel, ask, times) if np.isfinite(line.values).any()]
        _draw_panel(figure, panel, lines, times)
        empty += [] if lines else [panel["title"]]
    return figure, empty


@dataclass(frozen=True)
class _Card:
    """A panel's place in inches from the upper left."""

    figure: Figure
    left: float
    top: float
    width: float
    height: float

    def axes(self, left: float, top: float, right: float, bottom: float) -> Axes:
        """A part of it, with these margins in inches."""
        wide, high = self.figure.get_size_inches()
        return self.figure.add_axes(
            (
                (self.left + left) / wide,
                1 - (self.top + self.height - bottom) / high,
                (self.width - left - right) / wide,
                (self.height - top - bottom) / high,
            )
        )


def _draw_panel(figure: Figure, panel: Mapping[str, Any], lines: Sequence[Line], times: np.ndarray[Any, Any]) -> None:
    place, unit = panel["gridPos"], (WIDTH - GAP) / COLUMNS
    card = _Card(
        figure, GAP + place["x"] * unit, HEAD + place["y"] * ROW, place["w"] * unit - GAP, place["h"] * ROW - GAP
    )
    ground = card.axes(0, 0, 0, 0)
    ground.set(xticks=[], yticks=[], facecolor=CARD, xlim=(0, card.width), ylim=(card.height, 0))
    for side in ground.spines.values():
        side.set_color("#dfe2e6")
    ground.text(0.1, 0.1, panel["title"], size=9, weight="bold", color=INK, va="top")
    if not lines:
        ground.text(card.width / 2, card.height / 2, "no data", size=11, color=FAINT, ha="center", va="center")
    elif panel["type"] == "stat":
        names = "name" in panel["options"].get("textMode", "")
        _draw_stat(card, ground, panel["fieldConfig"]["defaults"], lines, names=names)
    else:
        _draw_series(card, panel["fieldConfig"]["defaults"], lines, times)


def _draw_stat(card: _Card, ground: Axes, options: Mapping[str, Any], lines: Sequence[Line], *, names: bool) -> None:
    """The last number of each line, coloured by the thresholds, over its course; ``names``: even of one alone."""
    share = card.width / len(lines)
    for number, line in enumerate(lines):
        last = float(line.values[np.isfinite(line.values)][-1])
        colour, said = _judged(last, options)
        middle = (number + 0.5) * share
        ground.text(middle, card.height * 0.5, said, size=19, color=colour, ha="center", va="center", weight="bold")
        if len(lines) > 1 or names:
            ground.text(middle, card.height * 0.28, line.name, size=8, color=FAINT, ha="center", va="center")
        course = card.axes(number * share, card.height * 0.68, card.width - (number + 1) * share, 0.02)
        course.fill_between(line.times, line.values, np.nanmin([*line.values, 0]), color=colour, alpha=0.15, lw=0)
        course.plot(line.times, line.values, color=colour, lw=1)
        course.set_axis_off()


def _judged(value: float, options: Mapping[str, Any]) -> tuple[str, str]:
    """The colour and the text of a value, by thresholds and value mappings."""
    for mapping in options.get("mappings", ()):
        if shown := mapping["options"].get(f"{value:g}"):
            return NAMED[shown["color"]], shown["text"]
    colour = COLOURS[0]
    for step in options.get("thresholds", {}).get("steps", ()):
        if step["value"] is None or value >= step["value"]:
            colour = NAMED[step["color"]]
    return colour, written(round(value, options["decimals"]) if "decimals" in options else value, options["unit"])


def _draw_series(card: _Card, options: Mapping[str, Any], lines: Sequence[Line], times: np.ndarray[Any, Any]) -> None:
    names = [line.name for line in lines]
    per_row = max(1, int(card.width / (0.32 + 0.068 * max(map(len, names)))))
    legend_rows = min(LEGEND_ROWS, math.ceil(len(names) / per_row))
    axes = card.axes(0.62, 0.36, 0.14, 0.3 + LEGEND_ROW * legend_rows)
    moments = date2num([datetime.fromtimestamp(at, UTC) for at in times])
    for number, line in enumerate(lines):
        style = ("-", "--", ":")[number // len(COLOURS) % 3]
        axes.plot(moments, line.values, style, color=COLOURS[number % len(COLOURS)], lw=1.3, label=line.name)
    _draw_scale(axes, options, moments)
    shown = per_row * legend_rows
    handles = axes.get_legend_handles_labels()[0][:shown]
    for number, handle in enumerate(handles):
        column, row = number % per_row, number // per_row
        x = 0.16 + column * card.width / per_row * 0.98
        y = card.height - 0.1 - LEGEND_ROW * (legend_rows - row - 0.5)
        _name(card, x, y, handle, names[number])


def _name(card: _Card, x: float, y: float, line: Any, name: str) -> None:
    """One entry of the legend, at inches from the card's upper left."""
    wide, high = card.figure.get_size_inches()
    at = 1 - (card.top + y) / high
    begin = (card.left + x) / wide
    card.figure.add_artist(
        Line2D([begin, begin + 0.14 / wide], [at, at], color=line.get_color(), lw=2, ls=line.get_linestyle())
    )
    card.figure.text(begin + 0.2 / wide, at, name, size=7.5, color=INK, va="center")


def _draw_scale(axes: Axes, options: Mapping[str, Any], moments: np.ndarray[Any, Any]) -> None:
    axes.set_facecolor(CARD)
    axes.grid(color="#e9ebee", lw=0.7)
    axes.tick_params(colors=FAINT, labelsize=7.5, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlim(moments[0], moments[-1])
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=8))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    high = axes.get_ylim()[1]
    if "min" in options:
        is_flat = not any(np.nanmax(line.get_ydata(orig=True)) > 0 for line in axes.get_lines())
        axes.set_ylim(options["min"], 1 if is_flat else high)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, options["unit"])))
    for mapping in options.get("mappings", ()):
        axes.set_ylim(-0.1, max(2.1, high))
        axes.set_yticks([float(value) for value in mapping["options"]])
        axes.set_yticklabels([shown["text"] for shown in mapping["options"].values()])
    if options.get("custom", {}).get("thresholdsStyle", {}).get("mode") == "line":
        for step in options["thresholds"]["steps"]:
            if step["value"] is not None:
                axes.axhline(step["value"], color=NAMED[step["color"]], lw=1, ls="--")


def draw_all(url: str, start: float, end: float, out: Path, about: str = "") -> list[str]:
    """Every dashboard into ``out``; the panels that showed nothing, with their board."""
    matplotlib.use("agg")
    step = max(1, round((end - start) / POINTS))
    times = np.arange(math.ceil(start), math.floor(end) + 1, step)  # whole seconds, which Prometheus gives back exactly
    out.mkdir(parents=True, exist_ok=True)
    span = f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M} to {datetime.fromtimestamp(end, UTC):%H:%M} UTC"
    caption = f"{about}{span}. Drawn from the dashboard's own queries, not by Grafana."
    empty = []
    for path in sorted(BOARDS.glob("*.json")):
        ask = asking(url, float(times[0]), float(times[-1]), step)
        figure, missing = draw(json.loads(path.read_text()), ask, times, caption)
        figure.savefig(out / f"{path.stem}.png", dpi=100, facecolor=PAPER, pil_kwargs={"optimize": True})
        empty += [f"{path.stem}: {title}" for title in missing]
    return empty


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of Prometheus")
    parser.add_argument("--minutes", type=float, default=60.0, help="how far back (60)")
    parser.add_argument("--out", type=Path, default=Path("dashboards"), help="where the pictures go (dashboards)")
    asked = parser.parse_args()
    now = time.time()
    empty = draw_all(asked.url, now - 60 * asked.minutes, now, asked.out)
    sys.stdout.write("".join(f"shows nothing: {each}\n" for each in empty))
    return 0


if __name__ == "__main__":
    sys.exit(main())
