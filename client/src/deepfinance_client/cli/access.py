"""Which key goes to the service."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from deepfinance_client.cli.wrong import WrongInput

MADE_BY_THE_SERVICE = Path(".deepfinance/api_key")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def key_for(url: str, key: str | None, key_file: Path | None) -> str | None:
    """The key that was given, or that in the file. With neither, the one that ``make serve`` has put under the current
    folder, but only for a service on this machine: a key must not reach a stranger because of where one stands.
    """
    if key:
        return key
    if key_file is not None:
        return _first_line(key_file)
    is_here = urlsplit(url).hostname in LOOPBACK
    return _first_line(MADE_BY_THE_SERVICE) if is_here and MADE_BY_THE_SERVICE.is_file() else None


def _first_line(path: Path) -> str:
    try:
        words = path.read_text().split()
    except OSError as error:
        raise WrongInput(f"the key file {path} cannot be read: {error.strerror}") from None
    if len(words) != 1:
        raise WrongInput(f"the key file {path} should hold one key and nothing else")
    return words[0]
