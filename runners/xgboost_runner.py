"""The gradient-boosted trees."""

from __future__ import annotations

import bentoml

from runners.base import RUNNER_OPTIONS, MemberService


@bentoml.service(**RUNNER_OPTIONS)
class XgboostRunner(MemberService):
    """The `xgboost` member of the model set."""

    member = "xgboost"
