"""The memory of a process, and work in a fresh one. MB are 10**6 bytes.

What is resident is private (the process's own) or shared (mapped from files, and so in memory once for all processes
that open them).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from genlink.errors import DataError, GenLinkError, UsageError

__all__ = [
    "MB",
    "Cells",
    "available",
    "forget_peak",
    "growth",
    "in_fresh_process",
    "is_proc",
    "peak",
    "peak_in",
    "require_proc",
    "resident",
    "resident_of",
]

MB = 1_000_000

Cells = dict[str, float]


def is_proc() -> bool:
    """Whether this system tells what a process has in memory."""
    return Path("/proc/self/smaps_rollup").exists()


def require_proc() -> None:
    """Raise UsageError on a system that does not tell what a process has in memory."""
    if not is_proc():
        raise UsageError("resident memory is read from /proc/self/smaps_rollup, which this system lacks. Use Linux.")


def in_fresh_process(work: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a process of its own, started anew, so that nothing of this one is in its memory.

    Raises BrokenProcessPool where it was killed; a GenLinkError arrives as the UsageError or DataError that it is.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        result, error = pool.submit(_answered, work, *arguments).result()
    if error is not None:
        raise (UsageError if error[1] == UsageError.exit_code else DataError)(error[0])
    return result


def _answered(work: Callable[..., Any], *arguments: object) -> tuple[Any, tuple[str, int] | None]:
    try:
        return work(*arguments), None
    except GenLinkError as error:  # some kinds cannot be sent to another process
        return None, (str(error), error.exit_code)


def resident() -> tuple[int, int]:
    """The bytes of this process that are in memory, and how many of them are private."""
    gc.collect()
    return _proc("self/smaps_rollup", "Rss"), _proc("self/smaps_rollup", "Anonymous")


def resident_of(process: int) -> int:
    """The bytes of another process, named by its id, that are in memory."""
    return _proc(f"{process}/smaps_rollup", "Rss")


def growth(before: tuple[int, int] = (0, 0)) -> Cells:
    """What this process takes beyond what it took ``before``."""
    total, private = (now - then for now, then in zip(resident(), before, strict=True))
    return {
        "resident_mb": round(total / MB, 2),
        "private_mb": round(private / MB, 2),
        "shared_mb": round((total - private) / MB, 2),
    }


def peak() -> int:
    """The most bytes that this process ever had in memory."""
    return _proc("self/status", "VmHWM")


def peak_in(status: Path) -> int:
    """The most bytes that a process had in memory, by a copy that it made of its /proc/self/status."""
    return _field(status, "VmHWM")


def forget_peak() -> None:
    """Let the peak begin anew with what is in memory now."""
    Path("/proc/self/clear_refs").write_text("5")


def available() -> int:
    """The bytes that this machine has room for."""
    return _proc("meminfo", "MemAvailable")


def _proc(file: str, field: str) -> int:
    return _field(Path("/proc", file), field)


def _field(file: Path, field: str) -> int:
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) << 10
