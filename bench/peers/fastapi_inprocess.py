"""FastAPI with the models in the process: what most people would write."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response

from bench.peers.shared import answered, body_of, parsed, plain_ports

app = FastAPI()
PORTS = plain_ports()


@app.post("/api/v1/predict")
async def predict(request: Request) -> Response:
    (outcome,) = await answered([parsed(await request.body())], PORTS)
    status, body = body_of(outcome)
    return Response(body, status, media_type="application/json")


@app.get("/readyz")
async def ready() -> str:
    return "ok"
