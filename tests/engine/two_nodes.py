"""A Ray cluster of two nodes on 127.0.0.1, asked in a process of its own: ``python -m tests.engine.two_nodes FOLDER``
prints what came of it as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import ray
from ray._private.ray_constants import PROCESS_TYPE_RAYLET
from ray.cluster_utils import Cluster

from engine.base import Engine
from engine.chosen import chosen_engine
from errors import TaskFailed
from tests.engine.asked import scores, sums
from tests.engine.tasks import Doubling

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}


def refusal(engine: Engine) -> str:
    try:
        return f"not refused: {engine.run(Doubling(), [('1', 1), ('13', 13)])}"
    except TaskFailed as error:
        return error.message


def nodes_left() -> int:
    """When the cluster has noticed, which can take a moment longer than a task takes that is begun again."""
    deadline = time.monotonic() + 60
    while (alive := sum(node["Alive"] for node in ray.nodes())) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive


def main(folder: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    second = cluster.add_node(**NODE)
    os.environ["RAY_ADDRESS"] = cluster.address
    engine = chosen_engine({"ENGINE": "ray"})
    result = {
        "nodes": len(ray.nodes()),
        "order": list(engine.run(Doubling(), [(str(i), i) for i in (9, 2, 7)]).items()),
        "refused": refusal(engine),
        "scores": scores(engine),
    }
    raylet = second.all_processes[PROCESS_TYPE_RAYLET][0].process.pid
    result |= {
        "sums": sums(engine, folder / "sums", doomed=raylet),
        "begun": len(list((folder / "sums").glob("*-*"))),
        "nodes_left": nodes_left(),
    }
    sys.stdout.write(f"\n{json.dumps(result)}\n")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
