"""Answers on disk as they come, so that whoever is killed goes on where he was.

A line for each chunk of rows, after a first line that names the work: a checksum, a blank, JSON. A line is on the disk
before its rows count as answered. What a kill or a power cut left unfinished at the end does not count and is cut off.
"""

from __future__ import annotations

import datetime
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic_core import from_json, to_json

from deepfinance_client.cli.wrong import WrongInput
from deepfinance_client.columns import COLUMNS

if sys.platform != "win32":
    import fcntl

DATES = [at for at, kind in enumerate(COLUMNS.values()) if kind is datetime.date]
STATUS = list(COLUMNS).index("status")


class Journal:
    """The answers to the work called ``work``, open for this process alone; without them where it shall ``restart``.
    Raises WrongInput where another process has it, or it is that of other work.
    """

    def __init__(self, path: Path, work: str, restart: bool = False) -> None:
        self.path = path
        self._places: dict[int, tuple[int, int]] = {}  # first row -> rows, place in the file
        self._refused = 0
        self._file = path.open("a+b")
        try:
            _lock(self._file.fileno(), path)
            if restart:
                self._file.truncate(0)
            self._read(work)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._file.close()

    @property
    def answered(self) -> int:
        """Rows that are in it."""
        return sum(count for count, _ in self._places.values())

    @property
    def refused(self) -> int:
        """Those of them that are errors."""
        return self._refused

    def missing(self, total: int) -> Iterator[range]:
        """The rows of ``total`` that are not in it."""
        row = 0
        for start, (count, _) in sorted(self._places.items()):
            if row < start:
                yield range(row, start)
            row = start + count
        if row < total:
            yield range(row, total)

    def append(self, start: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep ``rows`` from row ``start`` on. When this returns they are on the disk."""
        lists = [[row[name] for name in COLUMNS] for row in rows]
        place = self._write({"start": start, "rows": lists})
        self._keep(start, lists, place)

    def rows(self) -> Iterator[list[Any]]:
        """All rows in order, as lists in the order of ``COLUMNS``."""
        for _, (_, place) in sorted(self._places.items()):
            self._file.seek(place)
            for row in _content(self._file.readline())["rows"]:
                for at in DATES:
                    row[at] = row[at] and datetime.date.fromisoformat(row[at])
                yield row

    def remove(self) -> None:
        """Delete it: the answers are elsewhere."""
        self.path.unlink(missing_ok=True)

    def _read(self, work: str) -> None:
        self._file.seek(0)
        first = self._file.readline()
        if not first.endswith(b"\n"):  # new, or killed before anything was asked
            self._file.truncate(0)
            self._write({"work": work})
            return
        if _content(first).get("work") != work:
            raise WrongInput(f"{self.path} holds the answers to something else; delete it, or say --restart")
        place = self._file.tell()
        while line := self._file.readline():
            kept = _content(line)
            if not kept:
                break
            self._keep(kept["start"], kept["rows"], place)
            place = self._file.tell()
        self._file.truncate(place)

    def _keep(self, start: int, rows: Sequence[Sequence[Any]], place: int) -> None:
        self._places[start] = len(rows), place
        self._refused += sum(row[STATUS] != 200 for row in rows)

    def _write(self, content: Mapping[str, Any]) -> int:
        """Append a line, and where it begins."""
        place = self._file.seek(0, os.SEEK_END)
        text = to_json(content)
        self._file.write(b"%08x %s\n" % (zlib.crc32(text), text))
        self._file.flush()
        os.fsync(self._file.fileno())
        return place


def _content(line: bytes) -> dict[str, Any]:
    """What a line holds; nothing where it is not whole."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    is_whole = line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(text)
    return from_json(text) if is_whole else {}


def _lock(file: int, path: Path) -> None:
    """Ends with the process, however that ends."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise WrongInput(f"{path} is in use: the same command is running already") from None
