from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import pytest
from pydantic.warnings import PydanticDeprecatedSince211

from tests.client.faulty import FaultyServer, faulty_server

with warnings.catch_warnings():
    # BentoML calls what pydantic has deprecated, for every service with a model as its body.
    warnings.filterwarnings("ignore", category=PydanticDeprecatedSince211)
    from tests.gateway import tiny_service

__all__ = ["tiny_service"]

# where a proxy is configured it must not be asked for this machine
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    with faulty_server() as server:
        yield server
