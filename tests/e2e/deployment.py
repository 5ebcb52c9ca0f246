"""Gateways and runners as services of their own, on addresses of their own, joined by JSON: as in deploy/kubernetes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.server import A_WHILE, ROOT, Server, environment, free_port, running, serving

HOSTS = {"xgboost": "127.0.0.2", "lstm": "127.0.0.3", "transformer": "127.0.0.4"}
UNTIL_EVERYBODY_HAS_HEARD = 0.5
"""Seconds that a gateway goes on after it is out of rotation, as preStop has it."""


class Deployment:
    """``replicas`` of each model and a number of ``gateways``, all of which share ``settings``.

    They have names: `lstm-1`, `gateway-2`. ``rotation`` has the addresses of the gateways that take requests.
    """

    def __init__(self, home: Path, model_set: Path, replicas: Mapping[str, int], gateways: int, **settings: str):
        self.rotation: list[str] = []
        self._home, self._model_set, self._settings = home, str(model_set), settings
        self._running: dict[str, tuple[Server, ExitStack]] = {}
        self.runners = [f"{model}-{number + 1}" for model, count in replicas.items() for number in range(count)]
        self.gateways = [f"gateway-{number + 1}" for number in range(gateways)]
        self._ports = {name: free_port(HOSTS[name.partition("-")[0]]) for name in self.runners}
        self._ports |= {name: free_port() for name in self.gateways}

    def __getitem__(self, name: str) -> Server:
        return self._running[name][0]

    def start(self, *names: str) -> None:
        """Have them answer, and the gateways among them take requests."""
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(self._start, names))
        self.rotation += [self[name].url for name in names if name in self.gateways]

    def lose(self, name: str) -> None:
        """As a machine that is switched off: every process at once, and nobody listens."""
        server = self[name]
        for process in reversed(server.family() if server.returncode() is None else []):
            process.kill()
        server.started.wait(A_WHILE)

    def stop(self, name: str) -> int | None:
        """As an orchestrator does: out of rotation, and told to end. The exit status."""
        server, own = self._running.pop(name)
        if server.url in self.rotation:
            self.rotation.remove(server.url)
            time.sleep(UNTIL_EVERYBODY_HAS_HEARD)
        own.close()
        return server.returncode()

    def close(self) -> None:
        """End all of it, the gateways in order and first."""
        with ThreadPoolExecutor(len(self.gateways)) as pool:
            list(pool.map(self.stop, [name for name in self.gateways if name in self._running]))
        for name in self.runners:
            if name in self._running:
                self.lose(name)

    def _start(self, name: str) -> None:
        """Noted as soon as it answers, so that it is ended where another one does not."""
        own = ExitStack()
        server = own.enter_context(self._gateway(name) if name in self.gateways else self._runner(name))
        self._running[name] = server, own

    @contextmanager
    def _runner(self, name: str) -> Iterator[Server]:
        """A model served on its own, as `SERVICE=LstmRunner` makes a container do."""
        model = name.partition("-")[0]
        host, port, home = HOSTS[model], self._ports[name], self._home / name
        entry = f"service:{model.capitalize()}Runner"
        command = [sys.executable, "-m", "bentoml", "serve", entry, "--host", host, "--port", str(port)]
        env = environment(home, MODEL_SET_DIR=self._model_set)
        with serving(command, port, home, ROOT, env, host) as started:
            yield started

    @contextmanager
    def _gateway(self, name: str) -> Iterator[Server]:
        addresses = [(it.partition("-")[0], self._ports[it]) for it in self.runners]
        urls = ",".join(f"{model}=http://{HOSTS[model]}:{port}" for model, port in addresses)
        settings = {"RUNNER_URLS": urls, "RUNNER_LAYOUT": "per_model", "MODEL_SET_DIR": self._model_set}
        port = self._ports[name]
        with running("service:DeepFinance", self._home / name, port=port, **settings, **self._settings) as started:
            yield started


@contextmanager
def deployed(deployment: Deployment) -> Iterator[Deployment]:
    """Started, runners first, and gone at the end."""
    try:
        deployment.start(*deployment.runners)
        deployment.start(*deployment.gateways)
        yield deployment
    finally:
        deployment.close()
