"""Answers given before, asked for again: beside a FastAPI worker that has them in a dict, and beside a bare socket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench import bodies
from bench.bodies import PREDICT
from bench.contenders import bare_socket, from_a_dict, started
from bench.load import by_connections, put_load
from bench.report import OURS
from bench.servers import KEY, Running, service
from bench.warm import HEADERS
from bench.workloads import Plan, Say, post, throughput

ALL_DAY = {"PREDICTION_CACHE_TTL": "86400", "DATA_CACHE_TTL": "86400"}


def cached(folder: Path, names: Sequence[str], shared: Mapping[str, str], plan: Plan, say: Say) -> dict[str, Any]:
    """Everyone's figures."""
    asked = bodies.zipf(folder / "zipf.jsonl", names)
    ours = Running(service(OURS, **ALL_DAY), folder / "cached", shared)
    running = [ours]
    try:
        distinct = list(dict.fromkeys(asked.read_text().splitlines()))
        answers = {body: json.dumps(post(ours.url, PREDICT, json.loads(body))[1]) for body in distinct}
        (known := folder / "answers.json").write_text(json.dumps(answers))
        (one := folder / "answer").write_bytes(whole_answer(ours.port, distinct[0].encode()))
        for peer in (from_a_dict(known), bare_socket(one)):
            started(peer, folder, shared, running, say)
        say(f"warmed up  {len(distinct)} answers are kept")
        for each in running:  # in the very bytes that count
            put_load(each.url, PREDICT, asked, KEY, 16, 1)
        return {"loads": by_connections(throughput(running, asked, plan, running, say))}
    finally:
        for each in running:
            each.stop()


def whole_answer(port: int, body: bytes) -> bytes:
    """Head and body of an answer, as they come."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", PREDICT, body, HEADERS)
        response = connection.getresponse()
        head = "".join(f"{name}: {value}\r\n" for name, value in response.getheaders())
        return f"HTTP/1.1 {response.status} {response.reason}\r\n{head}\r\n".encode() + response.read()
    finally:
        connection.close()
