"""`make rollback`: serve the previous model set again from the next start on. Twice brings the newer one back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from errors import ArtefactError
from runners.artefact import read_manifest, verify_model_set
from settings import model_set_folder
from training.progress import say
from training.swap import previous_of, roll_back


def main() -> int:
    """Command line; 1 when there is nothing that could be served."""
    parser = argparse.ArgumentParser(prog="make rollback ARGS=...", description=__doc__)
    parser.add_argument("--out", type=Path, default=model_set_folder(), help="folder of the published set")
    target = parser.parse_args().out.absolute()
    try:
        verify_model_set(previous_of(target))
    except (ArtefactError, KeyError, TypeError) as error:
        say(f"{previous_of(target)} cannot be served, nothing was changed: {error}")
        return 1
    roll_back(target)
    say(f"the next start serves {version_in(target)} from {target}")
    if previous_of(target).exists():
        say(f"kept to roll back to: {version_in(previous_of(target))}")
    return 0


def version_in(folder: Path) -> str:
    """The version of the set in ``folder``, or why it has none."""
    try:
        return str(read_manifest(folder).get("models_version"))
    except ArtefactError as error:
        return error.message


if __name__ == "__main__":
    sys.exit(main())
