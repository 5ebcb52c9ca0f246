"""The models behind BentoML runner services, and the coalescing client that reaches them."""

import os

# ONNX Runtime tells Microsoft of every session unless this is set before it is imported (its Privacy.md)
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
