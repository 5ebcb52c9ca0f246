"""The command, and as a process of its own: killed at any moment, it goes on where it was."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

from deepfinance_client.cli.app import main
from tests.client.faulty import KEY, PATIENCE, FaultyServer, refused

SOURCE = Path(__file__).parents[2] / "client/src"
ROWS = 200


class Command:
    """``deepfinance`` in an empty folder, with ``server`` as its service."""

    def __init__(self, folder: Path, url: str, key: str | None = KEY) -> None:
        self.folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "NO_PROXY", "no_proxy") if name in os.environ}
        self.environment = {**kept, "DEEPFINANCE_URL": url, "PYTHONPATH": str(SOURCE)}
        if key is not None:
            self.environment["DEEPFINANCE_API_KEY"] = key
        lines = [f"{at},S{at},{at % 90 + 1}" for at in range(ROWS)]
        lines[7], lines[100] = "7,NOPE,5", "100,NOPE,5"
        (folder / "in.csv").write_text("\n".join(["id,symbol,horizon", *lines]) + "\n")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "deepfinance_client.cli.app", *arguments]
        return subprocess.Popen(
            line,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(
                signal.SIGINT, signal.SIG_DFL
            ),  # ignored where the tests run in the background
        )

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """The same in this process, as most tests of it need none to kill: its status and what it says."""
        out, errors, status = io.StringIO(), io.StringIO(), 0
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(sys, "argv", ["deepfinance", *arguments]),
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(errors),
        ):
            try:
                main()
            except SystemExit as end:
                status = int(end.code or 0)
        return status, out.getvalue(), errors.getvalue()


@pytest.fixture
def command(tmp_path: Path, faulty: FaultyServer) -> Command:
    return Command(tmp_path, faulty.url)


BATCH = ("batch", "in.csv", "--chunk", "10", "--parallel", "2", "--out")


def _end_after(process: subprocess.Popen[str], server: FaultyServer, batches: int, how: int) -> str:
    """End it while it has had fewer answers than that and waits for more; what it said."""
    first = len(server.times) - len(server.paths)
    server.may_answer = lambda number: number - first < batches
    assert server.wait_until(lambda: len(server.paths) >= batches)
    process.send_signal(how)
    _, told = process.communicate(timeout=PATIENCE)
    server.may_answer = lambda number: True
    return told


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_killed_twice_it_gives_what_it_gives_undisturbed(command: Command, faulty: FaultyServer, ending: str) -> None:
    assert command(*BATCH, f"whole.{ending}")[0] == 0
    whole = (command.folder / f"whole.{ending}").read_bytes()
    del faulty.asked[:], faulty.paths[:]
    faulty.delay = 0.01
    for batches in (4, 13):
        _end_after(command.start(*BATCH, f"out.{ending}"), faulty, batches, signal.SIGKILL)
        assert not (command.folder / f"out.{ending}").exists()
    status, _, told = command(*BATCH, f"out.{ending}")
    assert status == 0
    assert "200 rows, 198 forecasts, 2 errors (unknown_symbol 2)" in told
    assert "of them from before" in told
    assert (command.folder / f"out.{ending}").read_bytes() == whole
    assert not list(command.folder.glob("*.journal"))
    assert not list(command.folder.glob(".*partial"))
    asked = Counter(it["symbol"] for it in faulty.asked)
    assert sum(asked.values()) - ROWS <= 2 * 2 * 10, "no more than was under way at each kill"


def test_interrupted_by_hand_it_says_how_to_go_on(command: Command, faulty: FaultyServer) -> None:
    process = command.start(*BATCH, "out.csv")
    told = _end_after(process, faulty, 5, signal.SIGINT)
    assert process.returncode == 130
    assert "rows are kept; the same command goes on from there" in told
    assert "Traceback" not in told
    assert command(*BATCH, "out.csv")[0] == 0


def test_a_service_that_goes_away_costs_nothing_that_was_answered(command: Command, faulty: FaultyServer) -> None:
    faulty.faults.extend([refused(401, "unauthorized")] * 1)
    status, _, told = command(*BATCH, "out.csv")
    assert (status, "[unauthorized]" in told, "rows are kept" in told) == (1, True, True)
    assert command(*BATCH, "out.csv")[0] == 0


def test_rows_are_in_the_order_of_the_file_with_its_other_columns(command: Command) -> None:
    command(*BATCH, "out.csv")
    lines = (command.folder / "out.csv").read_text().splitlines()
    assert lines[0].startswith("id,symbol,horizon,")
    assert [line.split(",")[0] for line in lines[1:]] == [str(at) for at in range(ROWS)]
    assert "404,unknown_symbol,no data source has bars of NOPE" in lines[8]


def test_a_file_that_is_there_is_not_replaced_unasked(command: Command, faulty: FaultyServer) -> None:
    (command.folder / "out.csv").write_text("mine")
    status, _, told = command(*BATCH, "out.csv")
    assert (status, (command.folder / "out.csv").read_text()) == (2, "mine")
    assert "--overwrite" in told
    assert faulty.paths == []
    assert command(*BATCH, "out.csv", "--overwrite")[0] == 0


@pytest.mark.parametrize("arguments", [("batch", "none.csv", "--out", "o.csv"), ("batch", "in.csv", "--out", "o.txt")])
def test_what_is_wrong_with_the_command_is_told_in_a_line(command: Command, arguments: Sequence[str]) -> None:
    status, out, told = command(*arguments)
    assert (status, out) == (2, "")
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_a_forecast_is_shown_and_can_be_had_whole(command: Command) -> None:
    status, out, told = command("predict", "aapl", "--horizon", "5")
    assert (status, told) == (0, "")
    assert "AAPL, 5 bars of 1d ahead" in out
    answer = json.loads(command("predict", "aapl", "--json")[1])
    assert answer["symbol"] == "AAPL"


def test_a_refusal_is_told_in_a_line(command: Command, faulty: FaultyServer) -> None:
    faulty.faults.append(refused(404, "unknown_symbol"))
    assert command("predict", "NOPE") == (1, "", "error: in words [unknown_symbol] (request r-1)\n")


def test_the_key_of_make_serve_goes_to_this_machine_alone(tmp_path: Path, faulty: FaultyServer) -> None:
    command = Command(tmp_path, faulty.url, key=None)
    (tmp_path / ".deepfinance").mkdir()
    (tmp_path / ".deepfinance/api_key").write_text("the-local-key\n")
    (tmp_path / "own").write_text("my-key\n")
    for arguments in ([], ["--key-file", "own"], ["--key", "said"], ["--url", f"http://0.0.0.0:{faulty.server_port}"]):
        command("predict", "AAPL", *arguments)
    assert faulty.keys == ["the-local-key", "my-key", "said", None]
