"""Warnings are errors here, but not those that BentoML raises about itself while it is imported."""

from __future__ import annotations

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import _bentoml_sdk
    import bentoml
    import bentoml.models

__all__ = ["_bentoml_sdk", "bentoml"]

START_SERVERS = ("e2e", "contract", "deploy")
"""Folders of tests that last long and wait a lot."""
NONE_LATER = 0.7
"""The part of the run in which they begin: what is quick fills the rest, so that all processes end together."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that start servers among the others, which use the processor while those wait."""
    files = list(dict.fromkeys(item.path for item in items))
    slow = [file for file in files if file.parent.name in START_SERVERS]
    quick = [file for file in files if file not in slow]
    place = {file: number / len(slow) * NONE_LATER for number, file in enumerate(slow)}
    place |= {file: number / len(quick) for number, file in enumerate(quick)}
    items.sort(key=lambda item: place[item.path])
