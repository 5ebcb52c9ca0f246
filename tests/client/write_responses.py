"""Write the client's types anew after a body of the gateway has changed: ``python -m tests.client.write_responses``."""

from __future__ import annotations

from pathlib import Path

from client.generate import generate
from tests.gateway.tiny_service import SERVICE

FILE = Path(__file__).parents[2] / "client/src/deepfinance_client/responses.py"


def written() -> str:
    """The module, as the gateway of this checkout describes itself."""
    return generate(SERVICE.openapi_spec.asdict())


if __name__ == "__main__":
    FILE.write_text(written())
