"""A SQLite file that the workers of one gateway share."""

from __future__ import annotations

import sqlite3
from pathlib import Path


class WorkerFile:
    """Opens nothing before it is asked to. ``prepare`` are the statements that make its tables; ``patience``: seconds
    that a question waits for those of other workers. Belongs to one thread."""

    def __init__(self, file: Path, prepare: str, patience: float) -> None:
        self._file, self._prepare, self._patience = file, prepare, patience
        self._connection: sqlite3.Connection | None = None

    def opened(self) -> sqlite3.Connection:
        """Raises sqlite3.Error or OSError where the file is of no use."""
        if self._connection is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._file, timeout=self._patience, isolation_level=None)
            try:
                connection.executescript(self._prepare)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """It may be opened again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
