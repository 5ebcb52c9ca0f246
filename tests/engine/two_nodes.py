"""A Ray cluster of two nodes on 127.0.0.1, asked in a process of its own: ``python -m tests.engine.two_nodes FOLDER``
prints what came of it as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from engine.base import Engine
from engine.chosen import chosen_engine
from errors import TaskFailed
from tests.engine.asked import scores, sums
from tests.engine.tasks import Deadly, Doubling

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}


def refusal(engine: Engine) -> str:
    try:
        return f"not refused: {engine.run(Doubling(), [('1', 1), ('13', 13)])}"
    except TaskFailed as error:
        return error.message


def main(folder: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    second = cluster.add_node(**NODE)
    os.environ["RAY_ADDRESS"] = cluster.address
    engine = chosen_engine({"ENGINE": "ray"})

    def kill_the_second(*_: object) -> None:
        if second in cluster.worker_nodes:
            cluster.remove_node(second, allow_graceful=False)

    (folder / "deadly").mkdir()
    result = {
        "nodes": len(ray.nodes()),
        "order": list(engine.run(Doubling(), [(str(i), i) for i in (9, 2, 7)]).items()),
        "refused": refusal(engine),
        "survived": engine.run(Deadly(folder / "deadly", {"b": 1}), [(name, name) for name in "abc"]),
        "scores": scores(engine),
        "sums": sums(engine, folder / "sums", 0.3, kill_the_second),
        "begun": len(list((folder / "sums").iterdir())),
        "nodes_left": sum(node["Alive"] for node in ray.nodes()),
    }
    sys.stdout.write(f"RESULT{json.dumps(result)}\n")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
