"""How a forecast came out, from the bars that came after it. No clock and no database here.

The realised price is ``current_price`` times the change of the same column that returns are taken from, adjusted closes
where there are any: a later series may be rescaled by splits and dividends, its changes are not. So a target, which is
made the same way, is compared in the scale in which it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from contracts import Bars, Floats
from records import ENSEMBLE, ForecastRecord, Settlement

NEXT_BAR_WITHIN = timedelta(days=7)
"""Where the target date has no bar, the next one counts if it is not later than this."""
GIVE_UP_AFTER = timedelta(days=90)
"""Without a bar at or after the target date for so long, a forecast will not be settled."""
SHORTEST_PAST = 250
"""Complete returns that the random walk's quantiles need."""


@dataclass(frozen=True, slots=True)
class Scored:
    """``member_errors`` by model; ``outcomes`` are what scores are counted from: the ensemble's and each member's."""

    settlement: Settlement
    member_errors: Mapping[str, float]
    outcomes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Unsettleable:
    reason: str


def score(record: ForecastRecord, bars: Bars | None, now: datetime) -> Scored | Unsettleable | None:
    """None where that cannot be said yet. ``bars`` is None where no source has any. ``now`` is aware, UTC."""
    found = None if bars is None else _places(record, bars, now.date())
    if bars is not None and isinstance(found, tuple):
        return _scored(record, bars, *found, now)
    if found is not None and not isinstance(found, tuple):
        return found
    if now.date() - max(record.target_date, record.made_at.date()) > GIVE_UP_AFTER:
        return Unsettleable(f"no bar at or after the target date in {GIVE_UP_AFTER.days} days")
    return None


def _places(record: ForecastRecord, bars: Bars, today: date) -> tuple[int, int] | Unsettleable | None:
    """Positions of the bars of ``as_of`` and of the target date; a bar of today may still change and does not count."""
    days = bars.times.astype("datetime64[D]")
    start = int(np.searchsorted(days, np.datetime64(record.as_of)))
    end = int(np.searchsorted(days, np.datetime64(record.target_date)))
    if end == len(days) or days[end].item() >= today:
        return None
    if days[end].item() - record.target_date > NEXT_BAR_WITHIN:
        return Unsettleable(f"no bar on the target date or in the {NEXT_BAR_WITHIN.days} days after it")
    if days[start].item() != record.as_of:
        return Unsettleable("the series no longer has the bar that the forecast was made from")
    return start, end


def _scored(record: ForecastRecord, bars: Bars, start: int, end: int, now: datetime) -> Scored:
    closes = bars.total_return_close
    change = float(closes[end] / closes[start])
    price = record.current_price * change
    levels = np.array([float(level) for level in record.quantiles])
    own = np.log(np.array(list(record.quantiles.values())) / record.current_price)
    past = _random_walk(closes[: start + 1], record.horizon, levels)
    settlement = Settlement(
        settled_at=now,
        realised_date=bars.times[end].astype("datetime64[D]").item(),
        bars_ahead=end - start,
        realised_price=price,
        realised_return=change - 1.0,
        error=_error(record, price, record.price_target),
        inside_interval=record.lower <= price <= record.upper,
        pinball=pinball(np.log(change), own, levels),
        pinball_random_walk=None if past is None else pinball(np.log(change), past, levels),
    )
    member_errors = {
        member.model: _error(record, price, member.price_target)
        for member in record.members
        if member.price_target is not None
    }
    return Scored(settlement, member_errors, tuple(_outcomes(record, settlement, member_errors)))


def pinball(outcome: float, quantiles: Floats, levels: Floats) -> float:
    """Mean quantile loss of one outcome: (n_levels,) quantiles at (n_levels,) levels, all log returns."""
    miss = outcome - quantiles
    return float(np.mean(np.maximum(levels * miss, (levels - 1.0) * miss)))


def _random_walk(closes: Floats, horizon: int, levels: Floats) -> Floats | None:
    """Quantiles of all ``horizon``-bar log returns complete at the last of ``closes``: what was known then."""
    if len(closes) < SHORTEST_PAST + horizon:
        return None
    log_price = np.log(closes)
    quantiles: Floats = np.quantile(log_price[horizon:] - log_price[:-horizon], levels)
    return quantiles


def _error(record: ForecastRecord, realised: float, target: float) -> float:
    """Realised minus forecast, as a fraction of the price at ``as_of``."""
    return (realised - target) / record.current_price


def _outcomes(
    record: ForecastRecord, settlement: Settlement, member_errors: Mapping[str, float]
) -> list[Mapping[str, Any]]:
    """Rows of the table of outcomes but for when they were settled."""
    key = {
        "symbol": record.symbol,
        "timeframe": record.timeframe,
        "horizon": record.horizon,
        "as_of": record.as_of,
        "models_version": record.models_version,
        "random_walk_error": settlement.realised_return,
    }
    blended = ",".join(member.model for member in record.members if member.weight > 0)
    ensemble = {
        "model": ENSEMBLE,
        "members": blended,
        "error": settlement.error,
        "inside_50": _inside(record, settlement.realised_price, "0.25", "0.75"),
        "inside_90": _inside(record, settlement.realised_price, "0.05", "0.95"),
        "pinball": settlement.pinball,
        "pinball_random_walk": settlement.pinball_random_walk,
    }
    nothing = dict.fromkeys(("inside_50", "inside_90", "pinball", "pinball_random_walk"))
    alone = [{"model": name, "members": "", "error": error, **nothing} for name, error in member_errors.items()]
    return [key | each for each in (ensemble, *alone)]


def _inside(record: ForecastRecord, price: float, lower: str, upper: str) -> int | None:
    if lower not in record.quantiles or upper not in record.quantiles:
        return None
    return int(record.quantiles[lower] <= price <= record.quantiles[upper])
