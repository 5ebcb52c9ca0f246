"""compose.yaml, its example of settings, and the files for Railway and Fly, as far as can be told without an engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import Settings, load_settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return content


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """What new-env.sh writes."""
    for name in ("new-env.sh", ".env.example"):
        shutil.copy(DEPLOY / name, tmp_path)
    subprocess.run([tmp_path / "new-env.sh"], check=True)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    lines = (tmp_path / ".env").read_text().splitlines()
    again = subprocess.run([tmp_path / "new-env.sh"], check=False, capture_output=True)
    assert again.returncode == 1
    assert (tmp_path / ".env").read_text().splitlines() == lines, "keys in use were overwritten"
    return dict(line.split("=", 1) for line in lines if line and line[0] != "#")


def _filled_in(text: str, env: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name, kind, other = found.groups()
        if env.get(name):
            return env[name]
        assert kind == "-", f"{name} is needed and not given"
        return str(other)

    return VARIABLE.sub(value, text)


def test_every_variable_is_in_the_example():
    told = set(re.findall(r"^#? ?([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.M))
    used = {name for name, _, _ in VARIABLE.findall((DEPLOY / "compose.yaml").read_text())} | {"METRICS_KEY"}
    assert used == told


def test_secrets_are_made_and_are_long(env: dict[str, str]):
    made = {name: env[name] for name in ("API_KEY", "METRICS_KEY", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD")}
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in made.values())
    assert len(set(made.values())) == 4


def test_the_service_starts_with_these_settings(compose, env, monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in compose["services"]["deepfinance"]["environment"].items():
        assert name.lower() in Settings.model_fields
        monkeypatch.setenv(name, _filled_in(str(value), env))
    settings = load_settings()
    assert len(settings.api_keys) == 2
    assert settings.api_keys[1].endswith("scopes=read")
    assert settings.database_url.get_secret_value().startswith("postgresql://deepfinance:")
    assert settings.warnings == ()


def test_nothing_has_more_rights_than_it_needs(compose):
    services = compose["services"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service
        assert all(port.startswith("${LISTEN:-127.0.0.1}:") for port in service.get("ports", [])), name
    assert services["deepfinance"]["read_only"]
    assert {name for name, service in services.items() if service.get("ports")} == {"deepfinance", "grafana"}
    assert compose["networks"]["back"]["internal"]
    assert {name for name, it in services.items() if "front" in it["networks"]} == {"deepfinance", "grafana"}


def test_images_have_versions_and_say_whether_they_are_well(compose):
    for name, service in compose["services"].items():
        if name != "deepfinance":  # its image has a health check of its own
            assert re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+[\w-]*|postgres:\d+-alpine", service["image"]), name
            assert service["healthcheck"]["test"][0] == "CMD"


def test_what_is_mounted_and_waited_for_is_there(compose):
    volumes = set(compose["volumes"])
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in volumes
        assert set(service.get("depends_on", [])) <= set(compose["services"])
    assert Path(DEPLOY / compose["services"]["deepfinance"]["build"]["context"]).resolve().name == "container"


def test_prometheus_finds_the_service_and_its_key(compose):
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "deepfinance"
    assert job["dns_sd_configs"][0]["names"] == ["deepfinance"]
    assert Path(job["authorization"]["credentials_file"]).name in compose["services"]["prometheus"]["secrets"]
    assert config["rule_files"] == ["rules.yaml"]


def test_a_stop_waits_for_what_was_accepted(compose):
    """The gateway finishes within 25 seconds (runners/supervisor.py)."""
    fly = tomllib.loads((DEPLOY / "fly.toml").read_text())
    railway = json.loads((DEPLOY / "railway.json").read_text())
    seconds = compose["services"]["deepfinance"]["stop_grace_period"], fly["kill_timeout"]
    assert [int(it.removesuffix("s")) for it in seconds] + [railway["deploy"]["drainingSeconds"]] == [30, 30, 30]


def test_the_other_platforms_ask_whether_it_is_ready():
    fly = tomllib.loads((DEPLOY / "fly.toml").read_text())
    assert fly["http_service"]["checks"][0]["path"] == "/readyz"
    assert fly["http_service"]["internal_port"] == int(fly["env"]["PORT"])
    assert set(map(str.lower, fly["env"])) <= set(Settings.model_fields)
    assert json.loads((DEPLOY / "railway.json").read_text())["deploy"]["healthcheckPath"] == "/readyz"
