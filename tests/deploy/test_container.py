"""The rules that a linter of Dockerfiles and a reviewer would hold ours to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = ROOT / "deploy" / "container"
REQUIREMENTS = ROOT / "requirements"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """(instruction, what it says) of the Dockerfile, continued lines joined."""
    text = (CONTAINER / "Dockerfile.template").read_text().partition("#}\n")[2].replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")]


def _said(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for word, rest in instructions if word == name]


def _final_stage(instructions: list[tuple[str, str]]) -> list[tuple[str, str]]:
    last = max(index for index, (word, _) in enumerate(instructions) if word == "FROM")
    return instructions[last:]


def test_bases_are_named_by_an_exact_version(instructions):
    (base,) = _said(instructions, "ARG")
    assert re.fullmatch(r"BASE=python:3\.1[12]\.\d+-slim-\w+", base)
    assert all(it.startswith("${BASE} AS ") for it in _said(instructions, "FROM"))


def test_nothing_but_the_base_is_pulled():
    """A line `# syntax=` has BuildKit fetch a frontend from Docker Hub at each build, even with the base at hand."""
    assert "syntax=" not in (CONTAINER / "Dockerfile.template").read_text()


def test_nobody_is_root_in_the_end(instructions):
    assert _said(_final_stage(instructions), "USER") == ["10001:10001"]
    after_user = [word for word, _ in instructions[instructions.index(("USER", "10001:10001")) :]]
    assert not {"RUN", "COPY", "ADD"} & set(after_user)
    assert not any("chown" in rest for _, rest in _final_stage(instructions)), "the service must not own its code"


def test_it_is_known_whether_it_is_well_and_how_it_stops(instructions):
    (health,) = _said(instructions, "HEALTHCHECK")
    assert '"/bento/src/deploy/container/healthy.py"' in health
    assert _said(instructions, "STOPSIGNAL") == ["SIGTERM"]
    (entry,) = _said(instructions, "ENTRYPOINT")
    assert entry == '["/bento/src/deploy/container/start.sh"]', "a shell around it would keep SIGTERM to itself"


def test_packages_are_a_layer_that_changes_with_the_lock_alone(instructions):
    first_copy = next(rest for word, rest in instructions if word == "COPY")
    assert first_copy.split()[0] == "src/requirements/serving.lock"
    stage = _final_stage(instructions)
    assert [rest.split()[-1] for word, rest in stage if word == "COPY"] == ["/opt/venv", "/bento"]
    install = next(rest for rest in _said(instructions, "RUN") if "pip install" in rest)
    assert "--require-hashes" in install
    assert "--only-binary :all:" in install


def test_nothing_is_fetched_by_hand_and_no_compiler_stays(instructions):
    assert not _said(instructions, "ADD")
    for line in _said(instructions, "RUN"):
        assert not re.search(r"\b(curl|wget|sudo|ssh|gcc|build-essential)\b", line)
        assert "apt-get install" not in line or "rm -rf /var/lib/apt/lists/*" in line
    assert not any("apt-get" in rest for _, rest in _final_stage(instructions))


def test_no_secret_is_built_in(instructions):
    told = " ".join(_said(instructions, "ENV") + _said(instructions, "ARG"))
    assert not re.search(r"KEY|SECRET|PASSWORD|TOKEN|DATABASE_URL|REDIS_URL", told)


def test_what_is_written_at_run_time_is_on_the_volume_or_in_tmp(instructions):
    told = dict(re.findall(r"(\w+)=(\S+)", " ".join(_said(_final_stage(instructions), "ENV"))))
    assert _said(instructions, "VOLUME") == [told["STATE_DIR"]]
    assert told["HOME"] == told["STATE_DIR"]
    assert told["BENTOML_HOME"].startswith(told["STATE_DIR"])
    assert told["MPLCONFIGDIR"].startswith("/tmp/")


def test_the_lock_holds_the_pinned_packages_each_with_hashes():
    lock = (REQUIREMENTS / "serving.lock").read_text()
    entries = re.findall(
        r"^([a-z0-9][\w.-]*==[^\s;]+)(?: ; ([^\\\n]*\S))?((?: *\\\n +--hash=sha256:[0-9a-f]{64})+)$", lock, re.M
    )
    locked = {(pin, condition) for pin, condition, _ in entries}
    lists = "\n".join((REQUIREMENTS / name).read_text() for name in ("serving.txt", "tracing.txt"))
    pinned = set(re.findall(r"^([a-z0-9][\w.-]*==[^\s;]+)(?: ; (.*\S))?$", lists, re.M))
    assert locked == pinned
    assert len(locked) == lock.count("==") - lock.count("sys_platform ==") - lock.count("python_full_version ==")


def test_the_start_script_hands_over_to_the_server():
    script = (CONTAINER / "start.sh").read_text()
    assert subprocess.run(["sh", "-n", CONTAINER / "start.sh"], check=False).returncode == 0
    assert (CONTAINER / "start.sh").stat().st_mode & 0o100
    assert re.findall(r"^\s*bentoml", script, re.M) == []
    assert script.count("exec bentoml serve") == 2


def test_the_large_is_taken_out_and_the_needed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import importlib.util

    spec = importlib.util.spec_from_file_location("slim", CONTAINER / "slim.py")
    slim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(slim)
    kept = ["pyarrow/libarrow.so.2600", "numpy/_core/tests/_natype.py", "arch/data/sp500/sp500.csv.gz", "plotly/io.py"]
    gone = ["pandas/tests/test_a.py", "pyarrow/libarrow_flight.so.2600", "pyarrow/include/a.h", "x/lib.a"]
    gone.append("plotly/__pycache__/io.pyc")
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    doomed = set(slim.superfluous(tmp_path))
    assert all({tmp_path / name, *(tmp_path / name).parents} & doomed for name in gone)
    assert not any({tmp_path / name, *(tmp_path / name).parents} & doomed for name in kept)
