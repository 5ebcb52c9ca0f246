"""Fits all members, each in a process of its own, two at a time; what an earlier run finished is used again."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np

from contracts import AssetClass
from errors import ConfigurationError
from training.history import History
from training.mapped import read_histories, write_histories
from training.members import MEMBERS, MemberPlan, fit_member
from training.plan import Plan
from training.progress import say
from training.resume import Losses, Staging, finish, finished, inputs_of

WORKERS = 2
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
    workers: int = WORKERS,
) -> Fitted:
    """Fit ``members`` on what was known at the end of the training window, into ``staging.fits``.

    ``histories`` are the universe; ``candles`` teach members that use ranges and nothing else. ``workers`` 0 fits in
    this process, with the same numbers.
    """
    known = [history.known_by(plan.windows.training.end) for history in [*histories, *candles]]
    jobs, left_out = _jobs(known, len(histories), plan, staging, members)
    open_jobs = [job for job in jobs if not _is_finished(job)]
    if workers and open_jobs:
        write_histories(known, staging.histories)
        del known  # two gigabytes are better used by the fits
        _run(open_jobs, plan, staging, workers)
        staging.histories.unlink()
    else:
        for job in open_jobs:
            _fit(job, known, plan)
    losses = {job.member.name: finished(job.path, job.inputs) for job in jobs}
    if lost := [name for name, each in losses.items() if each is None]:
        raise ConfigurationError(
            f"the fit of {', '.join(lost)} failed: what went wrong is printed above, or it was killed"
        )
    return Fitted(tuple(job.member for job in jobs), {name: each or [] for name, each in losses.items()}, left_out)


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


def _run(jobs: Sequence[Job], plan: Plan, staging: Staging, workers: int) -> None:
    """Every job in a fresh process, the slow ones first. Whatever ends this run ends them too."""
    running: list[SpawnProcess] = []
    try:
        for job in sorted(jobs, key=lambda job: job.member.kind != "onnx"):
            if len(running) == workers:
                _join_one(running)
            running.append(_start(job, plan, staging))
        while running:
            _join_one(running)
    finally:
        for process in running:
            process.terminate()


def _join_one(running: list[SpawnProcess]) -> None:
    """Wait until one of them has ended and take it out."""
    ended = wait([process.sentinel for process in running])[0]
    process = next(process for process in running if process.sentinel == ended)
    process.join()
    running.remove(process)


def _start(job: Job, plan: Plan, staging: Staging) -> SpawnProcess:
    process = multiprocessing.get_context("spawn").Process(
        target=_fit_shared, args=(job, staging.histories, plan), daemon=True
    )
    process.start()
    return process


def _fit_shared(job: Job, shared: Path, plan: Plan) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends it without a traceback
    _fit(job, read_histories(shared), plan)


def _fit(job: Job, known: Sequence[History], plan: Plan) -> None:
    """Fit into a file of another name, so that what bears the name is whole."""
    losses: Losses = []
    began = time.perf_counter()

    def report(epoch: int, loss: float, held_out: float) -> None:
        losses.append((epoch, loss, held_out))
        seconds = time.perf_counter() - began
        say(f"{job.member.name}: epoch {epoch}, loss {loss:.5f}, held out {held_out:.5f}, {seconds:.0f} s")

    part = job.path.with_name(f"part-{job.path.name}")
    fit_member(job.member, [known[i] for i in job.teachers], plan, part, report)
    finish(part, job.path, job.inputs, losses)
    say(f"{job.member.name}: fitted on {len(job.teachers)} series in {time.perf_counter() - began:.0f} s")
