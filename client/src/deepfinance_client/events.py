"""Server-sent events of ``POST /predict/stream``: one member after another, then the forecast.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from deepfinance_client.body import Body
from deepfinance_client.errors import UnexpectedAnswer, refusal_late
from deepfinance_client.responses import ErrorBody, PredictResponse


class MemberEvent(Body):
    """One model's own answer; its weight is known once all have answered."""

    model: str
    version: str
    status: Literal["ok", "failed"]
    price_target: float | None
    error: str | None = None


Event = MemberEvent | PredictResponse


class EventReader:
    """Lines in, events out. ``is_over`` once the forecast has come."""

    def __init__(self) -> None:
        self._name, self._data = "", list[str]()
        self.is_over = False

    def line(self, line: str) -> Event | None:
        """The event that ends with this line, None where none does. Raises Refused for an ``error`` event."""
        if not line:
            try:
                return self._end()
            except ValidationError as error:
                raise UnexpectedAnswer(f"an event that is not the service's: {error}") from None
        field, _, value = line.partition(":")
        if field == "event":
            self._name = value.removeprefix(" ")
        elif field == "data":
            self._data.append(value.removeprefix(" "))
        return None

    def finish(self) -> None:
        """To be called when no more lines come. Raises UnexpectedAnswer where there was no forecast."""
        if not self.is_over:
            raise UnexpectedAnswer("the stream ended before the forecast")

    def _end(self) -> Event | None:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data = "", []
        if name == "member":
            return MemberEvent.model_validate_json(data)
        if name == "forecast":
            self.is_over = True
            return PredictResponse.model_validate_json(data)
        if name == "error":
            raise refusal_late(ErrorBody.model_validate_json(data).error)
        return None
