"""From the states of the parts to the state of the whole."""

from __future__ import annotations

from typing import Any, Literal

from gateway.reports import HealthChecks, HealthFacts

Status = Literal["ok", "degraded", "down"]
_AWAY = frozenset({"failing", "open", "half_open"})


def overall(checks: HealthChecks) -> Status:
    """``down`` when no runner or no source can answer, ``degraded`` when one of them, the cache or the database
    cannot."""
    runners = [check.state for check in checks.runners]
    sources = [check.state for check in checks.sources]
    if _none_answers(runners) or _none_answers(sources):
        return "down"
    beside: list[Any] = [part.state for part in (checks.cache, checks.database) if part is not None]
    return "degraded" if any(state in _AWAY for state in [*runners, *sources, *beside]) else "ok"


def _none_answers(states: list[Any]) -> bool:
    # A source that has not been asked yet may well answer.
    return all(state in _AWAY for state in states)


def report(facts: HealthFacts) -> dict[str, Any]:
    """The body of the health route."""
    return {"status": overall(facts.checks), **facts.model_dump(mode="json")}
