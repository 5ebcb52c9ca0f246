"""The members of a set: what each is called, what it takes, and how it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts import MemberInput, MemberKind
from training.history import History
from training.plan import Plan

# Told after each epoch: its number from 1, the training loss, and the loss on what is held out of the fit.
Report = Callable[[int, float, float], None]


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """A member to fit: its file, the engine that runs it, and what it takes. One that takes ranges learns from all
    series with open, high, low and volume, the others from the shares."""

    name: str
    file: str
    kind: MemberKind
    takes: MemberInput


MEMBERS = (
    MemberPlan("xgboost", "xgboost.ubj", "xgboost", "tabular"),
    MemberPlan("lstm", "lstm.onnx", "onnx", "flat"),
    MemberPlan("transformer", "transformer.onnx", "onnx", "flat"),
    MemberPlan("patchtst", "patchtst.onnx", "onnx", "flat"),
    MemberPlan("patchtsmixer", "patchtsmixer.onnx", "onnx", "flat"),
    MemberPlan("random_forest", "random_forest.ubj", "xgboost", "tabular"),
    MemberPlan("har", "har.npz", "linear", "tabular"),
    MemberPlan("har_range", "har_range.npz", "linear", "ranges"),
    MemberPlan("garch", "garch.npz", "garch", "tabular"),
    MemberPlan("fhs", "fhs.npz", "garch", "tabular"),
    MemberPlan("fhs_range", "fhs_range.npz", "linear", "ranges"),
)


def fit_member(member: MemberPlan, histories: Sequence[History], plan: Plan, path: Path, report: Report) -> None:
    """Fit on the training window and write ``path``. One thread and seeded by ``plan.seed``, so that the numbers do
    not depend on timing. Heavy packages are imported by the fit that needs them."""
    if member.name == "random_forest":
        from training.fit_forest import fit_forest

        fit_forest(histories, plan, path)
    elif member.kind == "xgboost":
        from training.fit_xgboost import fit_xgboost

        fit_xgboost(histories, plan, path)
    elif member.name in ("garch", "fhs", "fhs_range"):
        from training.fit_garch import fit_garch

        fit_garch(member.name, member.takes, histories, plan, path)
    elif member.kind == "linear":
        from training.fit_linear import fit_linear

        fit_linear(member.takes, histories, plan, path)
    else:
        from training.fit_network import fit_network

        fit_network(member.name, histories, plan, path, report)
