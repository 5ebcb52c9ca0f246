"""Putting a folder in the place of another, so that whoever looks sees the old one or the new one, whole."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def previous_of(target: Path) -> Path:
    """Where the set that ``target`` replaced is kept."""
    return target.with_name("previous" if target.name == "current" else f"{target.name}.previous")


def put_in_place(folder: Path, target: Path) -> None:
    """Make ``folder`` the published ``target`` and keep a copy of what was there.

    The copy is whole before anything moves, and where the system can exchange two folders in one step ``target``
    is never absent. Elsewhere a crash between two renames leaves the old set in its copy, for ``roll_back``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        folder.rename(target)
        return
    _keep_copy(target)
    exchange(folder, target)
    shutil.rmtree(folder)


def roll_back(target: Path) -> None:
    """Exchange the published set with the previous one, so that doing it twice changes nothing."""
    if target.exists():
        exchange(previous_of(target), target)
    else:
        previous_of(target).rename(target)


def exchange(one: Path, other: Path) -> None:
    """Give each of two folders the name of the other: in one step where Linux can, else in three."""
    if _exchange_at_once(one, other):
        return
    aside = one.with_name(f"{one.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def _exchange_at_once(one: Path, other: Path) -> bool:
    """renameat2(2) with RENAME_EXCHANGE; False where the C library, the kernel or the file system lacks it."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _keep_copy(target: Path) -> None:
    """Copy ``target`` to its previous place; the copy that was there goes only when the new one is whole."""
    previous = previous_of(target)
    fresh = previous.with_name(f"{previous.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(target, fresh)
    if previous.exists():
        exchange(fresh, previous)
        shutil.rmtree(fresh)
    else:
        fresh.rename(previous)
