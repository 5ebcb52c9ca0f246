"""The load of ``wrk.lua`` for machines without wrk. Slower itself, so ratios come out smaller than they are."""

from __future__ import annotations

import os
import random
from itertools import count
from pathlib import Path

from locust import FastHttpUser, task

BODIES = random.sample(lines := Path(os.environ["BODIES"]).read_text().splitlines(), len(lines))
HEADERS = {"Content-Type": "application/json", "X-API-Key": os.environ["KEY"]}
NUMBERS = count()


class Caller(FastHttpUser):  # type: ignore[misc]
    @task  # type: ignore[untyped-decorator]
    def call(self) -> None:
        line = BODIES[next(NUMBERS) % len(BODIES)]
        path, _, body = line.partition("\t") if line.startswith("/") else (os.environ["TARGET"], "", line)
        method = "POST" if body else "GET"
        self.client.request(method, path, data=body or None, headers=HEADERS, name="call")
