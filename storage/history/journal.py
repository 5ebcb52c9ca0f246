"""Forecasts that the database has not taken yet, in append-only files that outlive the process."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from io import FileIO
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO

from storage.history.rows import Row, from_line, to_line

log = logging.getLogger("deepfinance.history")


class Journal:
    """A file of its own for each process, one row of JSON a line, locked for as long as the process lives.

    So the files that nobody holds are those of processes that are gone, and whoever comes next replays them. What is
    appended survives the death of the process at once, that of the machine with ``sync``. For any thread.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: FileIO | None = None
        self._lines = 0
        self._lock = threading.Lock()

    @property
    def lines(self) -> int:
        """How many rows wait in the file of this process."""
        return self._lines

    def append(self, rows: Sequence[Row], *, sync: bool = False) -> None:
        """Raises OSError where the disk does not take them."""
        content = b"".join(map(to_line, rows))
        with self._lock:
            self._file = self._file or _opened(self._folder)
            _write(self._file, content)
            self._lines += len(rows)
            if sync:
                os.fsync(self._file.fileno())

    def rotate(self) -> None:
        """Let go of the file, so that it can be replayed; later rows go to a new one."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file, self._lines = None, 0

    def waiting(self) -> Iterator[WaitingFile]:
        """The files that no living process holds, oldest first, each held until the next is asked for."""
        for path in sorted(self._folder.glob("*.jsonl"), key=_age):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue  # somebody else has replayed it
            with file:
                if _hold(file):
                    yield WaitingFile(path, file)


class WaitingFile:
    """Rows of a process that let go of them."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file

    def batches(self, size: int) -> Iterator[list[Row]]:
        """A line that is no whole row, as a crash in the middle of writing leaves, is skipped and logged."""
        while lines := list(islice(self._file, size)):
            yield [row for row in map(self._row, lines) if row is not None]

    def remove(self) -> None:
        """All of it is stored."""
        self._path.unlink(missing_ok=True)

    def _row(self, line: bytes) -> Row | None:
        try:
            return from_line(line)
        except (ValueError, KeyError):
            log.warning("a line of %s is not whole and was skipped: %d bytes", self._path.name, len(line))
            return None


def _opened(folder: Path) -> FileIO:
    """A new file that this process holds and nobody has replayed between its making and its locking."""
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in count():
        try:
            file = FileIO(folder / f"{os.getpid()}-{attempt}.jsonl", "xb")
        except FileExistsError:
            continue
        if _hold(file):
            return file
        file.close()
    raise AssertionError


def _write(file: FileIO, content: bytes) -> None:
    """All of it or, where the disk is full, nothing: half a line would spoil the next."""
    before = file.tell()
    try:
        if file.write(content) != len(content):
            raise OSError("the journal was written in part")
    except OSError:
        file.seek(before)
        file.truncate()
        raise


def _hold(file: FileIO | BinaryIO) -> bool:
    """Whether the lock was free and the file is still there."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file.fileno()).st_nlink > 0


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
