"""What schemathesis must know of this service. Loaded by it alone, through ``SCHEMATHESIS_HOOKS``.

No check is switched off. Some findings are no faults, each for the reason beside its rule here; whatever else is found
stays found.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import RejectedPositiveData

from gateway.schemas import ErrorBody, PredictResponse

#: Refusals that no JSON Schema can state, because they need two values, or what is published or known.
RULES = tuple(
    re.compile(rule)
    for rule in (
        r"must be a next_cursor that an earlier page gave",
        r"is not a chosen model",
        r"must not all be zero",
        r"no model set for 1h bars is published",
        r"benchmark_returns must have as many values as returns",
        r"is named twice",  # names that differ in case alone
        r"min_weight .* is above max_weight",
        r"no weights keep the bounds",
        r"the holdings are not in one currency",
        r"the portfolio has no value",
        r"this contract cannot be priced",
    )
)
#: The request is well formed, but there is too little of what it asks about.
CODES = ("unusable_series",)
#: Refusals that schemathesis does not count as such.
TOO_LONG = (413, 414, 431)
EACH_ON_ITS_OWN = ("/api/v1/predict/batch", "/api/v1/options/price", "/api/v1/options/implied-volatility")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Every request comes from an address of its own (the service trusts this machine to name it): strangers are
    refused with 401, and only from the 61st a minute of one address with 429."""
    address = ".".join(str(random.randint(1, 254)) for _ in range(4))
    case.headers = {**(case.headers or {}), "X-Forwarded-For": address}


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Whether it is one."""
    if isinstance(failure, RejectedPositiveData):
        return not _breaks_a_rule(_json(response))
    if isinstance(failure, AcceptedNegativeData):
        in_its_place = case.operation.path in EACH_ON_ITS_OWN and _refuses_an_item(_json(response))
        return not (in_its_place or response.status_code in TOO_LONG)
    return True


@schemathesis.check
def events_end_with_a_forecast_or_an_error(ctx: Any, response: Any, case: Any) -> None:
    """The specification has no schema for the events of a stream, so what is in them is looked at here."""
    if case.operation.path != "/api/v1/predict/stream" or response.status_code != 200:
        return
    *members, (name, data) = (_event(text) for text in response.content.decode().strip().split("\n\n"))
    assert members, "no event before the last"
    assert {kind for kind, _ in members} == {"member"}, "only members come before the last"
    {"forecast": PredictResponse, "error": ErrorBody}[name].model_validate_json(data)


def _event(text: str) -> tuple[str, str]:
    name, data = text.split("\n")
    return name.removeprefix("event: "), data.removeprefix("data: ")


def _json(response: Any) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return {}


def _breaks_a_rule(body: Any) -> bool:
    """Its message, or every detail, is of a kind that the specification cannot state."""
    error = body.get("error", {})
    problems = [detail["problem"] for detail in error.get("details", ())]
    stated = [_is_rule(problem) for problem in problems]
    return error.get("code") in CODES or _is_rule(error.get("message", "")) or (bool(stated) and all(stated))


def _is_rule(text: str) -> bool:
    return any(rule.search(text) for rule in RULES)


def _refuses_an_item(body: Any) -> bool:
    """The items of a batch are checked one by one: what is wrong is refused in its place, within a 200."""
    return any("error" in item for item in body.get("results", ()))
