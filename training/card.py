"""The model card, written from the manifest so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from contracts import AssetClass, ModelSet
from training.calibrate import ALWAYS
from training.champion import Verdict
from training.leaderboard import leaderboards_markdown
from training.scoreboard import markdown_table


def model_card(published: ModelSet, verdict: Verdict) -> str:
    """Markdown: what the set is, what it was made from, what it scored, what it must not be used for."""
    manifest = cast(Mapping[str, Any], published.manifest)
    windows = manifest["windows"]
    return CARD.format(
        version=published.version,
        fast=FAST if manifest["fast"] else "",
        training=" to ".join(windows["training"]),
        calibration=" to ".join(windows["calibration"]),
        evidence=" to ".join(windows["evidence"]),
        symbols=", ".join(manifest["data"]),
        range_symbols=", ".join(manifest["range_data"]) or "none",
        seed=manifest["seed"],
        horizons=", ".join(map(str, manifest["grid"]["horizons"])),
        fingerprint=manifest["features"]["fingerprint"],
        n_features=len(manifest["features"]["names"]),
        n_ranges=len(manifest["features"]["ranges"]),
        members="\n".join(_member(m, manifest["weights"]) for m in manifest["members"]),
        left_out=_left_out(manifest["left_out"]),
        curves=CURVES if any(m["kind"] == "onnx" for m in manifest["members"]) else "",
        promotion=_promotion(verdict),
        unmeasured=_unmeasured(manifest["evidence"]),
        bundled=BUNDLED if "bundled" in manifest["providers"] else "",
        always=", ".join(ALWAYS),
        leaderboard=leaderboards_markdown(manifest.get("leaderboard") or {}),
        tables="\n\n".join(
            f"### {name}\n\n{manifest['evidence'][name]['scope']}.\n\n{markdown_table(rows)}"
            for name, rows in manifest["scores"].items()
        ),
    )


def _member(member: Mapping[str, Any], weights: Mapping[str, Any]) -> str:
    spans = " | ".join(_span(weights[kind][member["name"]]) for kind in STOCKS)
    return f"| {member['name']} | {member['version']} | `{member['file']}` | {spans} |"


def _left_out(left_out: Mapping[str, Mapping[str, str]]) -> str:
    lines = [f"- **Left out**: {name}: {why}." for each in left_out.values() for name, why in each.items()]
    return "".join(f"\n{line}" for line in lines)


def _unmeasured(evidence: Mapping[str, Any]) -> str:
    rest = [str(each) for each in AssetClass if each not in evidence]
    return f"Nothing was measured for {', '.join(rest)}; answers for these say so." if rest else ""


def _promotion(verdict: Verdict) -> str:
    replaced = f"replaces {verdict.champion}" if verdict.champion else "replaces nothing that could be compared"
    forced = " with --force, against the rule" if verdict.forced else ""
    where = ""
    if verdict.window and verdict.rows:
        where = f", compared on origins and outcomes {verdict.window[0]} to {verdict.window[1]}"
    return f"It {replaced}{forced}{where}: {verdict.reason}."


# Crypto and currencies use the same weights.
STOCKS = ("stocks", "stocks with ranges")


def _span(weights: list[float]) -> str:
    return f"{min(weights):.2f} to {max(weights):.2f}"


FAST = "\nMade with `--fast` to try the machinery: **the scores mean nothing**.\n"
CURVES = "\n\n![Loss of the networks by epoch](curves.svg)"

CARD = """# Model set {version}
{fast}
Forecasts the distribution of the cumulative log return 1 to 90 bars ahead, for any symbol with daily closes. Made by
`make train`; this page is written by it from `manifest.json`.

| member | version | file | weight over the horizons, closes alone | with open, high, low and volume |
|---|---|---|---|---|
{members}

- **Target**: return over h bars in units of current volatility, z = r / (sigma sqrt(h)), quantiles at horizons
  {horizons}, interpolated between. Members answer in units of the volatility that a filter of the symbol's own returns
  expects over the h bars (docs/features.md).
- **Inputs**: {n_features} scale-free features of the closes and the last 64 bars; {n_ranges} more of open, high,
  low and volume for the members that use them. Fingerprint `{fingerprint}`.
- **Data**: {symbols}; for the members that use ranges also: {range_symbols}.{left_out}
- **Windows**: members fitted on {training}; weights and calibration on {calibration}; scores below measured on
  {evidence}, or as stated. An outcome must lie inside its window, so nothing is fitted on prices of the next.
- **Seed** {seed}. The same command on the same versions gives the same scores within 0.05 points of skill.{curves}

## Why it is published

{promotion}

## Scores

Skill is 1 - pinball loss / pinball loss of the reference, over the quantiles 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95;
t is Diebold-Mariano over days. Random walk: the symbol's own unconditional quantiles, known at the origin.

{tables}

## What each member is worth

Of each member alone, before calibration, the skill against EWMA; and by which share the loss of the ensemble would grow
without it, or for a member without weight would shrink if it joined with an equal share (t: Diebold-Mariano). Members
are chosen on the calibration window by dropping, one after the other, those whose absence it does not notice, but
{always} always stay; the evidence window is shown for information and chose nothing. A member without weight answers
where it is named.

{leaderboard}

## What it is not

The sign of a return is not forecast better than by its base rate, and answers say `neutral` where none was measured.
The skill is in the spread: how wide the distribution is today. {unmeasured}{bundled}
"""

BUNDLED = """ The 20 bundled shares were chosen by the package that carries them and all survived to 2022, so drift and
the base rate of rises are those of survivors. What closes cannot say, `har_range` and `fhs_range` learn from four
shares to 2013 and two indexes; no share with open, high, low and volume later than calibration is at hand to measure
it on."""
