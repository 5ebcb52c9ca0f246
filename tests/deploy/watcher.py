"""The part of Prometheus that scrapes, for tests: services that run, and the rules over what they say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
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
REST = 0.5
"""The least pause between two scrapes, as a part of the time that they take: they must not be all that happens."""


class Watcher:
    """``chaos.alarms.Judge``: scrapes ``times`` more often than Prometheus would, or as often as it can, and takes each
    scrape to be ``INTERVAL`` after the one before; so rates are smaller than they are, and shares, quantiles and sums
    what they are.
    """

    def __init__(self, servers: Sequence[Server], times: float) -> None:
        groups = yaml.safe_load(RULES.read_text())["groups"]
        self._servers, self._every = servers, INTERVAL / times
        self._read = _series_read_by(groups)
        self._samples = Samples()
        self._rules = Rules(groups, self._samples)
        self._there: dict[str, set[Series]] = {it.url: set() for it in servers}
        self._known: dict[tuple[str, str], Series | None] = {}
        self._firing: Mapping[str, str] = {}
        self._over = threading.Event()
        self.at = 0.0

    def firing(self) -> Mapping[str, str]:
        return self._firing

    def watch(self) -> None:
        """Until ``stop``."""
        with ThreadPoolExecutor(len(self._servers)) as threads, ExitStack() as opened:
            clients = [opened.enter_context(it.client()) for it in self._servers]
            while not self._over.is_set():
                began, at = time.monotonic(), self.at + INTERVAL
                for server, text in zip(self._servers, threads.map(_said, clients), strict=True):
                    self._take(server, text, at)
                self._rules.evaluate(at)
                self._firing = {name: alerts[0].summary for name, alerts in self._rules.firing(at).items()}
                self.at, took = at, time.monotonic() - began
                self._over.wait(max(REST * took, self._every - took))

    def stop(self) -> None:
        self._over.set()

    def _take(self, server: Server, text: str | None, at: float) -> None:
        """Its samples, ``up``, and the end of every series that is there no more."""
        self._samples.add(at, "up", _added(server), 0.0 if text is None else 1.0)
        there = set[Series]()
        for line in (text or "").splitlines():
            head, _, value = line.rpartition(" ")
            if series := self._series(server, head):
                self._samples.add(at, *series, float(value))
                there.add(series)
        for series in self._there[server.url] - there:
            self._samples.add(at, *series, None)
        self._there[server.url] = there

    def _series(self, server: Server, head: str) -> Series | None:
        """What a line is of that begins with ``head``, None where no rule reads it; looked up once."""
        key = server.url, head
        if key not in self._known:
            is_read = head.partition("{")[0] in self._read
            self._known[key] = _parsed(head, server) if is_read else None
        return self._known[key]


def _parsed(head: str, server: Server) -> Series:
    (family,) = text_string_to_metric_families(f"{head} 0\n")
    (sample,) = family.samples
    return sample.name, frozenset(sample.labels.items()) | _added(server)


def _added(server: Server) -> Labels:
    """What Prometheus adds to the labels of every series that it scrapes there."""
    return frozenset({"job": "deepfinance", "instance": server.url.removeprefix("http://")}.items())


def _said(client: httpx.Client) -> str | None:
    """None where it does not answer."""
    try:
        return client.get("/metrics", timeout=5).raise_for_status().text
    except httpx.HTTPError:
        return None


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
