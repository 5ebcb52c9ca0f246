"""Fetched bars as bytes, for processes to share: an npz archive of arrays and a JSON header, nothing executable."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from contracts import AssetClass, BarIssue, Bars, Instrument
from market.source import LatestPrice

COLUMNS = ("times", "open", "high", "low", "close", "adj_close", "volume")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one fetch gave: bars (with ``fetched_at``), what they are of, the last price, and the cache period it was
    fetched in."""

    bars: Bars
    instrument: Instrument
    latest: LatestPrice | None
    period: int


def packed(fetched: Fetched) -> bytes:
    bars = fetched.bars
    header = {
        "symbol": bars.symbol,
        "timeframe": bars.timeframe,
        "provider": bars.provider,
        "issues": [asdict(issue) for issue in bars.issues],
        "fingerprint": bars.fingerprint,
        "fetched_at": bars.fetched_at and bars.fetched_at.isoformat(),
        "instrument": asdict(fetched.instrument),
        "latest": fetched.latest and {"price": fetched.latest.price, "time": fetched.latest.time.isoformat()},
        "period": fetched.period,
    }
    columns = {name: getattr(bars, name) for name in COLUMNS if getattr(bars, name) is not None}
    columns["times"] = bars.times.astype("datetime64[s]").astype(np.int64)
    content = io.BytesIO()
    np.savez(content, header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), **columns)
    return content.getvalue()


def unpacked(content: bytes) -> Fetched | None:
    """None for bytes that are not whole: the fingerprint is taken anew and compared."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive.files}
        header = json.loads(columns.pop("header").tobytes())
        fetched = _fetched(header, columns)
    except Exception:  # whatever is wrong with it, it is not what was put there
        return None
    return fetched if fetched.bars.fingerprint == header["fingerprint"] else None


def _fetched(header: dict[str, Any], columns: dict[str, Any]) -> Fetched:
    unit = "datetime64[D]" if header["timeframe"] == "1d" else "datetime64[s]"
    latest, instrument = header["latest"], header["instrument"]
    bars = Bars(
        symbol=header["symbol"],
        timeframe=header["timeframe"],
        times=columns.pop("times").astype("datetime64[s]").astype(unit),
        provider=header["provider"],
        issues=tuple(BarIssue(**issue) for issue in header["issues"]),
        fetched_at=datetime.fromisoformat(header["fetched_at"]),
        **columns,
    )
    return Fetched(
        bars,
        Instrument(**{**instrument, "asset_class": AssetClass(instrument["asset_class"])}),
        latest and LatestPrice(latest["price"], datetime.fromisoformat(latest["time"])),
        header["period"],
    )
