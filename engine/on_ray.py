"""A Ray cluster: the same tasks on the processes of several machines.

Ray connects to RAY_ADDRESS, else to a cluster on this machine, else starts one there. Nodes need the packages of
requirements/ray.txt and nothing else: the code travels with the job, prices and models with the tasks.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from engine.base import (
    ATTEMPTS,
    Done,
    Failed,
    Item,
    Make,
    Result,
    Shared,
    attempt,
    in_order,
    lost,
    nobody,
    ready,
)
from errors import ConfigurationError

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
# letters after the dot: the pattern of all that begins with one takes the folder itself as well
NOT_CODE = ("/.[a-z]*", "/tests", "/docs", "/bench", "/build", "/client", "/deploy", "/models_store", "**/__pycache__")
# Another version of one of these may give other numbers.
DECISIVE = ("numpy", "scipy", "arch", "torch", "xgboost-cpu", "xgboost", "onnxruntime")
AHEAD = 2
"""Tasks handed to Ray at a time for each of its processors: enough that none waits, and few enough that their items
need no room."""


@dataclass(frozen=True, slots=True)
class _InStore(Generic[T]):
    """Holds the reference inside a list, where Ray does not look: a task gets what it asks for, when it asks."""

    held: list[Any]

    def get(self) -> T:
        import ray

        value: T = ray.get(self.held[0])
        return value


class RayEngine:
    """Tasks of one processor each. Those of a node that dies are begun again on another."""

    def __init__(self) -> None:
        self._ray = _connected()
        # SPREAD: whatever is shared is wanted on all nodes sooner or later
        options = {"num_cpus": 1, "max_retries": ATTEMPTS - 1, "scheduling_strategy": "SPREAD"}
        self._attempt = self._ray.remote(**options)(_attempt_there)

    @contextmanager
    def sharing(self, value: T) -> Iterator[Shared[T]]:
        held = [self._ray.put(value)]
        del value
        yield _InStore(held)
        held.clear()

    def run(
        self, make: Make[Item, Result], items: Iterable[tuple[str, Item]], done: Done[Result] = nobody
    ) -> dict[str, Result]:
        begin = partial(self._attempt.remote, [self._ray.put(make)], versions())
        waiting, under_way = iter(items), dict[Any, str]()
        names: list[str] = []
        outcomes: dict[str, Any] = {}
        while True:
            while len(under_way) < self._room() and (following := next(waiting, None)) is not None:
                names.append(following[0])
                under_way[begin(pickle.dumps(following[1]))] = following[0]
            if not under_way:
                return in_order(names, outcomes)
            (finished,), _ = self._ray.wait(list(under_way), num_returns=1)
            name = under_way.pop(finished)
            outcomes[name] = outcome = self._outcome(finished)
            if not isinstance(outcome, Failed):
                done(name, outcome)

    def _room(self) -> int:
        """Asked for again and again: nodes come and go."""
        return AHEAD * max(int(self._ray.cluster_resources().get("CPU", 0)), 1)

    def _outcome(self, finished: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(finished)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError, errors.OutOfMemoryError):
            return lost()
        except errors.RayError as error:
            return Failed(f"Ray could not run it: {error}")


def versions() -> dict[str, str]:
    """Of the packages that decide the numbers, as far as they are installed."""
    found = {}
    for name in DECISIVE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _attempt_there(make: list[Any], wanted: Mapping[str, str], item: bytes) -> object:
    """Runs in a process of a node. The item is opened here and not by Ray, whose tasks wait
    for ever where that fails."""
    work = _work_of(make[0], wanted)
    return attempt(lambda packed: work(pickle.loads(packed)), item)


_made: dict[Any, Any] = {}
"""The work of the run that this process works for, by the reference to what makes it."""


def _work_of(reference: Any, wanted: Mapping[str, str]) -> Any:
    if reference not in _made:
        _made.clear()
        _made[reference] = ready(partial(_make_there, reference, wanted))
    return _made[reference]


def _make_there(reference: Any, wanted: Mapping[str, str]) -> Any:
    """What is made of ``reference``, where the packages are those of the machine that asked."""
    import ray

    ours = versions()
    if other := sorted(name for name in {*ours, *wanted} if ours.get(name) != wanted.get(name)):
        said = (f"{name} {ours.get(name, 'missing')}, here {wanted.get(name, 'missing')}" for name in other)
        raise ConfigurationError(f"a node of the cluster has other packages: {'; '.join(said)}")
    return ray.get(reference)()


def _connected() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigurationError(
            "ENGINE=ray needs the packages of requirements/ray.txt: pip install -r requirements/ray.txt"
        ) from None
    if not ray.is_initialized():
        try:
            ray.init(runtime_env={"working_dir": str(ROOT), "excludes": list(NOT_CODE)}, logging_level=logging.WARNING)
        except ConnectionError as error:
            raise ConfigurationError(f"no Ray cluster answers: {error}") from None
    return ray
