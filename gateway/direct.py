"""The two busiest routes, answered without a look at the framework's stack: the same function, a fifth of the cost.

The door has let the request in, read its body whole and counted it; what is raised here it turns into our errors, as it
does for the routes behind. The native routes stay: they are what the specification describes and clients generate from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from errors import MalformedBody
from gateway.answers import Answer
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.backend import Backend
from gateway.deadlines import Deadlines
from gateway.predict import answer_batch, forecast_of, predict_response, request_in
from gateway.schemas import BatchRequest

Handler = Callable[[bytes], Awaitable[Response]]


class Direct:
    """Stands between the door and ``app``. ``seconds`` is how long a request may take before it is answered 504."""

    def __init__(self, app: ASGIApp, backend: Callable[[], Backend], seconds: float) -> None:
        self._app = app
        self._backend = backend
        self._deadlines = Deadlines(seconds)
        self._handlers: dict[str, Handler] = {
            "/api/v1/predict": self._predict,
            "/api/v1/predict/batch": self._batch,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handlers.get(scope["path"]) if scope["type"] == "http" else None
        if handler is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        response = await handler((await receive())["body"])  # whole: the door replays what it has read
        await response(scope, receive, send)

    async def forecast(self, body: bytes) -> Answer:
        """What is answered to a body sent to /api/v1/predict. Raises what the door turns into an error."""
        _refuse_empty(body)
        with self._deadlines.begin():
            backend = self._backend()
            return await forecast_of(request_in(body, backend.catalogue()), backend)

    async def _predict(self, body: bytes) -> Response:
        return predict_response(await self.forecast(body))

    async def _batch(self, body: bytes) -> Response:
        _refuse_empty(body)
        with self._deadlines.begin():
            return await answer_batch(BatchRequest.model_validate_json(body), self._backend())


def _refuse_empty(body: bytes) -> None:
    if not body:
        raise MalformedBody("the body is empty; it must be JSON")
