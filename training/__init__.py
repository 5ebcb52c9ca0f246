"""Fit, calibrate, evaluate, publish: each a small step of `make train`. Torch is needed here and nowhere else."""

import os

# ONNX Runtime tells Microsoft of every session unless this is set before it is imported (its Privacy.md)
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
