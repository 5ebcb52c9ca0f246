"""The walk-forward scores of one symbol, as a task of an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backtest.splits import Window
from contracts import Bars, Ints, ModelSet
from engine.base import Work
from training.evidence import baseline_quantiles
from training.history import history_of
from training.predictions import Predict
from training.references import with_garch
from training.walk_forward import Part, evaluate_symbol


@dataclass(frozen=True, slots=True)
class Scored:
    """``part`` is what was measured, or why nothing was; ``problems`` of the references, one sentence each."""

    part: Part | str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scorer:
    """What all symbols have in common. Called in each process that scores; ``horizons`` (n_horizons,) increase."""

    members: Callable[[], Predict]
    model_set: ModelSet
    window: Window
    horizons: Ints
    garch: bool

    def __call__(self) -> Work[Bars, Scored]:
        predict = self.members()
        return lambda bars: self._scored(bars, predict)

    def _scored(self, bars: Bars, predict: Predict) -> Scored:
        problems: list[str] = []
        references = with_garch(problems.append) if self.garch else baseline_quantiles
        try:
            history = history_of(bars, self.model_set.grid.horizons[-1])
            part = evaluate_symbol(history, predict, self.model_set, self.window, self.horizons, references)
        except Exception as error:  # whatever is in one file must not cost the others their scores
            return Scored(f"{type(error).__name__}: {error}", tuple(problems))
        if part is None:
            window = self.window
            return Scored(f"no forecast from {window.start} on has its outcome by {window.end}", tuple(problems))
        return Scored(part, tuple(problems))
