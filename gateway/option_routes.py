"""The option routes, mounted at /api/v1: one contract, or a chain in which each has its own answer or error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import TypeAdapter, ValidationError

from errors import DeepFinanceError
from gateway.option_examples import (
    CHAIN,
    CHAIN_ANSWER,
    CONTRACT,
    PRICE,
    QUOTE,
    QUOTES,
    VOLATILITIES,
    VOLATILITY,
)
from gateway.option_schemas import (
    ImpliedVolatilityAnswer,
    ImpliedVolatilityChainResponse,
    OptionChainRequest,
    OptionChainResponse,
    OptionContract,
    OptionPrice,
    OptionQuote,
    OptionQuotesRequest,
    PriceBody,
    QuoteBody,
)
from gateway.responses import error_info, json_response, log_if_unforeseen, problem_of
from gateway.schemas import Body, ErrorBody

Json = dict[str, Any]
C = TypeVar("C", bound=Body)


class OptionDesk(Protocol):
    """What prices options. One answer or error for each contract, in order; nothing is raised for one contract."""

    async def prices(self, contracts: Sequence[OptionContract]) -> Sequence[Json | DeepFinanceError]:
        """Each like OptionPrice."""
        ...

    async def implied_volatilities(self, quotes: Sequence[OptionQuote]) -> Sequence[Json | DeepFinanceError]:
        """Each like ImpliedVolatilityAnswer."""
        ...


def add_options(app: FastAPI, desk: Callable[[], OptionDesk]) -> None:
    """Add the routes. ``desk`` is called for every request: it does not exist yet at import."""

    @app.post(
        "/options/price",
        summary="Price options, with Greeks",
        tags=["Options"],
        response_model=OptionPrice | OptionChainResponse,
        openapi_extra=_requests(one=CONTRACT, chain=CHAIN),
        responses=_responses(one=PRICE, chain=CHAIN_ANSWER),
    )
    async def option_price(body: PriceBody) -> Response:
        """European options in closed form, American ones by spectral collocation. One contract, or `contracts`."""
        if isinstance(body, OptionChainRequest):
            return await _chain(body.contracts, OptionContract, desk().prices)
        return _one(await desk().prices([body]))

    @app.post(
        "/options/implied-volatility",
        summary="Volatility that prices imply",
        tags=["Options"],
        response_model=ImpliedVolatilityAnswer | ImpliedVolatilityChainResponse,
        openapi_extra=_requests(one=QUOTE, chain=QUOTES),
        responses=_responses(one=VOLATILITY, chain=VOLATILITIES),
    )
    async def option_implied_volatility(body: QuoteBody) -> Response:
        """The volatility at which a contract has its price, or the reason why there is none."""
        if isinstance(body, OptionQuotesRequest):
            return await _chain(body.contracts, OptionQuote, desk().implied_volatilities)
        return _one(await desk().implied_volatilities([body]))


def _one(answers: Sequence[Json | DeepFinanceError]) -> Response:
    [answer] = answers
    if isinstance(answer, DeepFinanceError):
        raise answer
    return json_response(answer)


async def _chain(
    items: Sequence[Any], model: type[C], ask: Callable[[Sequence[C]], Awaitable[Sequence[Json | DeepFinanceError]]]
) -> Response:
    """Check each item on its own, ask once for all that are valid, and answer in the order that came."""
    checked = _all_checked(items, model)
    valid = [item for item in checked if not isinstance(item, ValidationError)]
    answers = iter(await ask(valid) if valid else ())
    results = [_result(item if isinstance(item, ValidationError) else next(answers)) for item in checked]
    return json_response({"results": results})


def _all_checked(items: Sequence[Any], model: type[C]) -> Sequence[C | ValidationError]:
    """All in one call, which is several times faster; one by one where some of them are wrong."""
    try:
        return _many(model).validate_python(items)
    except ValidationError:
        return [_checked(item, model) for item in items]


@cache
def _many(model: type[C]) -> TypeAdapter[list[C]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]


def _checked(item: Any, model: type[C]) -> C | ValidationError:
    try:
        return model.model_validate(item)
    except ValidationError as error:
        return error


def _result(answer: Json | Exception) -> Json:
    if not isinstance(answer, Exception):
        return {"status": 200, **answer}
    problem = problem_of(answer)
    log_if_unforeseen(answer, problem)
    return {"status": problem.status, "error": error_info(problem)}


def _requests(one: Json, chain: Json) -> Json:
    return {"requestBody": {"content": {"application/json": {"examples": _examples(one, chain)}}}}


def _responses(one: Json, chain: Json) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"content": {"application/json": {"examples": _examples(one, chain)}}},
        422: {"model": ErrorBody, "description": "A field is wrong."},
        503: {"model": ErrorBody, "description": "What prices American options with two boundaries cannot answer now."},
        504: {"model": ErrorBody, "description": "American options with two exercise boundaries took too long."},
    }


def _examples(one: Json, chain: Json) -> Json:
    return {
        "contract": {"summary": "One contract", "value": one},
        "chain": {"summary": "A chain, one contract of it wrong", "value": chain},
    }
