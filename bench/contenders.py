"""Who takes part in `make bench`: this service, and what people would write instead."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.report import OURS
from bench.servers import Contender, Running, fastapi, service
from bench.workloads import Say

INPROCESS = "bench.peers.fastapi_inprocess:app"
LITSERVE = Contender("litserve", (sys.executable, "-m", "bench.peers.litserve_batched"), {})
DEFAULTS = Contender(
    "bentoml-defaults",
    (sys.executable, "-m", "bentoml", "serve", "bench.peers.bentoml_defaults:Defaults", "--port", "{port}"),
    {},
)


def of_new_forecasts() -> list[Contender]:
    """Nothing is kept. The first is ours."""
    return [
        service(OURS, PREDICTION_CACHE_TTL="0"),
        replace(service("deepfinance-workers", PREDICTION_CACHE_TTL="0", GATEWAY_WORKERS="2"), workers=2),
        service("deepfinance-per-model", PREDICTION_CACHE_TTL="0", RUNNER_LAYOUT="per_model"),
        fastapi("fastapi-1", INPROCESS, workers=1),
        fastapi("fastapi-2", INPROCESS, workers=2),
        LITSERVE,
        DEFAULTS,
    ]


def from_a_dict(answers: Path) -> Contender:
    """FastAPI with the bodies in ``answers``, by request."""
    return fastapi("fastapi-dict", "bench.peers.fastapi_dict:app", 1, ANSWERS=str(answers))


def bare_socket(answer: Path) -> Contender:
    """A socket that writes the bytes of ``answer`` to whatever comes."""
    return Contender("bare-socket", (sys.executable, "-m", "bench.peers.bare_socket"), {"ANSWER": str(answer)})


def started(each: Contender, folder: Path, shared: Mapping[str, str], running: list[Running], say: Say) -> None:
    """Added to those that run; a peer that does not start is named and left out."""
    try:
        running.append(Running(each, folder / each.name, shared))
    except (RuntimeError, OSError) as error:
        if each.name == OURS:
            raise
        say(f"left out   {each.name:<22}{error}")
    else:
        say(f"ready      {each.name:<22}{running[-1].seconds_to_ready:.1f} s, {running[-1].pss():.0f} MB")
