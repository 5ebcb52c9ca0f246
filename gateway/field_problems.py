"""Pydantic's findings in our words: where the field is, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from errors import ErrorDetail

_PROBLEMS: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "there is no such field",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "must match {pattern}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of ordinary size",
    "float_type": "must be a number",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "too_short": "must have at least {min_length}, has {actual_length}",
    "too_long": "must have at most {max_length}, has {actual_length}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
}
_MOST = 50
# Parts that pydantic adds: that a key is meant, and which shape of a body (see gateway.option_schemas).
_MARKS = frozenset({"[key]", "[contract]", "[chain]"})
_LONGEST_PART = 64


def is_malformed(exc: ValidationError) -> bool:
    """Whether the body was not JSON at all, as opposed to JSON that does not fit."""
    return any(error["type"] in ("json_invalid", "json_type") for error in exc.errors(include_url=False))


def details_of(exc: ValidationError) -> tuple[ErrorDetail, ...]:
    """One detail per finding, in the order of the body, the first fifty."""
    return details_from(exc.errors(include_url=False, include_input=False))


def details_from(findings: Iterable[Mapping[str, Any]], skip: int = 0) -> tuple[ErrorDetail, ...]:
    """The same from a list of findings; ``skip`` leaves out the first parts of each place (``query``)."""
    details = [ErrorDetail(path_of(found["loc"][skip:]), _words(found)) for found in findings]
    return tuple(details[:_MOST])


def path_of(place: Sequence[int | str]) -> str:
    """``("models", 1)`` -> ``models[1]``, ``("weights", "lstm")`` -> ``weights.lstm``, ``()`` -> ``body``."""
    path = ""
    for part in place:
        if part in _MARKS:
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part[:_LONGEST_PART]}"
    return path.lstrip(".") or "body"


def _words(found: Mapping[str, Any]) -> str:
    template = _PROBLEMS.get(found["type"])
    return template.format(**found.get("ctx", {})) if template else str(found["msg"]).removeprefix("Value error, ")
