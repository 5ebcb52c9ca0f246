"""The load of ``wrk.lua`` for machines without wrk. Slower itself, so ratios come out smaller than they are."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from locust import FastHttpUser, task

BODIES = Path(os.environ["BODIES"]).read_text().splitlines()
HEADERS = {"Content-Type": "application/json", "X-API-Key": os.environ["KEY"]}
NUMBERS = count()


class Caller(FastHttpUser):  # type: ignore[misc]
    @task  # type: ignore[untyped-decorator]
    def call(self) -> None:
        body = BODIES[next(NUMBERS) % len(BODIES)]
        self.client.post(os.environ["TARGET"], data=body, headers=HEADERS, name="call")
