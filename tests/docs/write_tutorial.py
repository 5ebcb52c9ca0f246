"""Run docs/tutorial.md against a service and write anew what it shows: ``python -m tests.docs.write_tutorial``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.docs.tutorial import DOCUMENT, cells_of, reader_with_a_service, run, with_shown
from tests.e2e.server import ROOT


def main() -> None:
    """See the module."""
    sys.path.insert(0, str(ROOT / "client" / "src"))  # as pytest does
    document, shown = DOCUMENT.read_text(), {}
    with tempfile.TemporaryDirectory() as folder, reader_with_a_service(Path(folder)) as names:
        for number, cell in enumerate(cells_of(document)):
            sys.stderr.write(f"cell {number}: {cell.code.splitlines()[0]}\n")
            shown[number], figure = run(cell, names)
            if figure is not None and cell.picture:
                figure.savefig(DOCUMENT.parent / cell.picture, dpi=110, metadata={"Software": None})
    DOCUMENT.write_text(with_shown(document, shown))


if __name__ == "__main__":
    main()
