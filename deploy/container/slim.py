"""Takes out of an environment's site-packages what a running service never opens, and prints what that saved.

Tests, headers, sources of compiled modules, the parts of pyarrow for Flight and S3, data sets to practise on; and the
bytecode of large packages of which little is ever imported, which costs a part of a second where it is.
Run by the Dockerfile in the environment it has just installed, and by hand in a throwaway one: it deletes.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("tests", "include")
"""Folders of these names, wherever they are."""

KEPT = ("numpy/_core/tests", "numpy/testing/tests")
"""numpy.testing, which scipy and scikit-learn import, reads from the first."""

FILES = (
    "**/*.a",
    "**/*.c",
    "**/*.cpp",
    "**/*.pxd",
    "**/*.pyi",
    "**/*.pyx",
    "matplotlib/mpl-data/sample_data",
    "plotly/labextension",
    "plotly/package_data/datasets",
    "plotly/package_data/plotly.min.js",
    "pyarrow/*flight*",
    "pyarrow/*s3*",
    "pyarrow/libarrow_python*.so",
    "pyarrow/libarrow_python*.so.*.*.*",
    "pyarrow/src",
    "sklearn/datasets/data",
    "statsmodels/datasets/*/*.csv",
)

SELDOM_IMPORTED = ("fontTools", "plotly", "sqlalchemy/dialects/m*", "sqlalchemy/dialects/oracle", "statsmodels")


def superfluous(packages: Path) -> Iterator[Path]:
    """Files and folders that can go."""
    for name in FOLDERS:
        for folder in packages.rglob(name):
            if folder.is_dir() and not any(folder.as_posix().endswith(kept) for kept in KEPT):
                yield folder
    for pattern in FILES:
        yield from packages.glob(pattern)
    for package in SELDOM_IMPORTED:
        yield from packages.glob(f"{package}/**/__pycache__")


def size(path: Path) -> int:
    """Bytes in a file, or in everything below a folder."""
    files = [path] if path.is_file() else [it for it in path.rglob("*") if it.is_file() and not it.is_symlink()]
    return sum(it.stat().st_size for it in files)


def main() -> None:
    """Slim the environment of the Python that runs this."""
    packages = Path(sysconfig.get_path("purelib"))
    if sys.prefix == sys.base_prefix:
        sys.exit("refused: this Python is not in a virtual environment")
    before = size(packages)
    for path in list(superfluous(packages)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    sys.stdout.write(f"{packages}: {before / 1e6:,.0f} MB, now {size(packages) / 1e6:,.0f} MB\n")


if __name__ == "__main__":
    main()
