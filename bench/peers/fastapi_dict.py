"""One FastAPI worker that answers known bodies from a dict: no key, no limit, no work. The bar for cached answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response

app = FastAPI()
KNOWN = {body.encode(): answer.encode() for body, answer in json.loads(Path(os.environ["ANSWERS"]).read_text()).items()}


@app.post("/api/v1/predict")
async def predict(request: Request) -> Response:
    return Response(KNOWN[await request.body()], media_type="application/json")


@app.get("/readyz")
async def ready() -> str:
    return "ok"
