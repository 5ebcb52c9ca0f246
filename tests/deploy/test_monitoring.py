"""Every query of the rules and dashboards names what a running service exports, by labels that it has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Sample
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.promql import ADDED, reading
from tests.e2e.server import ROOT, Server, running
from tests.e2e.test_live_data import chart, imitation
from tests.market.vendor_server import Answer

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yaml"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))

Series = dict[str, set[str]]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def recorded() -> Series:
    """Names that rules record, with the labels that they keep."""
    return {it["record"]: reading(it["expr"]).grouping for it in rules() if "record" in it}


def queries() -> list[tuple[str, str]]:
    """(where, expression) of all rules and panels."""
    found = [(it.get("record") or it["alert"], it["expr"]) for it in rules()]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            found += [(f"{path.stem}: {panel['title']}", target["expr"]) for target in panel["targets"]]
    return found


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """What a service exports that has done a little of everything."""
    with imitation() as vendor, server_to_watch(tmp_path_factory.mktemp("watched"), vendor.url) as server:
        vendor.answer = chart
        use(server)
        vendor.answer = Answer("oops", 500)
        fail(server)
        with server.client() as client:
            text = client.get("/metrics").text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


@pytest.fixture(scope="module")
def exported(samples: list[Sample]) -> Series:
    """The labels of each, by name of the series."""
    series: Series = {}
    for sample in samples:
        series.setdefault(sample.name, set()).update(sample.labels)
    return series


def server_to_watch(home: Path, yahoo: str) -> Any:
    keys = "a-key-for-the-tests,slow;name=slow;limit=1/hour"
    return running(
        "service:DeepFinance",
        home,
        DATA_PROVIDERS="yahoo,bundled",
        DATA_ADDRESSES=f"yahoo={yahoo}",
        DATA_CACHE_TTL="0",
        ML_SERVICE_API_KEY=keys,
        RUNNER_LAYOUT="per_model",
        RUNNER_TIMEOUT="3",
    )


def use(server: Server) -> None:
    with server.client() as client:
        for symbol in ("AAPL", "MSFT", "AAPL"):
            assert client.post("/api/v1/predict", json={"symbol": symbol}).status_code == 200


def fail(server: Server) -> None:
    """Have a model hang and a source fail, and be refused."""
    lstm = server.runner("LstmRunner")
    lstm.suspend()
    with server.client() as client:
        answer = client.post("/api/v1/predict", json={"symbol": "AAPL", "horizon": 9})
        lstm.resume()
        assert "lstm" in answer.json()["degraded"]
        for _ in range(2):
            limited = client.post("/api/v1/predict", json={"symbol": "AAPL"}, headers={"X-API-Key": "slow"})
        assert limited.status_code == 429
        assert client.get("/api/v1/models", headers={"X-API-Key": "wrong"}).status_code == 401


@pytest.mark.e2e
def test_what_queries_read_is_exported(exported: Series):
    known = exported | recorded() | {"up": set()}
    for where, expression in queries():
        found = reading(expression)
        for name, labels in found.series.items():
            assert name in known, f"{where} reads {name}, which nothing exports"
            assert labels <= known[name] | ADDED, f"{where}: {name} has {known[name]}, not {labels}"
        available = set().union(*(known[name] for name in found.series)) | ADDED
        assert found.grouping <= available, f"{where} groups by {found.grouping}, of which it has {available}"


@pytest.mark.e2e
def test_failures_are_counted_from_nought(samples: list[Sample]):
    """A counter that first appears as 1 has not increased, for Prometheus."""
    failures = {
        (it.labels["model"], it.labels["reason"]): it.value
        for it in samples
        if it.name == "deepfinance_runner_failures_total"
    }
    assert failures["lstm", "timeout"] >= 1
    assert failures["xgboost", "lost"] == 0
    sides = {it.labels["side"]: it.value for it in samples if it.name == "deepfinance_outcomes_total"}
    assert sides == {"below": 0, "inside": 0, "above": 0}


def test_legends_and_texts_use_labels_that_results_have():
    kept = {name: labels | ADDED for name, labels in recorded().items()}
    for rule in rules():
        if "alert" in rule:
            used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
            found = reading(rule["expr"])
            if found.grouping:
                assert used <= found.grouping, rule["alert"]
            for name in found.series:
                assert name not in kept or used <= kept[name], rule["alert"]


def test_dashboards_are_ready_to_be_provisioned():
    assert {path.stem for path in DASHBOARDS} == {"service", "runners", "quality", "sources"}
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert {target["datasource"]["uid"] for panel in board["panels"] for target in panel["targets"]} == {
            source["uid"]
        }
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


def test_every_alert_is_explained_and_has_a_unit_test():
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    tested = yaml.safe_load((DEPLOY / "prometheus" / "rules_test.yaml").read_text())["tests"]
    fires = {it["alertname"] for test in tested for it in test["alert_rule_test"] if it.get("exp_alerts")}
    stays_quiet = {it["alertname"] for test in tested for it in test["alert_rule_test"] if not it.get("exp_alerts")}
    assert fires == alerts
    assert stays_quiet >= alerts
    explained = (ROOT / "docs" / "monitoring.md").read_text()
    assert [name for name in sorted(alerts) if f"`{name}`" not in explained] == []


if promtool := shutil.which("promtool"):  # Debian's package `prometheus` has it; the workflow installs that

    def test_rules_do_what_their_unit_tests_say():
        for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
            ran = subprocess.run(
                [str(promtool), *command], cwd=RULES.parent, capture_output=True, text=True, timeout=120, check=False
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
