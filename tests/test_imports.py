"""Who may import whom. Reads the source of every module, imports inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEAVES = {"contracts", "errors", "records"}
PURE = {"features", "ensemble", "risk", "backtest", "networks"}

# What of ours each part may import. A dotted name allows one module of a folder; a part may always import itself.
ALLOWED: dict[str, set[str]] = {
    "contracts": {"errors"},
    "records": {"contracts", "errors"},
    "errors": set(),
    "features": LEAVES,
    "ensemble": LEAVES,
    "risk": LEAVES | {"backtest.dynamics", "backtest.garch"},
    "backtest": LEAVES | {"risk", "features", "ensemble"},
    "networks": LEAVES,
    "counting": set(),
    "engine": {"errors"},
    "market": LEAVES | {"passes"},
    "storage": LEAVES,
    "runners": LEAVES | {"counting", "features.spec", "features.filtered", "logs", "settings", "tracing"},
    "figures": LEAVES | PURE,
    "answer": LEAVES | PURE | {"figures"},
    "remembering": set(),
    "passes": set(),
    "corrections": LEAVES | PURE | {"inputs", "passes", "remembering"},
    "inputs": LEAVES | PURE,
    "explanation": LEAVES | PURE | {"figures"},
    "pipeline": LEAVES | PURE | {"answer", "corrections", "explanation", "figures", "inputs", "lookup"},
    "training": LEAVES
    | PURE
    | {
        "market",
        "runners.model_set",
        "runners.artefact",
        "runners.members",
        "pipeline",
        "answer",
        "forecast_risk",
        "replay",
        "settings",
        "engine",
    },
    "gateway": LEAVES | {"counting", "pipeline", "storage.cache", "storage.worker_file", "tracing"},
    "forecaster": LEAVES
    | {"condition", "garbage", "serving", "warming", "gateway", "pipeline", "gathering", "runners", "forecast_cache"}
    | {"offload"},
    "garbage": set(),
    "gathering": LEAVES | {"passes", "pipeline"},
    "condition": LEAVES | {"gateway", "runners", "serving"},
    "warming": LEAVES | {"gateway", "pipeline", "serving"},
    "serving": LEAVES | {"corrections", "gateway", "gathering", "pipeline", "runners"},
    "forecast_cache": LEAVES | {"gateway.answers", "lookup", "storage.cache"},
    "lookup": LEAVES,
    "replay": LEAVES | PURE | {"corrections"},
    "forecast_risk": LEAVES | PURE | {"figures", "pipeline", "remembering", "replay"},
    "risk_desk": LEAVES | PURE | {"answer", "forecast_risk", "offload", "gateway", "remembering", "risk_pictures"},
    "risk_pictures": LEAVES | PURE | {"gateway"},
    "options_desk": LEAVES | PURE | {"gateway", "offload"},
    "portfolio_desk": LEAVES | PURE | {"answer", "gateway", "offload", "remembering", "risk_desk"},
    "offload": LEAVES,
    "wiring": LEAVES
    | PURE
    | {
        "gateway",
        "market",
        "runners",
        "forecaster",
        "forecast_cache",
        "forecast_risk",
        "gathering",
        "risk_desk",
        "options_desk",
        "parts",
        "portfolio_desk",
        "offload",
        "pipeline",
        "settings",
        "storage",
        "tracing",
    },
    "tracing": set(),
    "traced": LEAVES | {"gathering", "inputs", "pipeline", "tracing"},
    "parts": LEAVES | {"gathering", "inputs", "runners", "traced"},
    "logs": set(),
    "settings": LEAVES | {"gateway.keys"},
    "serve": {"errors", "settings", "runners"},
    "service": LEAVES | PURE | {"counting", "gateway", "runners", "wiring", "settings", "logs"},
}
# What of others' each part must not import.
NO_OUTSIDE_WORLD = {
    "bentoml",
    "redis",
    "httpx",
    "aiohttp",
    "os",
    "pathlib",
    "io",
    "socket",
    "subprocess",
    "time",
    "random",
}
FORBIDDEN: dict[str, set[str]] = {
    **{part: NO_OUTSIDE_WORLD | {"torch"} for part in ("features", "ensemble", "risk", "backtest")},
    "networks": NO_OUTSIDE_WORLD,
    "pipeline": NO_OUTSIDE_WORLD | {"torch"},
    "runners": {"torch", "pandas"},
    "gateway": {"torch", "pandas"},
    "market": {"torch", "bentoml"},
    "service": {"torch", "pandas"},
    "forecaster": {"torch", "bentoml"},
    "serving": {"torch", "bentoml"},
    "forecast_cache": {"torch", "bentoml", "pandas"},
    "risk_desk": {"torch", "bentoml", "pandas"},
    "options_desk": {"torch", "bentoml", "pandas", "QuantLib", "risk.american_quantlib"},
    "portfolio_desk": {"torch", "bentoml", "pandas", "skfolio", "risk.optimisation"},
    "storage": {"torch", "bentoml", "pandas"},
    "wiring": {"torch", "pandas"},
}
FORBIDDEN_CALLS = {"open", "now", "utcnow", "today", "getenv"}


def _modules() -> Iterator[tuple[str, Path]]:
    for part in ALLOWED:
        if (file := ROOT / f"{part}.py").exists():
            yield part, file
        for file in sorted((ROOT / part).rglob("*.py")):
            yield part, file


MODULES = list(_modules())
"""(part, file) of every module that ships."""


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names that are imported, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where things come from"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_covered(name: str, allowed: set[str]) -> bool:
    return any(name == it or name.startswith(f"{it}.") for it in allowed)


@pytest.mark.parametrize(("part", "file"), MODULES, ids=lambda it: it.name if isinstance(it, Path) else it)
def test_imports_point_one_way(part: str, file: Path):
    tree = ast.parse(file.read_text())
    ours = {name for name in imported(tree) if name.split(".")[0] in {*ALLOWED, "client", "tests", "bench"}}
    wrong = {name for name in ours if not is_covered(name, ALLOWED[part] | {part})}
    assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}; {part} may use {sorted(ALLOWED[part])}"


@pytest.mark.parametrize(("part", "file"), MODULES, ids=lambda it: it.name if isinstance(it, Path) else it)
def test_what_a_part_must_not_touch_is_not_imported(part: str, file: Path):
    wrong = {name for name in imported(ast.parse(file.read_text())) if is_covered(name, FORBIDDEN.get(part, set()))}
    assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}"


def test_ray_is_imported_by_its_engine_alone():
    importers = {
        file for _, file in MODULES if {"ray"} & {name.split(".")[0] for name in imported(ast.parse(file.read_text()))}
    }
    assert importers == {ROOT / "engine" / "on_ray.py"}


def test_nothing_that_serves_knows_an_engine():
    knowing = {part for part, allowed in ALLOWED.items() if any(name.split(".")[0] == "engine" for name in allowed)}
    assert knowing == {"training"}


@pytest.mark.parametrize(
    "file", [file for part, file in MODULES if part in PURE | {"pipeline", "answer"}], ids=lambda it: it.name
)
def test_pure_code_asks_neither_files_nor_the_clock(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert name not in FORBIDDEN_CALLS, f"{file.relative_to(ROOT)}:{node.lineno} calls {name}()"


def test_every_python_file_in_the_root_is_covered():
    assert {file.stem for file in ROOT.glob("*.py")} <= set(ALLOWED)
