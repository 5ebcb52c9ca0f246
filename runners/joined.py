"""The runners of a gateway as BentoML wants to be told of them: attributes of its class, one for each address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bentoml

from runners.replicas import Ask, Replica, Replicas

Addresses = Mapping[str, Sequence[str]]
"""Of runners that are served elsewhere, by name: JSON goes there. Others are started here, pickles in a socket."""


def joined(runners: Mapping[str, Any], addresses: Addresses) -> type:
    """What the gateway's class inherits from: ``lstm`` and, where there are more addresses, ``lstm_2`` and so on."""
    attributes = {
        _attribute(name, number): bentoml.depends(runner, url=url)
        for name, runner in runners.items()
        for number, url in enumerate(addresses.get(name) or (None,))
    }
    return type("Joined", (), attributes)


def ask_of(service: Any, name: str) -> Ask:
    """How to ask that runner of ``service``."""
    addresses = service.runner_urls.get(name, ())
    if len(addresses) < 2:
        return _asking(service, name)
    return Replicas(
        [
            Replica(f"{name} at {url}", _asking(service, _attribute(name, number)))
            for number, url in enumerate(addresses)
        ]
    ).ask


def _attribute(name: str, number: int) -> str:
    return name if number == 0 else f"{name}_{number + 1}"


def _asking(service: Any, attribute: str) -> Ask:
    """Looked up late: a proxy connects after the service is built."""
    return lambda method, rows: getattr(getattr(service, attribute).to_async, method)(rows)
