"""The documentation page at / and /docs: three files of ours in one answer, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response

_FOLDER = Path(__file__).parent / "page"


@cache
def _page() -> tuple[bytes, str]:
    """The page with style and script in it, and the policy that allows exactly those two by their hashes."""
    style, script = _read("page.css"), _read("page.js")
    html = _read("index.html").replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.encode(), policy


def docs_response() -> Response:
    """The whole page. It is the same for everyone and holds no secret, so it may be cached for a while."""
    page, policy = _page()
    headers = {"Content-Security-Policy": policy, "Cache-Control": "public, max-age=300"}
    return Response(page, headers=headers, media_type="text/html")


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
