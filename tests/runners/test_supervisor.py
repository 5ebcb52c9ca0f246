"""What the orderly stop relies on in BentoML and circus. A failure here after a bump says what has moved."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import bentoml._internal.utils.circus as supervision
import pytest
from _bentoml_impl.server import serving
from bentoml.serving import create_watcher
from circus.arbiter import Arbiter

from runners.stopping import STOP_RUNNER, SUPERVISOR
from runners.supervisor import CHECK_EVERY, GATEWAY, OrderlyArbiter


def test_the_parts_that_are_overridden_are_still_there() -> None:
    assert 'name="service"' in inspect.getsource(serving.serve_http)
    assert "create_standalone_arbiter" in inspect.getsource(serving.serve_http)
    assert "arbiter_cls = ThreadedArbiter if threaded else Arbiter" in inspect.getsource(
        supervision.create_standalone_arbiter
    )
    assert "return arbiter.stop()" in inspect.getsource(__import__("circus.commands.quit", fromlist=["Quit"]).Quit)
    assert "_exclusive_running_command" in inspect.getsource(Arbiter)
    assert "self._stopping" in inspect.getsource(Arbiter.manage_watchers)


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BENTOML_CONTAINERIZED", "true")
    watchers = [create_watcher(name, args=["-V"], env={}) for name in ("service_LstmRunner", GATEWAY)]
    for watcher in watchers:
        watcher.respawn = False  # what BentoML says in a container
    return OrderlyArbiter(watchers, endpoint="tcp://127.0.0.1:1", pubsub_endpoint="tcp://127.0.0.1:2", check_delay=10)


def test_a_dead_process_is_replaced_soon_and_in_a_container_too(arbiter: Any) -> None:
    assert all(watcher.respawn for watcher in arbiter.watchers)
    assert arbiter.check_delay == CHECK_EVERY


def test_runners_are_stopped_by_a_signal_of_their_own(arbiter: Any) -> None:
    runner, gateway = arbiter.watchers
    assert (runner.stop_signal, gateway.stop_signal) == (STOP_RUNNER, signal.SIGTERM)
    assert runner.env[SUPERVISOR] == str(os.getpid())
    assert SUPERVISOR not in gateway.env


def test_nothing_is_looked_after_while_something_else_is_done(arbiter: Any) -> None:
    arbiter._exclusive_running_command = "arbiter_start_watchers"
    assert arbiter.manage_watchers() is None


_RUNNER = """
import os, signal, sys, time
def end(*_): sys.exit(7)
signal.signal(signal.SIGTERM, end)
from runners.stopping import leave_stopping_to_supervisor
leave_stopping_to_supervisor()
print("ready", flush=True)
for _ in range(2000): time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("supervisor", "sent", "code"),
    [(True, STOP_RUNNER, 7), (False, signal.SIGTERM, 7)],
    ids=["its supervisor stops it", "one without supervisor is stopped as ever"],
)
def test_a_runner_ends_when_its_supervisor_says_so(supervisor: bool, sent: int, code: int) -> None:
    env = {**os.environ, SUPERVISOR: str(os.getpid()) if supervisor else ""}
    with subprocess.Popen([sys.executable, "-c", _RUNNER], env=env, stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == b"ready\n"
        if supervisor:
            for number in (signal.SIGTERM, signal.SIGINT):
                runner.send_signal(number)
            with pytest.raises(subprocess.TimeoutExpired):
                runner.wait(0.3)
        runner.send_signal(sent)
        assert runner.wait(60) == code


def test_the_gateway_is_stopped_before_its_runners(arbiter: Any) -> None:
    stopped: list[str] = []

    def stop(name: str) -> Any:
        async def stopped_now(*_: object, **__: object) -> None:
            stopped.append(name)

        return stopped_now

    watchers = [SimpleNamespace(name=it.name, priority=0, _stop=stop(it.name)) for it in arbiter.watchers]
    arbiter.watchers = watchers
    arbiter._watchers_names = {it.name: it for it in watchers}
    arbiter.ctrl = SimpleNamespace(caller=None)
    arbiter.loop.run_sync(arbiter.stop)
    assert stopped[0] == GATEWAY
    assert "service_LstmRunner" in stopped[1:]
