"""Calls to the models in traces, on both sides. Imported only where TRACES=otlp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts import Floats, Floats32
from runners.blocks import Block
from runners.coalesce import CoalescingRunner
from runners.served import RunnerService
from tracing import TRACER, sending_the_rest, shared_step, start_tracing

_PROPAGATOR = TraceContextTextMapPropagator()


class TracedRunner(CoalescingRunner):
    """Each call is a span, linked with everyone who waits for a row of it. BentoML's client sends it along."""

    remote = True
    """Whether members that need a process have one of their own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._askers: dict[str, list[Span]] = {}
        self._calls: dict[str, Span] = {}

    async def predict(self, keys: Sequence[str], rows: Floats32) -> Floats:
        here = trace.get_current_span()
        for call in {self._calls[key] for key in keys if key in self._calls}:
            here.add_link(call.get_span_context())  # under way for somebody else
        for key in keys:
            self._askers.setdefault(key, []).append(here)
        try:
            return await super().predict(keys, rows)
        finally:
            for key in keys:
                self._leave(key, here)

    def _leave(self, key: str, span: Span) -> None:
        askers = self._askers[key]
        askers.remove(span)
        if not askers:
            del self._askers[key]

    async def _run(self, batch: list[Block]) -> None:
        keys = [key for block in batch for key in block.places]
        askers = [span for key in keys for span in self._askers.get(key, ())]
        kind = SpanKind.CLIENT if self.remote and not self.spec.in_process else SpanKind.INTERNAL
        with shared_step(f"model {self.spec.name}", askers, kind, rows=len(keys)) as span:
            if span.is_recording():
                self._calls |= dict.fromkeys(keys, span)
            try:
                await super()._run(batch)
            finally:
                for key in keys:
                    self._calls.pop(key, None)

    def _note_failure(self, error: Exception, n_rows: int) -> None:
        span = trace.get_current_span()
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR, str(error)[:200]))
        super()._note_failure(error, n_rows)


class InProcessTracedRunner(TracedRunner):
    """The same where every model is in this process."""

    remote = False


class TracedService(RunnerService):
    """A runner whose calls are spans of the traces that they come from; it begins none itself."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        start_tracing(self.name, 0.0)
        return _Spans(super().to_asgi(is_main), self.name)


class _Spans:
    """In front of BentoML's stack: the span has in it what a call waits for others to share its batch with."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, sending_the_rest(send) if scope["type"] == "lifespan" else send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        context = _PROPAGATOR.extract(sent)
        if not trace.get_current_span(context).get_span_context().trace_flags.sampled:
            await self._app(scope, receive, send)
            return
        name = f"{self._service} {scope['path']}"
        with TRACER.start_as_current_span(name, context, SpanKind.SERVER) as span:

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await self._app(scope, receive, noting)
