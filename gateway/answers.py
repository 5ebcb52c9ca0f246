"""A forecast as it goes out: bytes that are ready to send, so that a kept one is never written twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from contracts import Forecast, MemberEvent
from errors import DeepFinanceError

# Inside a JSON string every quote is escaped, so these bytes occur once: at the field itself.
_COMPUTED, _KEPT = b',"cached":false,', b',"cached":true,'
_JUST_COMPUTED = "-0"
"""Ends the tag of an answer that was not kept before: it differs from the kept one in a single field."""

VARY = "Authorization, X-API-Key"

_LAYOUT = b"1"
_TAG_AT, _BODY_AT = 9, 41


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is the JSON of one forecast, ``tag`` the opaque part of its strong ETag, and ``max_age`` for how many
    seconds more it may be given again: 0 where it must not be kept."""

    body: bytes
    tag: str
    max_age: float
    cached: bool

    def again(self, max_age: float) -> Answer:
        """The same forecast as it is given the next time: ``cached`` is true, every other byte the same."""
        body = self.body if self.cached else self.body.replace(_COMPUTED, _KEPT, 1)
        return Answer(body, self.tag.removesuffix(_JUST_COMPUTED), max_age, cached=True)


def answer_of(forecast: Forecast, max_age: float) -> Answer:
    """The answer to whoever had the forecast computed."""
    body = orjson.dumps(from_forecast(forecast), option=orjson.OPT_SERIALIZE_NUMPY)
    return Answer(body, tag_of(body.replace(_COMPUTED, _KEPT, 1)) + _JUST_COMPUTED, max_age, cached=False)


def computed(outcome: Forecast | DeepFinanceError) -> Answer | DeepFinanceError:
    """An outcome that nobody keeps."""
    return answer_of(outcome, 0.0) if isinstance(outcome, Forecast) else outcome


def member_events(answer: Answer) -> list[MemberEvent]:
    """What would have been told of each member while this forecast was made."""
    members = orjson.loads(answer.body)["members"]
    return [
        MemberEvent(it["model"], it["version"], it["status"], it["price_target"], it["error"])
        for it in members
        if it["status"] != "left_out"
    ]


def tag_of(body: bytes) -> str:
    """32 hexadecimal digits that other bytes do not have."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def pack(answer: Answer, now: datetime) -> bytes:
    """A kept answer as bytes: layout, when it ends (milliseconds of Unix time), hash of the body, body."""
    kept = answer.again(0.0)
    ends_at = int((now.timestamp() + answer.max_age) * 1000)
    return b"".join((_LAYOUT, ends_at.to_bytes(8, "big"), kept.tag.encode(), kept.body))


def unpack(value: bytes, now: datetime) -> tuple[Answer, float] | None:
    """The answer and the seconds it has left; None for what is over, or is not what ``pack`` made."""
    body = value[_BODY_AT:]
    tag = value[_TAG_AT:_BODY_AT].decode("ascii", "replace")
    if value[:1] != _LAYOUT or not body or tag_of(body) != tag:
        return None
    left = int.from_bytes(value[1:_TAG_AT], "big") / 1000 - now.timestamp()
    return (Answer(body, tag, left, cached=True), left) if left > 0 else None


def matches(if_none_match: bytes, tag: str) -> bool:
    """Whether the caller holds this forecast: its own tag is named, or that of the answer it was first given with."""
    if if_none_match.strip() == b"*":
        return True
    ours = tag.removesuffix(_JUST_COMPUTED)
    held = (it.strip().removeprefix(b"W/").strip(b'"').decode("latin-1") for it in if_none_match.split(b","))
    return any(it.removesuffix(_JUST_COMPUTED) == ours for it in held)


def validators(tag: str, max_age: float) -> dict[str, str]:
    """The headers that say how long an answer stays good, and by what to ask whether it still is."""
    kept = f"private, max-age={int(max_age)}" if max_age >= 1 else "no-store"
    return {"Cache-Control": kept, "ETag": f'"{tag}"', "Vary": VARY}


def from_forecast(forecast: Forecast) -> dict[str, Any]:
    """The body of one forecast for orjson, which writes records as objects and dates as ISO 8601. ``explanation``
    only where there is one."""
    explained = {} if forecast.explanation is None else {"explanation": forecast.explanation}
    return {
        "forecast_id": forecast.forecast_id,
        "symbol": forecast.symbol,
        "timeframe": forecast.timeframe,
        "as_of": forecast.as_of,
        "current_price": forecast.current_price,
        "currency": forecast.currency,
        "horizon": forecast.horizon,
        "target_date": forecast.target_date,
        "prediction": _prediction(forecast),
        "interval": {
            "confidence_level": forecast.confidence_level,
            "lower": forecast.lower,
            "upper": forecast.upper,
        },
        "quantiles": forecast.quantiles,
        "path": forecast.path,
        "members": forecast.members,
        "confidence_breakdown": forecast.confidence_breakdown,
        "evidence": forecast.evidence,
        "data": forecast.data,
        "models_version": forecast.models_version,
        "degraded": forecast.degraded,
        "cached": forecast.cached,
        "notes": forecast.notes,
        **explained,
    }


def _prediction(forecast: Forecast) -> dict[str, Any]:
    return {
        "price_target": forecast.price_target,
        "expected_return": forecast.expected_return,
        "direction": forecast.direction,
        "probability_up": forecast.probability_up,
        "confidence": forecast.confidence,
    }
