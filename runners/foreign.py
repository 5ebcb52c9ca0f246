"""Where errors of BentoML and its HTTP client become ours; their own words go to the log, not to callers."""

from __future__ import annotations

import aiohttp
from bentoml.exceptions import BentoMLException

from errors import DeepFinanceError, RunnerUnavailable, Timeout


class BadAnswer(Exception):
    """A runner answered, but not with one finite block of quantiles per row."""


def translated(error: Exception, model: str) -> DeepFinanceError:
    """The error to give to whoever asked ``model`` for a forecast."""
    if isinstance(error, DeepFinanceError):
        return error
    if isinstance(error, TimeoutError):
        return Timeout(f"model {model} did not answer in time")
    if isinstance(error, BadAnswer):
        return RunnerUnavailable(f"model {model} gave an answer that cannot be used")
    if isinstance(error, (aiohttp.ClientError, OSError, BentoMLException)):
        return RunnerUnavailable(f"model {model} is not answering")
    return RunnerUnavailable(f"model {model} failed")


def connection_was_lost(error: Exception) -> bool:
    """True when the runner went away without an answer, so that asking once more makes sense."""
    lost = isinstance(error, (aiohttp.ClientConnectionError, ConnectionError))
    return lost and not isinstance(error, TimeoutError)


def runner_is_away(error: Exception) -> bool:
    """True when the next call would most likely fail too: nobody listens, or nobody answers."""
    return isinstance(error, TimeoutError) or connection_was_lost(error)
