"""The two native routes, as functions of a checked body and a backend.

In the service::

    @bentoml.api(route="/api/v1/predict", output_spec=PredictResponse)
    async def predict(self, body: PredictRequest, /) -> Response:
        return await answer_predict(body, self.backend)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.responses import Response

from contracts import ForecastRequest
from errors import DeepFinanceError
from gateway.answers import Answer, validators
from gateway.backend import Backend, Catalogue
from gateway.convert import ordinary_fields, ordinary_request, to_request
from gateway.hot import leave
from gateway.responses import error_info, json_response, log_if_unforeseen, problem_of
from gateway.schemas import BatchRequest, PredictRequest


async def answer_predict(body: PredictRequest, backend: Backend) -> Response:
    """Forecast one symbol. Raises the DeepFinanceError that the factory turns into the error response."""
    return predict_response(await forecast_of(to_request(body, backend.catalogue()), backend))


async def forecast_of(request: ForecastRequest, backend: Backend) -> Answer:
    """The answer to one request. Raises the DeepFinanceError that it is answered with instead."""
    [answer] = await backend.predict([request])
    if isinstance(answer, DeepFinanceError):
        raise answer
    return answer


def predict_response(answer: Answer) -> Response:
    """What goes out; the door is left the answer to keep."""
    leave(answer)
    return Response(answer.body, headers=validators(answer.tag, answer.max_age), media_type="application/json")


def request_in(body: bytes, catalogue: Catalogue) -> ForecastRequest:
    """What a body asks for. Raises ValidationError, or what ``to_request`` raises."""
    return ordinary_request(body, catalogue) or to_request(PredictRequest.model_validate_json(body), catalogue)


async def answer_batch(body: BatchRequest, backend: Backend) -> Response:
    """Forecast many. An item that cannot be answered gets its own error, in its place."""
    catalogue = backend.catalogue()
    checked = [_checked(item, catalogue) for item in body.requests]
    answers = await _answers(checked, backend)
    results = [_result(answer) for answer in answers]
    succeeded = sum(result["status"] == 200 for result in results)
    return json_response(
        {
            "results": results,
            "count": len(results),
            "succeeded": succeeded,
            "failed": len(results) - succeeded,
        }
    )


def _checked(item: Any, catalogue: Catalogue) -> ForecastRequest | ValidationError | DeepFinanceError:
    try:
        return ordinary_fields(item, catalogue) or to_request(PredictRequest.model_validate(item), catalogue)
    except (ValidationError, DeepFinanceError) as exc:
        return exc


async def _answers(checked: Sequence[ForecastRequest | Exception], backend: Backend) -> list[Answer | Exception]:
    """Ask once for all that can be asked, and put the answers back in their places."""
    requests = [item for item in checked if isinstance(item, ForecastRequest)]
    forecasts = iter(await backend.predict(requests) if requests else ())
    return [next(forecasts) if isinstance(item, ForecastRequest) else item for item in checked]


def _result(answer: Answer | Exception) -> dict[str, Any]:
    if isinstance(answer, Answer):
        return {"status": 200, "forecast": orjson.Fragment(answer.body)}
    problem = problem_of(answer)
    log_if_unforeseen(answer, problem)
    return {"status": problem.status, "error": error_info(problem)}
