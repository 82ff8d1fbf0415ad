"""Arrays of a trie as files: one ``.npy`` each, written whole or not at all, opened by memory mapping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genlink.errors import FormatError
from genlink.files import atomic_file

__all__ = ["BUILD_AGAIN", "open_arrays", "save_arrays"]

BUILD_AGAIN = "Build the trie again."


def save_arrays(directory: str | Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays into a directory under their names; other files there are left alone."""
    for name, array in arrays.items():
        with atomic_file(Path(directory) / f"{name}.npy", "wb") as f:
            np.save(f, array, allow_pickle=False)


def open_arrays(directory: str | Path, types: Mapping[str, tuple[npt.DTypeLike, ...]]) -> dict[str, npt.NDArray[Any]]:
    """Memory-map one-dimensional arrays, each of one of its types. Raises FormatError for what is anything else."""
    return {name: _open(Path(directory) / f"{name}.npy", allowed) for name, allowed in types.items()}


def _open(path: Path, allowed: tuple[npt.DTypeLike, ...]) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        problem = "no such file: the trie is not complete, or an older GenLink wrote it."
        raise FormatError(path, problem, advice=BUILD_AGAIN) from None
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(path, f"not a whole .npy file ({error}).", advice=BUILD_AGAIN) from None
    types = [np.dtype(kind) for kind in allowed]
    if array.ndim != 1 or array.dtype not in types:
        expected = " or ".join(map(str, types))
        raise FormatError(path, f"{array.ndim}-d {array.dtype} array, expected 1-d {expected}.", advice=BUILD_AGAIN)
    return array
