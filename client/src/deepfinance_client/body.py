"""The base of everything the service answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


class Body(BaseModel):
    """Frozen. A field that a newer service adds is left out and not refused."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True, protected_namespaces=())

    def to_pandas(self) -> pd.DataFrame:
        """As a data frame: what ``frames.TABLE_OF`` names for its kind, otherwise one row. Needs pandas."""
        from deepfinance_client.frames import frame_of  # pandas is optional

        return frame_of(self)
