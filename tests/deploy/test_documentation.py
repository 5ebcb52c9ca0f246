"""What docs/deploy.md and its neighbours name is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("deploy.md", "monitoring.md", "security.md", "operations.md")
MADE = {"build/container", "deploy/.env", "build/container/"}


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_are_there(page: str):
    text = (ROOT / "docs" / page).read_text()
    for link in re.findall(r"\]\(([^)#:]+)", text):
        assert (ROOT / "docs" / link).exists(), link
    for path in set(re.findall(r"(?<![/\w])(?:deploy|requirements|build)/[\w./-]*\w", text)) - MADE:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_are_there(page: str):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    for target in re.findall(r"(?:`|^|&& )make ([a-z]+)", (ROOT / "docs" / page).read_text(), re.M):
        assert target in targets, target


@pytest.mark.parametrize("page", PAGES)
def test_anchors_are_headings(page: str):
    for file, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", (ROOT / "docs" / page).read_text()):
        headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / (file or page)).read_text(), re.M)
        assert anchor in {re.sub(r"[^\w -]", "", it).lower().replace(" ", "-") for it in headings}


def test_the_command_that_makes_the_operators_rules_makes_them():
    text = (ROOT / "docs" / "deploy.md").read_text()
    command = re.search(r"^(\{ printf .*?\}) \| kubectl", text, re.M | re.S)
    made = subprocess.run(["bash", "-ec", command[1]], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rule = yaml.safe_load(made)
    assert rule["kind"] == "PrometheusRule"
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())


def test_the_workflow_runs_what_every_change_must_pass():
    workflows = [yaml.safe_load(file.read_text()) for file in (ROOT / ".github" / "workflows").glob("*.yml")]
    jobs = {name: job for workflow in workflows for name, job in workflow["jobs"].items()}
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert ".ci/run" in commands
    assert any(command.startswith("pip-audit --strict ") for command in commands)
    assert all("timeout-minutes" in job for job in jobs.values())
    for path in re.findall(r"\b(?:deploy|requirements)/[\w./-]*\w", " ".join(commands)):
        assert (ROOT / path).exists() or "$overlay" in path or path == "deploy/kubernetes/overlays", path
