"""Traces for OpenTelemetry, sent to an OTLP receiver. Imported only where TRACES=otlp: off, nothing of it is loaded.

Where to send (OTEL_EXPORTER_OTLP_ENDPOINT), how often and with which headers is read by the exporter itself, from the
variables that every OpenTelemetry SDK knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, set_span_in_context, use_span
from opentelemetry.util.types import AttributeValue
from starlette.types import Message, Send

TRACER = trace.get_tracer("deepfinance")
"""Without effect until ``start_tracing``."""

LAST_SECONDS: Final = 2.0
"""For what has not been sent when the process ends."""


@cache
def start_tracing(service: str, share: float) -> None:
    """Trace this process from now on, as ``service``: that ``share`` of the requests that nobody traces yet, and those
    that a caller has chosen. A thread sends what has ended; where the receiver is away, spans are dropped and requests
    notice nothing."""
    resource = Resource.create({SERVICE_NAMESPACE: "deepfinance", SERVICE_NAME: service})
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(share)), resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def sending_the_rest(send: Send) -> Send:
    """``send`` of a server's lifespan, which says that all is over once the last spans are sent: the server ends its
    process by a signal, after which nothing runs any more."""

    async def at_the_end(message: Message) -> None:
        provider = trace.get_tracer_provider()
        if message["type"] == "lifespan.shutdown.complete" and isinstance(provider, TracerProvider):
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.to_thread(provider.force_flush), LAST_SECONDS)
        await send(message)

    return at_the_end


@contextmanager
def step(name: str, **attributes: AttributeValue) -> Iterator[Span]:
    """A part of the request that is traced here; outside of one, nothing."""
    if not trace.get_current_span().is_recording():
        yield INVALID_SPAN
        return
    with TRACER.start_as_current_span(name, attributes=attributes) as span:
        yield span


@contextmanager
def shared_step(
    name: str, askers: Iterable[Span], kind: SpanKind = SpanKind.INTERNAL, **attributes: AttributeValue
) -> Iterator[Span]:
    """Work done once for several ``askers``: a part of the first, linked to the others and they to it.

    Whose task happens to do it says nothing, so that one's span is not taken for the parent.
    """
    asked = [span for span in dict.fromkeys(askers) if span.is_recording()]
    if not asked:
        with use_span(INVALID_SPAN):
            yield INVALID_SPAN
        return
    first, *others = asked
    links = [Link(other.get_span_context()) for other in others]
    parent = set_span_in_context(first)
    with TRACER.start_as_current_span(name, parent, kind, attributes=attributes, links=links) as span:
        for other in others:
            other.add_link(span.get_span_context())
        yield span
