"""The manifests, read as they are: what they promise each other, and what they let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import RUNNERS, SERVICES, Settings

KUBERNETES = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
GRACE = {"gateway": 5 + 25, "runner": 5 + 5}
"""Seconds of preStop and those that runners/supervisor.py gives."""


def documents(folder: Path) -> list[dict[str, Any]]:
    names = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    files = [folder / name for name in names if name.endswith(".yaml")]
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def kind(name: str) -> dict[str, dict[str, Any]]:
    return {it["metadata"]["name"]: it for it in documents(BASE) if it["kind"] == name}


DEPLOYMENTS = kind("Deployment")


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    (only,) = pod(name)["containers"]
    assert isinstance(only, dict)
    return only


def env(name: str) -> dict[str, Any]:
    return {it["name"]: it.get("value", it.get("valueFrom")) for it in container(name)["env"]}


def test_every_file_is_part_of_it():
    for folder in (BASE, KUBERNETES / "overlays" / "development", KUBERNETES / "overlays" / "production"):
        named = set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
        assert {it.name for it in folder.glob("*.yaml")} - {"kustomization.yaml"} == {
            it for it in named if "/" not in it
        }
        assert all((folder / it).exists() for it in named)


def test_the_gateway_finds_each_runner_at_its_service():
    urls = dict(text.split("=") for text in env("gateway")["RUNNER_URLS"].split(","))
    services = kind("Service")
    assert set(urls) == set(RUNNERS) - {"combined"} == set(DEPLOYMENTS) - {"gateway"}
    for name, url in urls.items():
        (port,) = services[name]["spec"]["ports"]
        assert url == f"http://{name}:{port['port']}"
        assert env(name)["SERVICE"] == f"{name.capitalize()}Runner"
        assert env(name)["SERVICE"] in SERVICES
    assert env("gateway")["RUNNER_LAYOUT"] == "per_model"


def test_the_gateway_is_given_settings_that_there_are_and_secrets_by_reference():
    for name, value in env("gateway").items():
        assert name.lower() in Settings.model_fields
        if name in ("ML_SERVICE_API_KEY", "DATABASE_URL", "REDIS_URL"):
            assert value["secretKeyRef"]["name"] == "deepfinance"
    assert not any(it["kind"] == "Secret" for folder in (BASE,) for it in documents(folder))


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_pod_has_no_right_that_it_does_not_need(name: str):
    assert pod(name)["securityContext"]["runAsNonRoot"]
    assert pod(name)["securityContext"]["runAsUser"] == 10001
    assert pod(name)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod(name)["automountServiceAccountToken"]
    rights = container(name)["securityContext"]
    assert rights == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {it["name"]: it["mountPath"] for it in container(name)["volumeMounts"]}
    assert mounts == {"state": "/state", "tmp": "/tmp"}


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_pod_is_asked_whether_it_is_well_and_has_time_to_end(name: str):
    probes = {it: container(name)[f"{it}Probe"]["httpGet"]["path"] for it in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/livez", "readiness": "/readyz", "liveness": "/livez"}
    assert container(name)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert pod(name)["terminationGracePeriodSeconds"] > GRACE["gateway" if name == "gateway" else "runner"]
    assert DEPLOYMENTS[name]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_it_scales_and_is_never_taken_away_whole(name: str):
    scaling, budget = kind("HorizontalPodAutoscaler")[name], kind("PodDisruptionBudget")[name]
    assert scaling["spec"]["scaleTargetRef"]["name"] == name
    assert scaling["spec"]["minReplicas"] >= 2
    assert "cpu" in container(name)["resources"]["requests"], "what a share of CPU is measured against"
    assert budget["spec"]["selector"] == DEPLOYMENTS[name]["spec"]["selector"]
    assert budget["spec"]["minAvailable"] == 1


def test_only_the_gateway_reaches_the_runners():
    policies = kind("NetworkPolicy")
    everything = policies["nothing-by-default"]["spec"]
    assert everything == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    runners = policies["runners"]["spec"]
    assert runners["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "runner"}
    (way_in,) = runners["ingress"]
    assert way_in["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}}}]
    assert runners["egress"] == []
    for name in set(DEPLOYMENTS) - {"gateway"}:
        labels = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == "runner"
        assert kind("Service")[name]["spec"].get("type", "ClusterIP") == "ClusterIP"
    labels = [
        it["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] for it in DEPLOYMENTS.values()
    ]
    assert labels.count("gateway") == 1


def test_in_production_images_have_a_digest_and_secrets_come_from_elsewhere():
    overlay = yaml.safe_load((KUBERNETES / "overlays" / "production" / "kustomization.yaml").read_text())
    assert all(it["digest"].startswith("sha256:") for it in overlay["images"])
    assert "secretGenerator" not in overlay
    monitored = {it["kind"]: it for it in documents(KUBERNETES / "overlays" / "production")}["ServiceMonitor"]["spec"]
    assert monitored["selector"]["matchLabels"] == {"app.kubernetes.io/component": "gateway"}
    assert monitored["jobLabel"] == "app.kubernetes.io/name"
    named = yaml.safe_load((BASE / "kustomization.yaml").read_text())["labels"][0]["pairs"]["app.kubernetes.io/name"]
    assert named == "deepfinance", "the job that rules.yaml asks for"
