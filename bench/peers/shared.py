"""The pipeline as a plain program would hold it: models in the process, called for each request as it comes.

What a peer does not have is what the service adds: calls shared between requests, features kept from one request to
the next, answers kept. What it does have is the correction of each series, worked out once a bar: without that it
would be a hundred times slower, and no comparison.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from contracts import Floats, Floats32, Forecast, ForecastRequest, MemberSpec
from errors import DeepFinanceError
from gateway.answers import answer_of
from gateway.backend import Catalogue
from gateway.convert import to_request
from gateway.responses import error_body, problem_of
from gateway.schemas import PredictRequest
from inputs import InputMemory
from market.build import LOOK_EVERY
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from market.files import FilesSource
from pipeline import Ports, forecast_many
from runners.members import load_member
from runners.model_set import load_model_set
from settings import model_set_folder

FOLDER = model_set_folder()
MODELS = load_model_set(FOLDER)
CATALOGUE = Catalogue(MODELS.names)


class DirectRunner:
    """A model in this process, asked at once."""

    def __init__(self, spec: MemberSpec) -> None:
        self._spec = spec
        self._member = load_member(spec, MODELS.grid, FOLDER / spec.file)

    @property
    def spec(self) -> MemberSpec:
        return self._spec

    async def predict(self, keys: Sequence[str], rows: Floats32) -> Floats:
        return self._member.predict(rows)


def plain_ports() -> Ports:
    """Prices from the folder that DATA_DIR names, each read once."""
    calendar = ExchangeCalendars()
    calendar.warm_up()
    market = SourceChain([FilesSource(Path(os.environ["DATA_DIR"]), look_every=LOOK_EVERY)])
    return Ports(market, calendar, {spec.name: DirectRunner(spec) for spec in MODELS.members})


def parsed(body: bytes) -> ForecastRequest:
    return to_request(PredictRequest.model_validate_json(body), CATALOGUE)


async def answered(requests: Sequence[ForecastRequest], ports: Ports) -> list[Forecast | DeepFinanceError]:
    """Forecasts with nothing kept of earlier ones but bars and corrections."""
    fresh = replace(ports, inputs=InputMemory())
    return await forecast_many(requests, ports=fresh, model_set=MODELS, now=datetime.now(UTC))


def body_of(outcome: Forecast | DeepFinanceError) -> tuple[int, bytes]:
    """Status and body as the service gives them."""
    if isinstance(outcome, DeepFinanceError):
        problem = problem_of(outcome)
        return problem.status, error_body(problem)
    return 200, answer_of(outcome, 0.0).body
