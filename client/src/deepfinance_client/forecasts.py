"""The answers to many requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepfinance_client.responses import BatchError, BatchForecast, PredictResponse

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

BatchResult = BatchForecast | BatchError


@dataclass(frozen=True, slots=True)
class Forecasts:
    """For each request its forecast or its own error, in the order of the requests."""

    requests: Sequence[Mapping[str, Any]]
    results: Sequence[BatchResult]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[BatchResult]:
        return iter(self.results)

    def __getitem__(self, place: int) -> BatchResult:
        return self.results[place]

    @property
    def succeeded(self) -> list[PredictResponse]:
        """The forecasts."""
        return [it.forecast for it in self.results if isinstance(it, BatchForecast)]

    @property
    def failed(self) -> list[tuple[Mapping[str, Any], BatchError]]:
        """The requests that were refused, each with why."""
        pairs = zip(self.requests, self.results, strict=True)
        return [(request, it) for request, it in pairs if isinstance(it, BatchError)]

    def to_pandas(self) -> pd.DataFrame:
        """A row for each request, errors too, with the columns that ``deepfinance batch`` writes. Needs pandas."""
        from deepfinance_client.frames import forecasts_frame  # pandas is optional

        return forecasts_frame(self.requests, self.results)
