"""The body of an explanation, field by field."""

from __future__ import annotations

import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """Closed and frozen, as every body is."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EffectBody(Part):
    """What one part adds. The parts of an explanation add up to its `total`."""

    median_z: float = Field(description="To the median return, in units of current volatility times sqrt(horizon).")
    width_z: float = Field(description="To the width of the 90 % interval, in the same units.")
    median_price: float = Field(description="To the median price, in `currency`.")
    width_price: float = Field(description="To the width of the 90 % interval, in `currency`.")


class FeatureEffectBody(Part):
    """One input and its effect."""

    feature: str = Field(description="Name of the input.", examples=["volatility_ratio_5"])
    value: float = Field(description="Its value at `as_of`; of `horizon`, the bars ahead.", examples=[-0.31])
    effect: EffectBody


class TreeBody(Part):
    """The answer of the tree model in parts: `base`, `features` and `calibration` add up to `total` exactly."""

    model: str = Field(description="Name of the model.", examples=["xgboost"])
    weight: Share = Field(description="Its weight in the forecast; 0 if it has no part in it.")
    base: EffectBody = Field(description="Its mean answer in training, before it looks at any input.")
    features: list[FeatureEffectBody] = Field(description="Every input, the largest effect first.")
    calibration: EffectBody | None = Field(
        description="What calibration adds; null where the model has no part in the forecast."
    )
    total: EffectBody = Field(
        description="From the current price to the model's own `price_target` in `members`, and its own interval."
    )
    method: str = Field(description="How it was worked out, in words.")


class PatchBody(Part):
    """Neighbouring bars that the network reads as one."""

    first: datetime.date = Field(description="Date of its oldest bar.", examples=["2022-12-16"])
    last: datetime.date = Field(description="Date of its newest bar.", examples=["2022-12-28"])


class LayerBody(Part):
    """Attention of one layer, averaged over its heads."""

    layer: int = Field(ge=1, description="1 is the first.", examples=[1])
    mean: list[Share] = Field(description="Weight of each patch, averaged over the rows of `weights`.")
    weights: list[list[Share]] = Field(
        description="Row i: how much patch i reads of each patch. Every row adds up to 1."
    )


class AttentionBody(Part):
    """What the attention network read: the weights it computed for this forecast."""

    model: str = Field(description="Name of the model.", examples=["transformer"])
    patches: list[PatchBody] = Field(description="The patches of its window, oldest first.")
    layers: list[LayerBody] = Field(description="The layers, first to last.")
    method: str = Field(description="What the weights are and are not, in words.")


class ExplanationBody(Part):
    """Why the models say what they say. Nothing here is estimated or made up afterwards."""

    tree: TreeBody | None = Field(description="Null where there is none; `missing` says why.")
    attention: AttentionBody | None = Field(description="Null where there is none; `missing` says why.")
    missing: dict[str, str] = Field(description="Why there is no `tree` or `attention`, by that name.")
