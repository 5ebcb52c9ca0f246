"""The part of Prometheus that scrapes, for tests: services that run, and the rules over what they say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from chaos.prometheus import RULES
from tests.deploy.alerting import INTERVAL, Rules
from tests.deploy.evaluation import Labels, Samples
from tests.deploy.promql import Selector, nodes, parse
from tests.e2e.server import Server

Series = tuple[str, Labels]


class Watcher:
    """``chaos.alarms.Judge``: scrapes ``times`` more often than Prometheus would, and takes every scrape to be
    ``INTERVAL`` after the one before; so rates are smaller than they are, and shares, quantiles and sums what they are.
    """

    def __init__(self, servers: Sequence[Server], times: float) -> None:
        groups = yaml.safe_load(RULES.read_text())["groups"]
        self._servers, self._pause = servers, INTERVAL / times
        self._read = _series_read_by(groups)
        self._samples = Samples()
        self._rules = Rules(groups, self._samples)
        self._there: dict[str, set[Series]] = {it.url: set() for it in servers}
        self._firing: Mapping[str, str] = {}
        self._over = threading.Event()

    def firing(self) -> Mapping[str, str]:
        return self._firing

    def watch(self) -> None:
        """Until ``stop``."""
        at = 0.0
        while not self._over.is_set():
            began, at = time.monotonic(), at + INTERVAL
            for server in self._servers:
                self._scrape(server, at)
            self._rules.evaluate(at)
            self._firing = {name: alerts[0].summary for name, alerts in self._rules.firing(at).items()}
            self._over.wait(max(0.0, began + self._pause - time.monotonic()))

    def stop(self) -> None:
        self._over.set()

    def _scrape(self, server: Server, at: float) -> None:
        """Its samples, ``up``, and the end of every series that is there no more."""
        added = {"job": "deepfinance", "instance": server.url.removeprefix("http://")}
        found = {(name, frozenset((labels | added).items())): value for name, labels, value in self._said(server)}
        self._samples.add(at, "up", frozenset(added.items()), 1.0 if found else 0.0)
        for (name, labels), value in found.items():
            self._samples.add(at, name, labels, value)
        for name, labels in self._there[server.url] - found.keys():
            self._samples.add(at, name, labels, None)
        self._there[server.url] = set(found)

    def _said(self, server: Server) -> Iterator[tuple[str, dict[str, str], float]]:
        try:
            with server.client() as client:
                lines = client.get("/metrics", timeout=5).raise_for_status().text.splitlines()
        except httpx.HTTPError:
            return
        wanted = [line for line in lines if line.partition("{")[0].partition(" ")[0] in self._read]
        for family in text_string_to_metric_families("\n".join(wanted) + "\n"):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value


def _series_read_by(groups: Sequence[Mapping[str, Any]]) -> set[str]:
    trees = (parse(rule["expr"]) for group in groups for rule in group["rules"])
    return {node.name for tree in trees for node in nodes(tree) if isinstance(node, Selector)}


@contextmanager
def watched(servers: Sequence[Server], times: float) -> Iterator[Watcher]:
    """In a thread of its own."""
    watcher = Watcher(servers, times)
    thread = threading.Thread(target=watcher.watch)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.stop()
        thread.join(20)
