"""The attention network."""

from __future__ import annotations

import bentoml

from runners.base import RUNNER_OPTIONS, MemberService


@bentoml.service(**RUNNER_OPTIONS)
class TransformerRunner(MemberService):
    """The `transformer` member of the model set."""

    member = "transformer"
