"""Warnings are errors here, but not those that BentoML raises about itself while it is imported. Which process gets
which file is said here too.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.steady_loop import SteadyLoop

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import _bentoml_sdk
    import bentoml
    import bentoml.models

__all__ = ["_bentoml_sdk", "bentoml"]

pytest_plugins = ["tests.e2e.shared"]

# how long an example takes, and how long it takes to think of one, says more of the machine than of the code; with the
# same examples each time it is no matter of luck whether a commit passes, and --hypothesis-profile=search tries others
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("any machine"), derandomize=False)
settings.load_profile("any machine")

TOGETHER = {
    "server": (
        "tests/docs/test_tutorial.py",
        "tests/e2e/test_apart.py",
        "tests/e2e/test_client.py",
        "tests/e2e/test_explained.py",
        "tests/e2e/test_layouts.py",
        "tests/e2e/test_log_lines.py",
        "tests/e2e/test_same_everywhere.py",
        "tests/e2e/test_serving.py",
    ),
    "breakable": ("tests/e2e/test_lost_runner.py", "tests/e2e/test_reload.py"),
    "run": ("tests/training/test_lifecycle.py", "tests/training/test_no_look_ahead.py", "tests/training/test_run.py"),
}
"""By fixture that lasts for a session and is dear: the files that use it. They go to one process, and first."""
SCOPES = {file: fixture for fixture, files in TOGETHER.items() for file in files}
START_SERVERS = ("e2e", "contract", "deploy")
"""Folders of tests that last long and wait a lot."""
NONE_LATER = 0.7
"""The part of the run in which they begin: what is quick fills the rest, so that all processes end together."""


class TogetherScheduling(LoadFileScheduling):  # type: ignore[misc]
    """A file is one process's, and so are files that use the same server."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return SCOPES.get(file, file)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For each test that is a coroutine."""
    return {"steady": SteadyLoop}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> TogetherScheduling | None:
    return TogetherScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def scope_of(item: pytest.Item) -> str:
    """What goes to one process with the item: its file, or the fixture that several files share."""
    file = item.nodeid.partition("::")[0]
    return SCOPES.get(file, file)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a test that would start in its own process what is there to be shared."""
    if isinstance(item, pytest.Function):
        for fixture in TOGETHER.keys() & set(item.fixturenames) - vars(item.module).keys():
            if scope_of(item) != fixture:
                pytest.fail(f"{item.path.name} uses {fixture}: name it in TOGETHER of tests/conftest.py", pytrace=False)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that start servers among the others, which use the processor while those wait."""
    scope = {item: scope_of(item) for item in items}
    others = [it for it in dict.fromkeys(scope.values()) if it not in TOGETHER]
    slow = [it for it in others if it.split("/")[1] in START_SERVERS]
    quick = [it for it in others if it not in slow]
    place = dict.fromkeys(TOGETHER, -1.0)
    place |= {it: number / len(slow) * NONE_LATER for number, it in enumerate(slow)}
    place |= {it: number / len(quick) for number, it in enumerate(quick)}
    items.sort(key=lambda item: place[scope[item]])
