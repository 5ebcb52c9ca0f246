from __future__ import annotations

import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import serve
from errors import ConfigurationError


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path):
    first = serve.kept_key(tmp_path / "new" / "api_key")
    assert len(first) >= 32
    assert serve.kept_key(tmp_path / "new" / "api_key") == first
    assert stat.S_IMODE((tmp_path / "new" / "api_key").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "new") == ["api_key"]


def test_a_key_that_others_could_read_is_closed_to_them(tmp_path: Path):
    (tmp_path / "api_key").write_text("kept\n")
    (tmp_path / "api_key").chmod(0o644)
    assert serve.kept_key(tmp_path / "api_key") == "kept"
    assert stat.S_IMODE((tmp_path / "api_key").stat().st_mode) == 0o600


def test_two_that_start_together_agree_on_the_key(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: serve.kept_key(tmp_path / "api_key"), range(8)))
    assert len(keys) == 1
    assert os.listdir(tmp_path) == ["api_key"]


def test_what_the_caller_set_is_left_alone(tmp_path: Path):
    given = {"ML_SERVICE_API_KEY": "mine", "BENTOML_HOME": str(tmp_path / "mine"), "OMP_NUM_THREADS": "4"}
    added = serve.serving_environment(given, tmp_path / "state")
    assert not set(added) & set(given)
    assert not (tmp_path / "state" / "api_key").exists()


def test_no_key_is_made_when_none_is_asked_for(tmp_path: Path):
    assert "ML_SERVICE_API_KEY" not in serve.serving_environment({"AUTH": "off"}, tmp_path)


def test_a_port_in_use_is_refused_by_name():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is in use.*PORT={port % 65535 + 1} make serve"):
            serve.require_free(port)
    serve.require_free(port)


def test_a_state_folder_serves_one_at_a_time(tmp_path: Path):
    with serve.sole_user_of(tmp_path), pytest.raises(ConfigurationError, match=r"running with .* already"):
        serve.sole_user_of(tmp_path)
    serve.sole_user_of(tmp_path).close()


def test_a_state_folder_that_cannot_be_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    for state in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/state")):
        with pytest.raises(ConfigurationError, match=f"STATE_DIR: '{state}' cannot be written to"):
            serve.sole_user_of(state)


def test_the_key_is_shown_where_it_is_ours_and_nowhere_else(tmp_path: Path):
    made = serve.serving_environment({}, tmp_path)
    assert made["ML_SERVICE_API_KEY"] in serve.how_to_call(3000, made, tmp_path)
    theirs = serve.how_to_call(3000, {"ML_SERVICE_API_KEY": "theirs"}, tmp_path)
    assert "theirs" not in theirs
    assert "X-API-Key" in theirs
    assert "X-API-Key" not in serve.how_to_call(3000, {"AUTH": "off"}, tmp_path)
