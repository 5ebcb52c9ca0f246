"""Search and cursor paging over a list of symbols."""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Sequence

from contracts import Instrument
from errors import ErrorDetail, InvalidRequest
from gateway.reports import SymbolPage, SymbolReport


def page_of(instruments: Sequence[Instrument], text: str, limit: int, cursor: str | None) -> SymbolPage:
    """Those whose symbol or name contains ``text``, in alphabetical order, ``limit`` after ``cursor``.

    The cursor names the last symbol given, so that a page is right also when symbols came or went meanwhile.
    """
    found = sorted(_matching(instruments, text), key=_symbol)
    start = 0 if cursor is None else bisect.bisect_right(found, _decode(cursor), key=_symbol)
    page = found[start : start + limit]
    more = start + limit < len(found)
    return SymbolPage(
        symbols=[SymbolReport.model_validate(known_of(instrument)) for instrument in page],
        total=len(found),
        next_cursor=_encode(page[-1].symbol) if more else None,
    )


def known_of(instrument: Instrument) -> dict[str, str | None]:
    """The fields of SymbolReport."""
    return {
        "symbol": instrument.symbol,
        "name": instrument.name,
        "exchange": instrument.exchange,
        "currency": instrument.currency,
        "calendar": instrument.calendar,
        "asset_class": instrument.asset_class.value,
    }


def _symbol(instrument: Instrument) -> str:
    return instrument.symbol


def _matching(instruments: Sequence[Instrument], text: str) -> list[Instrument]:
    wanted = text.strip().casefold()
    return [it for it in instruments if wanted in it.symbol.casefold() or wanted in (it.name or "").casefold()]


def _encode(symbol: str) -> str:
    return base64.urlsafe_b64encode(symbol.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        detail = ErrorDetail("cursor", "must be a next_cursor that an earlier page gave")
        raise InvalidRequest("1 field is wrong", [detail]) from None
