"""A span for every HTTP request, in front of everything. Imported only where requests are traced."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.asgi import ASGIApp, Message, Receive, Scope, Send
from gateway.auth import UNCOUNTED_PATHS
from gateway.door import CALLER
from gateway.hot import HOT
from gateway.traffic import PathTemplates
from tracing import sending_the_rest

BY_THE_CLOCK: Final = UNCOUNTED_PATHS | {"/livez", "/readyz", "/healthz"}
"""Asked every few seconds by machines: no spans."""

_TRACER = trace.get_tracer("deepfinance.gateway")
_PROPAGATOR = TraceContextTextMapPropagator()
"""The caller's trace is continued. Its baggage is left: what strangers send goes no further."""


class Traced:
    """Outermost of all. Says of a request what the log says: the name of the key and never the key, the template of the
    route and neither query nor headers."""

    def __init__(self, app: ASGIApp, templates: PathTemplates) -> None:
        self._app = app
        self._templates = templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in BY_THE_CLOCK:
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, sending_the_rest(send) if scope["type"] == "lifespan" else send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        route, method = self._templates.of(scope["path"]), scope["method"]
        sent = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        attributes = {"http.request.method": method, "http.route": route}
        context = _PROPAGATOR.extract(sent)
        with _TRACER.start_as_current_span(f"{method} {route}", context, SpanKind.SERVER, attributes) as span:
            await self._app(scope, receive, _noting(span, send) if span.is_recording() else send)
            if span.is_recording():
                _describe(span, scope)


def _noting(span: Span, send: Send) -> Send:
    """``send``, and what the head of the response says noted."""

    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            for name, value in message.get("headers", ()):
                if name == b"x-request-id":
                    span.set_attribute("request_id", value.decode("latin-1"))
        await send(message)

    return noting


def _describe(span: Span, scope: Scope) -> None:
    """What is known once the request has gone through the door."""
    if caller := scope.get(CALLER):
        span.set_attribute("key", caller.name)
    if HOT in scope:
        span.add_event("cache lookup", {"cache": "door", "result": "hit"})
