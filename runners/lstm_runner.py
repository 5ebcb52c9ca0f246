"""The recurrent network."""

from __future__ import annotations

import bentoml

from runners.base import MemberService, runner_options


@bentoml.service(**runner_options("LstmRunner"))
class LstmRunner(MemberService):
    """The `lstm` member of the model set."""

    member = "lstm"
