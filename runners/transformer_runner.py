"""The attention network."""

from __future__ import annotations

import bentoml

from runners.base import MemberService, runner_options


@bentoml.service(**runner_options("TransformerRunner"))
class TransformerRunner(MemberService):
    """The `transformer` member of the model set."""

    member = "transformer"
