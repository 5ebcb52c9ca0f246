"""The recurrent network."""

from __future__ import annotations

import bentoml

from runners.base import RUNNER_OPTIONS, MemberService


@bentoml.service(**RUNNER_OPTIONS)
class LstmRunner(MemberService):
    """The `lstm` member of the model set."""

    member = "lstm"
