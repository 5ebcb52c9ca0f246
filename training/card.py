"""The model card, written from the manifest so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from contracts import ModelSet
from training.scoreboard import markdown_table


def model_card(published: ModelSet) -> str:
    """Markdown: what the set is, what it was made from, what it scored, what it must not be used for."""
    manifest = cast(Mapping[str, Any], published.manifest)
    windows = manifest["windows"]
    members = "\n".join(
        f"| {m['name']} | {m['version']} | `{m['file']}` | "
        + " | ".join(_span(manifest["weights"][kind][m["name"]]) for kind in STOCKS)
        + " |"
        for m in manifest["members"]
    )
    tables = "\n\n".join(
        f"### {name}\n\n{manifest['evidence'][name]['scope']}.\n\n{markdown_table(rows)}"
        for name, rows in manifest["scores"].items()
    )
    return CARD.format(
        version=published.version,
        training=" to ".join(windows["training"]),
        calibration=" to ".join(windows["calibration"]),
        evidence=" to ".join(windows["evidence"]),
        symbols=", ".join(manifest["data"]),
        seed=manifest["seed"],
        horizons=", ".join(map(str, manifest["grid"]["horizons"])),
        fingerprint=manifest["features"]["fingerprint"],
        n_features=len(manifest["features"]["names"]),
        n_ranges=len(manifest["features"]["ranges"]),
        members=members,
        tables=tables,
    )


# Crypto and currencies use the same weights.
STOCKS = ("stocks", "stocks with ranges")


def _span(weights: list[float]) -> str:
    return f"{min(weights):.2f} to {max(weights):.2f}"


CARD = """# Model set {version}

Forecasts the distribution of the cumulative log return 1 to 90 bars ahead, for any symbol with daily closes. Made by
`make train`; this page is written by it from `manifest.json`.

| member | version | file | weight over the horizons, closes alone | with open, high, low and volume |
|---|---|---|---|---|
{members}

- **Target**: return over h bars in units of current volatility, z = r / (sigma sqrt(h)), quantiles at horizons
  {horizons}, interpolated between.
- **Inputs**: {n_features} scale-free features of the closes and the last 64 bars; for `har_range` {n_ranges} more of
  open, high, low and volume. Fingerprint `{fingerprint}`.
- **Data**: {symbols}.
- **Windows**: members fitted on {training}; weights and calibration on {calibration}; scores below measured on
  {evidence}, or as stated. An outcome must lie inside its window, so nothing is fitted on prices of the next.
- **Seed** {seed}. The same command on the same versions gives the same scores within 0.2 points of skill.

## Scores

Skill is 1 - pinball loss / pinball loss of the reference, over the quantiles 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95;
t is Diebold-Mariano over days. Random walk: the symbol's own unconditional quantiles, known at the origin.

{tables}

## What it is not

The sign of a return is not forecast better than by its base rate, and answers say `neutral`. The skill is in the
spread: how wide the distribution is today. Indexes are measured on the calibration years, because their bundled
prices end there. Nothing was measured for crypto and currencies; their answers say so. The 20 shares were chosen by
the package that carries them and all survived to 2022, so drift and the base rate of rises are those of survivors.
"""
