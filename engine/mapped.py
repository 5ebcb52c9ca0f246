"""A value in a file that processes map into memory: each reads it, none holds a copy of its large arrays."""

from __future__ import annotations

import mmap
import pickle
from pathlib import Path
from typing import Any

_LENGTH = 8  # bytes of each length that precedes a part


def write_mapped(value: object, path: Path) -> None:
    """Pickle with the arrays beside the pickle instead of inside it (PEP 574)."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    with path.open("wb") as file:
        for part in (memoryview(head), *(buffer.raw() for buffer in buffers)):
            file.write(len(part).to_bytes(_LENGTH, "little"))
            file.write(part)


def read_mapped(path: Path) -> Any:
    """What ``write_mapped`` wrote, by this very run; the arrays are read-only views of the file."""
    with path.open("rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    head, *buffers = _parts(view)
    return pickle.loads(head, buffers=buffers)


def _parts(view: memoryview) -> list[memoryview]:
    parts, at = [], 0
    while at < len(view):
        start = at + _LENGTH
        at = start + int.from_bytes(view[at:start], "little")
        parts.append(view[start:at])
    return parts
