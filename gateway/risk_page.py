"""The risk report as one HTML page: nothing in it comes from elsewhere, and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from gateway.risk_picture import Pictured

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Inline styles only: matplotlib writes them on every line it draws."""

_STYLE = """
:root { color-scheme: light }
body { margin: 0; background: #f5f7fa; color: #1f2933; font: 15px/1.5 "DejaVu Sans", system-ui, sans-serif }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 48px }
h1 { font-size: 26px; margin: 0 } h2 { font-size: 17px; margin: 32px 0 8px }
p { margin: 4px 0 } .quiet { color: #616e7c; font-size: 13px }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 2px 28px; margin: 20px 0;
  padding: 14px 18px; background: #fff; border-radius: 8px }
.figures div { display: flex; justify-content: space-between; border-bottom: 1px solid #eef1f4; padding: 3px 0 }
.figures span { color: #616e7c }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 14px }
.charts figure { margin: 0; padding: 8px; background: #fff; border-radius: 8px }
svg { width: 100%; height: auto; display: block }
.scroll { overflow-x: auto; background: #fff; border-radius: 8px; padding: 4px 14px }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid #eef1f4; white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { color: #616e7c; font-weight: 600 }
.fails { color: #c0392b; font-weight: 600 } .passes { color: #23804a; font-weight: 600 }
dt { font-weight: 600; font-size: 13px } dd { margin: 0 0 6px; font-size: 13px; color: #52606d }
"""


def page_of(shown: Pictured, charts: Sequence[str], body: dict[str, Any]) -> bytes:
    """``charts`` are the SVG elements, ``body`` is the answer of the JSON route."""
    title = escape(shown.title)
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>',
        "<body><main>",
        f"<h1>{title}</h1>",
        *(f'<p class="quiet">{escape(line)}</p>' for line in shown.lines),
        _figures(shown),
        '<div class="charts">',
        *(f"<figure>{chart}</figure>" for chart in charts),
        "</div><h2>Value at risk over one day, and how it held</h2>",
        _table(shown),
        "<h2>How each is estimated</h2>",
        _list({entry["method"]: _how(entry) for entry in body["value_at_risk"]}),
        *(["<h2>What could not be computed</h2>", _list(body["unavailable"])] if body["unavailable"] else []),
        "</main></body></html>",
    ]
    return "\n".join(parts).encode()


def _how(entry: dict[str, Any]) -> str:
    """How it is estimated, and what its backtest rests on, or why there is none."""
    tested = entry["backtest"]
    return f"{entry['definition']}. Backtest: {tested['scope'] if tested else entry['unavailable']['backtest']}."


def _figures(shown: Pictured) -> str:
    rows = "".join(f"<div><span>{escape(name)}</span><b>{escape(value)}</b></div>" for name, value in shown.figures)
    return f'<div class="figures">{rows}</div>'


def _table(shown: Pictured) -> str:
    head, *rows = shown.table
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ("".join(_cell(cell) for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    marked = f' class="{text}"' if text in ("passes", "fails") else ""
    return f"<td{marked}>{escape(text)}</td>"


def _list(reasons: dict[str, str]) -> str:
    return (
        "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in reasons.items()) + "</dl>"
    )
