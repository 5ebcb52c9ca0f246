"""The gradient-boosted trees."""

from __future__ import annotations

import bentoml

from runners.base import MemberService, runner_options


@bentoml.service(**runner_options("XgboostRunner"))
class XgboostRunner(MemberService):
    """The `xgboost` member of the model set."""

    member = "xgboost"
