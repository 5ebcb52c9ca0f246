"""What became of forecasts: those in the database, and those in journals, which the next start writes into it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import asyncpg


async def stored(database_url: str) -> set[str]:
    """The ids of all forecasts that are in the database."""
    connection = await asyncpg.connect(database_url)
    try:
        return {row["forecast_id"] for row in await connection.fetch("SELECT forecast_id FROM forecasts")}
    finally:
        await connection.close()


def journalled(files: Iterable[Path]) -> set[str]:
    """The ids of all forecasts that are in these journals."""
    return {json.loads(line)["forecast_id"] for file in files for line in file.read_text().splitlines()}
