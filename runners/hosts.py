"""Where each member answers: in the gateway itself, or behind a method of a runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts import Explainer, MemberSpec, ModelSet
from errors import ArtefactError
from runners.coalesce import Call
from runners.explainer import explainer
from runners.hosted import stamped
from runners.local import local_call

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


def call_of(service: Any, spec: MemberSpec, folder: Path, version: str) -> Call:
    """A call to a member of the set of that version in ``folder``; raises ArtefactError where nothing serves it."""
    if spec.in_process:
        return local_call(folder, spec.name)
    if spec.name not in HOSTS:
        raise ArtefactError(f"no runner of this version serves the member {spec.name!r}; served: {', '.join(HOSTS)}")
    return _remote(service, *HOSTS[spec.name], version)


def explainers_of(service: Any, model_set: ModelSet, timeout: float) -> dict[str, Explainer]:
    """Explainers of those members that have one."""
    return {
        name: explainer(name, _remote(service, *EXPLAINERS[name], model_set.version), timeout)
        for name in model_set.names
        if name in EXPLAINERS
    }


def services_of(service: Any) -> dict[str, tuple[str, ...]]:
    """Names of the runner services, as their processes carry them, and the members that each serves."""
    served: dict[str, tuple[str, ...]] = {}
    for name, (runner, _) in HOSTS.items():
        process = getattr(type(service), runner).on.name
        served[process] = (*served.get(process, ()), name)
    return served


def _remote(service: Any, runner: str, method: str, version: str) -> Call:
    """A call to a runner, looked up late: its proxy connects after the service is built."""
    return lambda rows: getattr(getattr(service, runner).to_async, method)(stamped(rows, version))
