"""What the training commands share."""

from __future__ import annotations

from pathlib import Path

DEFAULT_TARGET = Path(__file__).resolve().parent.parent / "models_store" / "current"
