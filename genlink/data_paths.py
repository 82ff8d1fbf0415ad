"""Where real data lies: paths that begin with ``data/`` can be moved elsewhere by the variable ``GENLINK_DATA``.

Recipes, commands and result files say ``data/...`` on every computer; only the environment says where that is. It also
says where what can be computed again is kept (``GENLINK_CACHE``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from genlink.errors import DataError

__all__ = ["cache_directory", "display", "expanded", "locate"]

VARIABLE = "GENLINK_DATA"
CACHE_VARIABLE = "GENLINK_CACHE"


def cache_directory() -> Path:
    """Where vectors that would take long to compute again are kept, and the default model, unpacked.

    Whoever needs the space may delete it.

    ``$GENLINK_CACHE``, else ``genlink`` below ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    own = os.environ.get(CACHE_VARIABLE)
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genlink"


def _data_directory() -> Path:
    return Path(os.environ.get(VARIABLE) or "data")


def _absolute(path: Path) -> Path:
    # Links are not followed: a linked file keeps the name that it was given by.
    return Path(os.path.normpath(path.absolute()))


def locate(path: str | Path) -> Path:
    """Where a path leads: ``data/x`` lies below ``$GENLINK_DATA`` if that is set; any other path is left as it is."""
    path = Path(path)
    if path.parts[:1] == ("data",):
        return _data_directory().joinpath(*path.parts[1:])
    return path


def expanded(patterns: Iterable[str | Path]) -> list[Path]:
    """The files that paths or patterns (``data/ontologies/*.gz``) lead to, in order.

    Patterns are for the last part of a path alone. Raises DataError for one that no file fits.
    """
    files: list[Path] = []
    for pattern in map(locate, patterns):
        found = sorted(pattern.parent.glob(pattern.name))
        if not found:
            raise DataError(f"{pattern}: no such file. Check the path, or see docs/data.md for where to get it.")
        files.extend(found)
    return files


def display(path: str | Path) -> str:
    """The path to show and to record: the inverse of ``locate``, with forward slashes.

    Below the data directory it reads ``data/...``, below the working directory it is relative to that, and of any other
    place only the last part is kept: a result file must not tell how somebody's disk is laid out.
    """
    absolute = _absolute(locate(path))
    for base, prefix in ((_data_directory(), "data"), (Path(), "")):
        try:
            relative = absolute.relative_to(_absolute(base))
        except ValueError:
            continue
        return str(PurePosixPath(prefix) / PurePosixPath(relative.as_posix()))
    return absolute.name
