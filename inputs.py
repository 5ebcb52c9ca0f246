"""Model inputs of a series at its last bar: worked out once a bar, then remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from contracts import Bars, FeatureMatrix, Ints
from errors import UnusableSeries
from features.build import check_usable, latest_inputs


class InputMemory:
    """The inputs of the series used last, by the fingerprint of their bars; one row weighs about 2 kB.

    A row is the same to the last bit alone or among others, so rows that were made at different times can be joined.
    """

    def __init__(self, kept: int = 4096) -> None:
        self._kept = kept
        self._rows: OrderedDict[str, FeatureMatrix] = OrderedDict()
        self._verdicts: OrderedDict[str, UnusableSeries | None] = OrderedDict()

    def check(self, bars: Bars) -> None:
        """Raise UnusableSeries where no honest forecast can be made from these bars (features.build)."""
        if bars.fingerprint not in self._verdicts:
            self._verdicts[bars.fingerprint] = _verdict(bars)
            _forget(self._verdicts, self._kept)
        verdict = self._verdicts[bars.fingerprint]
        if verdict is not None:
            raise UnusableSeries(verdict.message, verdict.details)

    def learn(self, bars: Bars, matrix: FeatureMatrix, rows: Ints) -> None:
        """Keep the row of ``matrix`` that is of the last bar, where there is one; its rows are of the bars ``rows``.

        It is to the last bit the row that ``of`` would work out."""
        if len(rows) and rows[-1] == len(bars) - 1:
            self._keep(bars.fingerprint, matrix.row(len(rows) - 1))

    def of(self, series: Sequence[Bars]) -> FeatureMatrix:
        """One row for each; all have ranges or none has."""
        new = {bars.fingerprint: bars for bars in series if bars.fingerprint not in self._rows}
        found = {bars.fingerprint: self._rows[bars.fingerprint] for bars in series if bars.fingerprint not in new}
        if new:
            made = latest_inputs(list(new.values()))
            found |= {name: made.row(at) for at, name in enumerate(new)}
        for name, row in found.items():
            self._keep(name, row)
        return FeatureMatrix.joined([found[bars.fingerprint] for bars in series])

    def _keep(self, name: str, row: FeatureMatrix) -> None:
        self._rows[name] = row
        self._rows.move_to_end(name)
        _forget(self._rows, self._kept)


def _verdict(bars: Bars) -> UnusableSeries | None:
    try:
        check_usable(bars)
    except UnusableSeries as refusal:
        return refusal
    return None


def _forget(kept: OrderedDict[str, FeatureMatrix] | OrderedDict[str, UnusableSeries | None], room: int) -> None:
    while len(kept) > room:
        kept.popitem(last=False)
