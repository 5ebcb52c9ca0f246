"""Tracing as the gateway's parts see it: who a shared span belongs to, what off costs, a receiver that is away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, StatusCode, get_current_span

import runners.tracing
import settings
import traced
import tracing
from contracts import Bars, Floats, Floats32, ForecastRequest, Grid, MemberSpec
from errors import ConfigurationError, RunnerUnavailable
from pipeline import Outcome, Series
from runners.coalesce import Limits
from runners.tracing import TracedRunner
from traced import TracedGathering

ROOT = Path(__file__).resolve().parents[1]
GRID = Grid(horizons=(1, 5), levels=(0.25, 0.5, 0.75))
SPEC = MemberSpec("lstm", "v1", "lstm.onnx", "0" * 64, "onnx", "flat", 3)


class Spans:
    """Those that have ended, by name."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def of(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.of(name)
        return span


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    found = Spans()
    tracer = found.provider.get_tracer("tests")
    for module in (tracing, runners.tracing):
        monkeypatch.setattr(module, "TRACER", tracer)
    yield found
    found.provider.shutdown()


def linked(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def test_shared_work_belongs_to_the_first_and_is_linked_with_the_others(spans: Spans):
    with tracing.TRACER.start_as_current_span("a") as a:
        pass
    askers = [tracing.TRACER.start_span(name) for name in "bcc"]
    with (
        tracing.TRACER.start_as_current_span("whose task does it"),
        tracing.shared_step("shared", [INVALID_SPAN, a, *askers, askers[0]]),
    ):
        pass
    for span in askers:
        span.end()
    shared, first = spans.one("shared"), spans.one("b")
    assert parent_of(shared) == span_id(first), "a had ended"
    assert linked(shared) == {span_id(it) for it in spans.of("c")}
    assert all(linked(it) == {span_id(shared)} for it in spans.of("c"))


def test_work_for_nobody_who_is_traced_is_nobodys(spans: Spans):
    with tracing.TRACER.start_as_current_span("whose task does it"), tracing.shared_step("shared", [INVALID_SPAN]):
        assert not get_current_span().is_recording()
        with tracing.step("inside"):
            pass
    assert not spans.of("shared")
    assert not spans.of("inside")


class Market:
    """Bars that are nothing but a fingerprint."""

    async def bars(self, symbol: str, timeframe: str) -> Market:
        return self

    fingerprint = "f"


async def test_a_pass_is_linked_with_every_request_that_it_answers(spans: Spans):
    async def work(requests: Sequence[ForecastRequest], bars: Mapping[Series, Bars]) -> Sequence[Outcome]:
        await asyncio.sleep(0.01)
        return [RunnerUnavailable(it.symbol) for it in requests]

    gathering = TracedGathering(work, Market())  # type: ignore[arg-type]
    await gathering.forecast([ForecastRequest("WARM", 5)])

    async def ask(symbol: str) -> None:
        with tracing.TRACER.start_as_current_span("request"):
            (outcome,) = await gathering.forecast([ForecastRequest(symbol, 5)])
        assert isinstance(outcome, RunnerUnavailable)
        assert outcome.message == symbol

    await asyncio.gather(*(ask(f"S{i}") for i in range(5)))
    pass_ = spans.one("forecast")
    assert pass_.attributes == {"rows": 5}
    assert {parent_of(pass_), *linked(pass_)} == {span_id(it) for it in spans.of("request")}
    assert not gathering._askers


def traced_runner(answers: asyncio.Event, error: Exception | None = None) -> TracedRunner:
    async def call(rows: Floats32) -> Floats:
        await answers.wait()
        if error is not None:
            raise error
        return np.zeros((len(rows), *GRID.shape))

    return TracedRunner(SPEC, GRID, call, Limits(calls_in_flight=1))


async def test_a_call_is_linked_with_all_who_wait_for_it_and_with_who_comes_later(spans: Spans):
    answers = asyncio.Event()
    runner = traced_runner(answers)

    async def ask(name: str, *keys: str) -> None:
        with tracing.TRACER.start_as_current_span(name):
            await runner.predict(keys, np.zeros((len(keys), runner.spec.row_width), np.float32))

    tasks = [asyncio.create_task(ask(*keys)) for keys in (("first", "a"), ("second", "b", "a"))]
    await asyncio.sleep(0.01)
    tasks.append(asyncio.create_task(ask("third", "a")))  # its row is under way
    await asyncio.sleep(0.01)
    answers.set()
    await asyncio.gather(*tasks)
    call = spans.one(f"model {runner.spec.name}")
    first, second, third = map(spans.one, ("first", "second", "third"))
    assert call.attributes == {"rows": 2}
    assert parent_of(call) == span_id(first)
    assert linked(call) == {span_id(second)}
    assert linked(second) == linked(third) == {span_id(call)}
    assert not runner._askers
    assert not runner._calls


async def test_a_call_that_fails_says_so(spans: Spans):
    answers = asyncio.Event()
    answers.set()
    runner = traced_runner(answers, ValueError("cannot be"))
    with tracing.TRACER.start_as_current_span("request"), pytest.raises(RunnerUnavailable):
        await runner.predict(["a"], np.zeros((1, runner.spec.row_width), np.float32))
    call = spans.one(f"model {runner.spec.name}")
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes == {"rows": 1, "error.type": "ValueError"}
    assert not runner._askers
    assert not runner._calls


async def test_a_look_into_a_cache_is_counted_and_told(spans: Spans):
    counted: list[str] = []
    with tracing.TRACER.start_as_current_span("request"):
        traced.looked("memory", counted.append)("hit")
    (event,) = spans.one("request").events
    assert (counted, event.attributes) == (["hit"], {"cache": "memory", "result": "hit"})


def run(program: str, **environment: str) -> str:
    """What a program of its own process says."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    env = {"PATH": "/usr/bin", "HOME": "/tmp", "BENTOML_DO_NOT_TRACK": "True", "AUTH": "off", **environment}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def test_off_nothing_of_it_is_loaded_and_nothing_stands_in_the_way(tmp_path: Path):
    said = run(
        """
        import sys, threading
        import service, wiring
        from parts import Parts
        from runners.xgboost_runner import XgboostRunner
        from settings import load_settings

        app = service.DeepFinance.to_asgi()
        print(type(app).__name__, type(XgboostRunner).__name__)
        print(wiring._parts(None, load_settings()) == Parts())
        print([it for it in sys.modules if it.startswith(("opentelemetry.exporter", "traced", "tracing"))])
        print([it for it in sys.modules if it in ("gateway.tracing", "runners.tracing")])
        print([it.name for it in threading.enumerate() if "Otel" in it.name])
        """,
        BENTOML_HOME=str(tmp_path),
    )
    assert said.split("\n")[:5] == ["Express RunnerService", "True", "[]", "[]", "[]"]


def test_on_it_stands_in_front_of_gateway_and_runners(tmp_path: Path):
    said = run(
        """
        import service
        from runners.xgboost_runner import XgboostRunner

        print(type(service.DeepFinance.to_asgi()).__name__, type(XgboostRunner).__name__)
        """,
        BENTOML_HOME=str(tmp_path),
        TRACES="otlp",
    )
    assert said == "Traced TracedService\n"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TRACES": "otlp"}, "requirements/tracing.txt"),
        ({"TRACES": "jaeger"}, "TRACES: expected off or otlp"),
        ({"TRACES_SAMPLE": "2"}, "TRACES_SAMPLE: expected the share of requests"),
    ],
)
def test_what_cannot_be_traced_stops_the_start(environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"AUTH": "off", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(settings, "_is_installed", lambda module: False)
    with pytest.raises(ConfigurationError, match=said):
        settings.load_settings()


def test_a_receiver_that_is_away_holds_up_neither_requests_nor_the_end():
    said = run(
        """
        import asyncio, time
        from tracing import LAST_SECONDS, TRACER, sending_the_rest, start_tracing

        start_tracing("DeepFinance", 1.0)
        started = time.monotonic()
        for _ in range(5000):  # more than is kept for the receiver
            with TRACER.start_as_current_span("request"):
                pass
        spent = time.monotonic() - started

        async def end():
            async def send(message): print(message["type"])
            started = time.monotonic()
            await sending_the_rest(send)({"type": "lifespan.shutdown.complete"})
            print(time.monotonic() - started < LAST_SECONDS + 5, spent < 30, flush=True)
            import os; os._exit(0)

        asyncio.run(end())
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    assert said.split("\n")[:2] == ["lifespan.shutdown.complete", "True True"]
