"""What was seen, as a table, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.clients import Sample
from chaos.events import PLAN, Event
from risk_desk import FIT_SECONDS

LONGEST = 5.0
"""Seconds that any request may take but the first for the risk of a series, which may wait for its volatility model as
well: for as long as the service itself waits, then it answers without."""
EXPECTED = {200, 503}


@dataclass(frozen=True)
class Observed:
    """``times``: when each event of ``plan`` happened. ``stored``: ids in the database at the end; ``in_journal``:
    those that the service's next start will write into it."""

    times: Sequence[float]
    samples: Sequence[Sample]
    stored: set[str]
    in_journal: set[str]
    exit_status: int | None
    plan: Sequence[Event] = PLAN

    def phases(self) -> Iterator[tuple[Event, float, list[Sample]]]:
        """Each event, seconds since the first, and the requests that began between it and the next."""
        ends = [*self.times[1:], float("inf")]
        for event, begin, end in zip(self.plan, self.times, ends, strict=True):
            yield event, begin - self.times[0], [it for it in self.samples if begin <= it.began < end]

    @property
    def computed(self) -> set[str]:
        """Ids of forecasts that somebody was given as made for him."""
        return {each for sample in self.samples for each in sample.computed}

    @property
    def lost(self) -> set[str]:
        """Ids of those that are kept nowhere."""
        return self.computed - self.stored - self.in_journal


def table(seen: Observed) -> str:
    """One line for each event."""
    lines = [
        f"{'event':<26}{'at s':>6}{'requests':>10}{'slowest s':>11}{'served in':>11}{'risk s':>8}{'degraded':>10}"
        "  answers; lacking"
    ]
    for event, at, samples in seen.phases():
        quick, risk = ([it for it in samples if (it.kind == "risk") == is_risk] for is_risk in (False, True))
        slowest, served = (max((time(it) for it in quick), default=0.0) for time in (_waited, _served))
        longest_risk = max(map(_waited, risk), default=0.0)
        asked = [it for it in samples if it.kind in ("predict", "batch")]
        share = sum(bool(it.missing) for it in asked) / max(1, len(asked))
        said = _counted(str(it.status) + (f" {it.error}" if it.error else "") for it in samples)
        lacked = _counted(name for it in samples for name in it.missing)
        lines.append(
            f"{event.name:<26}{at:>6.1f}{len(samples):>10}{slowest:>11.2f}{served:>11.2f}{longest_risk:>8.2f}"
            f"{share:>10.0%}  {said}" + (f"; {lacked}" if lacked else "")
        )
    made, kept = seen.computed, seen.computed & seen.stored
    lines.append(
        f"{len(seen.samples)} requests; {len(made)} forecasts made, of them {len(kept)} in the database, "
        f"{len((made - kept) & seen.in_journal)} in the journal, {len(seen.lost)} lost"
    )
    return "\n".join(lines)


def _waited(it: Sample) -> float:
    return it.seconds


def _served(it: Sample) -> float:
    return it.served


def _counted(names: Iterator[str]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(Counter(names).items()))


def faults(seen: Observed, longest: float = LONGEST) -> list[str]:
    """In words; empty if all is as it should be."""
    return [*_wrong_answers(seen.samples, longest), *_silences(seen), *_losses(seen)]


def _wrong_answers(samples: Sequence[Sample], longest: float) -> Iterator[str]:
    for it in samples:
        if it.status not in EXPECTED:
            yield f"{it.kind} was answered {it.status or 'not at all'} {it.error} after {it.seconds:.2f} s"
        elif it.status == 503 and not it.retry_after:
            yield f"{it.kind} was answered 503 {it.error} without Retry-After"
        elif it.seconds > longest + (FIT_SECONDS if it.kind == "risk" else 0.0):
            yield f"{it.kind} took {it.seconds:.2f} s, {it.served:.2f} s of them in the service"


def _silences(seen: Observed) -> Iterator[str]:
    """Where something is away, answers must say so."""
    for event, at, _ in seen.phases():
        later = (it for it in seen.samples if it.began >= seen.times[0] + at)
        if event.missing and not any(event.missing in it.missing for it in later):
            yield f"{event.name}: no answer named {event.missing}"


def _losses(seen: Observed) -> Iterator[str]:
    if seen.lost:
        yield f"{len(seen.lost)} forecasts were given and are not stored"
    if seen.exit_status != 0:
        yield f"the service ended with status {seen.exit_status}"
