"""The memory of a fresh process, for the scripts that measure it. MB are 10**6 bytes.

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

import numpy as np

from genlink.errors import UsageError

MB = 1_000_000
WIDTH = 768  # of a dense vector: BERT's
BLOCK = 50_000  # names at a time

Cells = dict[str, float]


def require_proc() -> None:
    """Raise UsageError on a system that does not tell what a process has in memory."""
    if not Path("/proc/self/smaps_rollup").exists():
        raise UsageError("resident memory is read from /proc/self/smaps_rollup, which this system lacks. Use Linux.")


def in_fresh_process(work: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a process of its own, started anew, so that nothing of this one is in its memory.

    Raises BrokenProcessPool where it was killed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def resident() -> tuple[int, int]:
    """The bytes of this process that are in memory, and how many of them are private."""
    gc.collect()
    return _proc("self/smaps_rollup", "Rss"), _proc("self/smaps_rollup", "Anonymous")


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


def available() -> int:
    """The bytes that this machine has room for."""
    return _proc("meminfo", "MemAvailable")


def _proc(file: str, field: str) -> int:
    lines = Path("/proc", file).read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) << 10


def touch(array: np.ndarray[Any, Any]) -> None:
    """Read a byte of every page of an array."""
    pages = array.reshape(-1).view(np.uint8)
    int(pages[::4096].sum()), int(pages[-1])


def write_vectors(path: Path, n: int, filled: bool = True) -> None:
    """A file of random vectors, since pages of zeros might take no memory; or a file with nothing but its size."""
    rng = np.random.default_rng(0)
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, WIDTH))
    for start in range(0, n if filled else 0, BLOCK):
        vectors[start : start + BLOCK] = rng.random((min(BLOCK, n - start), WIDTH), dtype=np.float32)
    vectors.flush()
