"""The package stands alone: it needs what it says it needs, and nothing of the service."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[2] / "client"
PROJECT = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
OPTIONAL = {"pandas", "pyarrow", "websockets"}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (it.name.split(".")[0] for it in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_-]", it)[0].replace("-", "_") for it in requirements}


@pytest.mark.parametrize("file", sorted((CLIENT / "src").rglob("*.py")), ids=lambda it: it.name)
def test_it_imports_only_what_it_declares(file: Path) -> None:
    foreign = set(_imported(ast.parse(file.read_text()))) - set(sys.stdlib_module_names) - {"deepfinance_client"}
    assert foreign <= _names(PROJECT["dependencies"]) | OPTIONAL


def test_what_is_optional_is_declared_and_not_needed_to_start() -> None:
    extras = PROJECT["optional-dependencies"]
    assert _names(extras["pandas"]) | _names(extras["stream"]) == OPTIONAL
    code = f"import sys, deepfinance_client.cli.app; print(sorted({OPTIONAL} & set(sys.modules)))"
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, env={"PYTHONPATH": str(CLIENT / "src")}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
