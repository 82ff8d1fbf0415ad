"""Vectors and pages, for the scripts that measure the memory of a process (``genlink.evaluation.process``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 768  # of a dense vector: BERT's
BLOCK = 50_000  # names at a time


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
