"""Figures in the pages that people read: a command replaces what it wrote there before."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README, CAPACITY = ROOT / "README.md", ROOT / "docs" / "capacity.md"
END = "<!-- end of figures -->\n"


def begin(command: str) -> str:
    """The line before what ``command`` writes."""
    return f"<!-- figures: written by `{command}` -->\n"


def into_page(text: str, page: Path, command: str) -> None:
    """Replace what the page shows of an earlier run; raises ValueError where it has no place for it."""
    before, _, rest = page.read_text().partition(begin(command))
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page.name} has no place for the figures: {begin(command).strip()} ... {END.strip()}")
    page.write_text(f"{before}{begin(command)}\n{text}\n{END}{after}")


def shown(page: Path, command: str) -> str:
    """What the page shows of the last run."""
    _, found, rest = page.read_text().partition(begin(command))
    text, end, _ = rest.partition(END)
    if not (found and end):
        raise ValueError(f"{page.name} has no place for the figures of {command}")
    return text[1:-1]
