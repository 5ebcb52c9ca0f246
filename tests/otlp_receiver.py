"""An OTLP/HTTP receiver for traces, on a port of its own: keeps what it is sent."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Received:
    """A span as it arrived; ids are hexadecimal, ``events`` and ``links`` those of protobuf."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    events: list[Any]
    links: list[Any]
    failed: bool


@dataclass
class Receiver:
    url: str
    spans: list[Received] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = attributes_of(resource.resource)["service.name"]
            self.spans += [_received(service, span) for scope in resource.scope_spans for span in scope.spans]

    def wait_for(self, enough: Callable[[list[Received]], bool], patience: float = 60) -> list[Received]:
        end = time.monotonic() + patience
        while not enough(self.spans) and time.monotonic() < end:
            time.sleep(0.05)
        assert enough(self.spans), sorted({(it.service, it.name) for it in self.spans})
        return list(self.spans)


def attributes_of(holder: Any) -> dict[str, Any]:
    """Attributes of a resource, span or event, by key."""
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in holder.attributes}


def _received(service: str, span: Any) -> Received:
    return Received(
        service,
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        attributes_of(span),
        list(span.events),
        list(span.links),
        failed=span.status.code == 2,
    )


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield receiver
        finally:
            server.shutdown()
