"""Fits all members, each a task of an engine; what an earlier run finished is used again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from contracts import AssetClass
from engine.base import Engine, Shared, Work
from engine.serial import SerialEngine
from training.history import History
from training.members import MEMBERS, MemberPlan, fit_member
from training.plan import Plan
from training.progress import say
from training.resume import Losses, Staging, finish, finished, inputs_of

# Origins with an outcome at the longest horizon below which a fit would learn little but noise.
FEWEST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Job:
    """One fit: from which of the shared histories, to which file."""

    member: MemberPlan
    teachers: tuple[int, ...]
    path: Path
    inputs: str


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted member as the bytes of its file, and its losses."""

    content: bytes
    losses: Losses


@dataclass(frozen=True, slots=True)
class Fitted:
    """Members whose file is in the staging folder, with their losses; and why each of the others is not there."""

    members: tuple[MemberPlan, ...]
    losses: Mapping[str, Losses]
    left_out: Mapping[str, str]


def fit_members(
    histories: Sequence[History],
    candles: Sequence[History],
    plan: Plan,
    staging: Staging,
    members: Sequence[MemberPlan] = MEMBERS,
    engine: Engine | None = None,
) -> Fitted:
    """Fit ``members`` on what was known at the end of the training window, into ``staging.fits``.

    ``histories`` are the universe; ``candles`` teach members that use ranges and nothing else. ``engine`` runs a task a
    member, in this process where none is given; the numbers are the same. Raises TaskFailed; what was fitted is kept.
    """
    engine = engine or SerialEngine()
    known = [history.known_by(plan.windows.training.end) for history in [*histories, *candles]]
    jobs, left_out = _jobs(known, len(histories), plan, staging, members)
    # the slow ones first
    tasks = {job.member.name: job for job in sorted(jobs, key=lambda job: job.member.kind != "onnx")}
    tasks = {name: job for name, job in tasks.items() if not _is_finished(job)}
    with engine.sharing(known if tasks else []) as shared:
        del known  # two gigabytes are better used by the fits
        engine.run(_Fitter(shared, plan), tasks.items(), lambda name, fit: _keep(tasks[name], fit))
    losses = {job.member.name: finished(job.path, job.inputs) or [] for job in jobs}
    return Fitted(tuple(job.member for job in jobs), losses, left_out)


def teachers_of(member: MemberPlan, known: Sequence[History], n_universe: int) -> list[int]:
    """Positions of the histories that a member learns from: the shares of the universe (all of it where there are
    none), or for a member that uses ranges every series that has them, wherever it comes from."""
    if member.takes == "ranges":
        return [i for i, history in enumerate(known) if history.bars.has_ranges and len(history.rows)]
    universe = [i for i in range(n_universe) if len(known[i].rows)]
    return [i for i in universe if known[i].asset_class is AssetClass.EQUITY] or universe


def _jobs(
    known: Sequence[History], n_universe: int, plan: Plan, staging: Staging, members: Sequence[MemberPlan]
) -> tuple[list[Job], dict[str, str]]:
    jobs, left_out = [], {}
    for member in members:
        teachers = tuple(teachers_of(member, known, n_universe))
        chosen = [known[i] for i in teachers]
        if reason := _shortage(member, chosen, plan):
            left_out[member.name] = reason
        else:
            jobs.append(Job(member, teachers, staging.fits / member.file, inputs_of(member, chosen, plan)))
    return jobs, left_out


def _shortage(member: MemberPlan, teachers: Sequence[History], plan: Plan) -> str | None:
    """Why the member cannot be fitted, or None. Networks need rows on both sides of ``stopping``."""
    what = "with open, high, low and volume " if member.takes == "ranges" else ""
    for span, count in _rows_to_learn_from(member, teachers, plan).items():
        if count < FEWEST_ROWS:
            return f"{count} bars {what}{span} have an outcome in the training window, {FEWEST_ROWS} are needed"
    return None


def _rows_to_learn_from(member: MemberPlan, teachers: Sequence[History], plan: Plan) -> dict[str, int]:
    window, split, longest = plan.windows.training, np.datetime64(plan.windows.stopping), plan.grid.horizons[-1]
    inside = [history.inside(window, [longest])[:, 0] for history in teachers]
    if member.kind != "onnx":
        return {f"between {window.start} and {window.end}": sum(int(rows.sum()) for rows in inside)}
    pairs = list(zip(teachers, inside, strict=True))
    return {
        f"before {split}": sum(int((rows & (each.ends[:, longest - 1] < split)).sum()) for each, rows in pairs),
        f"between {split} and {window.end}": sum(int((rows & (each.origins >= split)).sum()) for each, rows in pairs),
    }


def _is_finished(job: Job) -> bool:
    if finished(job.path, job.inputs) is None:
        return False
    say(f"{job.member.name}: finished by an earlier run from the same inputs, used again")
    return True


@dataclass(frozen=True, slots=True)
class _Fitter:
    """A fit as a task of an engine: the member and its teachers in, the file and the losses out."""

    histories: Shared[Sequence[History]]
    plan: Plan

    def __call__(self) -> Work[Job, Fit]:
        known = self.histories.get()
        return lambda job: _fit(job, known, self.plan)


def _fit(job: Job, known: Sequence[History], plan: Plan) -> Fit:
    losses: Losses = []
    began = time.perf_counter()

    def report(epoch: int, loss: float, held_out: float) -> None:
        losses.append((epoch, loss, held_out))
        seconds = time.perf_counter() - began
        say(f"{job.member.name}: epoch {epoch}, loss {loss:.5f}, held out {held_out:.5f}, {seconds:.0f} s")

    with TemporaryDirectory(prefix="deepfinance-") as folder:
        path = Path(folder, job.member.file)
        fit_member(job.member, [known[i] for i in job.teachers], plan, path, report)
        content = path.read_bytes()
    say(f"{job.member.name}: fitted on {len(job.teachers)} series in {time.perf_counter() - began:.0f} s")
    return Fit(content, losses)


def _keep(job: Job, fit: Fit) -> None:
    """Written under another name first, so that what bears the name is whole."""
    part = job.path.with_name(f"part-{job.path.name}")
    part.write_bytes(fit.content)
    finish(part, job.path, job.inputs, fit.losses)
