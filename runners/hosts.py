"""Where each member answers: in the gateway itself, or behind a method of a runner (layout.py)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Protocol

from contracts import Explainer, MemberSpec, ModelSet
from errors import ArtefactError
from runners.coalesce import Call
from runners.embedded import EmbeddedMembers
from runners.explainer import explainer
from runners.hosted import stamped
from runners.joined import ask_of
from runners.local import local_call
from runners.questions import MEMBERS, sender
from runners.replicas import Ask
from runners.together import Together

HOSTS = {
    "xgboost": ("xgboost", "predict"),
    "lstm": ("lstm", "predict"),
    "transformer": ("transformer", "predict"),
    "patchtst": ("transformer", "patchtst"),
    "patchtsmixer": ("transformer", "patchtsmixer"),
    "random_forest": ("xgboost", "random_forest"),
}
"""Which dependency of the service, and which method of it, serves a member that needs a process."""

EXPLAINERS = {"xgboost": ("xgboost", "contributions"), "transformer": ("transformer", "attention")}
"""The same for what a member tells of itself beside quantiles."""

COMBINED = "combined"
"""The dependency of the service that has every member."""


class Host(Protocol):
    """The members of one set that are more than a few multiplications, wherever they are."""

    def predict(self, member: str) -> Call:
        """Raises ArtefactError where it cannot be loaded."""
        ...

    def explain(self, member: str) -> Call:
        """Of one of EXPLAINERS."""
        ...


class PerModel:
    """A runner process for each family of members."""

    def __init__(self, service: Any, version: str) -> None:
        self._version = version
        self._runners = {name: ask_of(service, name) for name in {runner for runner, _ in HOSTS.values()}}

    def predict(self, member: str) -> Call:
        return self._call(*HOSTS[member])

    def explain(self, member: str) -> Call:
        return self._call(*EXPLAINERS[member])

    def _call(self, runner: str, method: str) -> Call:
        return _stamping(self._runners[runner], method, self._version)


class Combined:
    """One runner process; what is asked of several members at the same time is one call."""

    def __init__(self, service: Any, version: str) -> None:
        self._version = version
        self._runner = ask_of(service, COMBINED)
        self._together = Together(sender(partial(self._runner, "predict"), version))

    def predict(self, member: str) -> Call:
        return self._together.call(member)

    def explain(self, member: str) -> Call:
        return _stamping(self._runner, EXPLAINERS[member][1], self._version)


class Embedded:
    """No process but the gateway's."""

    def __init__(self, folder: Path) -> None:
        self._members = EmbeddedMembers(folder)
        self._together = Together(self._members.send)

    def predict(self, member: str) -> Call:
        self._members.load(member)
        return self._together.call(member)

    def explain(self, member: str) -> Call:
        return self._members.call(member, EXPLAINERS[member][1])


def host_of(service: Any, folder: Path, version: str) -> Host:
    """Where the set of that version in ``folder`` is answered, as the service is laid out."""
    if service.layout.name == "embedded":
        return Embedded(folder)
    return Combined(service, version) if service.layout.name == "combined" else PerModel(service, version)


def call_of(spec: MemberSpec, folder: Path, host: Host) -> Call:
    """A call to a member of the set in ``folder``; raises ArtefactError where nothing serves it, in any layout."""
    if spec.in_process:
        return local_call(folder, spec.name)
    if spec.name not in HOSTS:
        raise ArtefactError(f"no runner of this version serves the member {spec.name!r}; served: {', '.join(HOSTS)}")
    return host.predict(spec.name)


def explainers_of(host: Host, model_set: ModelSet, timeout: float) -> dict[str, Explainer]:
    """Explainers of those members that have one."""
    return {name: explainer(name, host.explain(name), timeout) for name in model_set.names if name in EXPLAINERS}


def services_of(service: Any) -> dict[str, tuple[str, ...]]:
    """Names of the runner services, as their processes carry them, and the members that each serves."""
    if service.layout.name == "embedded":
        return {}
    if service.layout.name == "combined":
        return {type(service).combined.on.name: MEMBERS}
    served: dict[str, tuple[str, ...]] = {}
    for name, (runner, _) in HOSTS.items():
        process = getattr(type(service), runner).on.name
        served[process] = (*served.get(process, ()), name)
    return served


def processes_of(service: Any) -> dict[str, tuple[str, ...]]:
    """Those of them that are processes of this machine, which can be watched."""
    elsewhere = {getattr(type(service), name).on.name for name in service.runner_urls if hasattr(type(service), name)}
    return {process: members for process, members in services_of(service).items() if process not in elsewhere}


def _stamping(ask: Ask, method: str, version: str) -> Call:
    return lambda rows: ask(method, stamped(rows, version))
