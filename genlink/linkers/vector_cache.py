"""Vectors of names on disk: embedded once for an encoder and a dictionary, block by block, and mapped from then on.

CACHE/vectors/<hash of the encoder>/<hash of the names>-<precision>/
    000000.npy, 000001.npy, ...   while names are embedded: a block of them each, in the order of their key indices
    vectors.npy                   the blocks, joined and then deleted: one file, since a mapped one stays open
    manifest.json                 written last: what was embedded by what

So for a moment the vectors are on disk twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from genlink.encoders.encoder import TextEncoder
from genlink.errors import ModelError
from genlink.files import atomic_file, has_manifest, read_manifest, write_manifest
from genlink.linkers.vectors import NameVectors, Part, VectorPrecision, rows_from_vectors, vectors_from_rows

__all__ = ["BLOCK", "JOINED", "embedded", "is_cached"]

KIND, FORMAT_VERSION = "name vectors", 1
JOINED = "vectors.npy"

# Names of a block. What a kill can cost is the work on so many of them.
BLOCK = 8192

logger = logging.getLogger(__name__)


def embedded(
    encoder: TextEncoder,
    names: Sequence[str],
    precision: VectorPrecision,
    cache: Path | None,
    *,
    batch_size: int = 128,
    progress: bool = False,
) -> NameVectors:
    """The vectors of names, by their place in ``names``: from the cache, or embedded and, if there is one, put there.

    An interrupted run goes on after its last whole block. Vectors in float32 that are there already are rounded, not
    embedded again. Without a cache all is kept in memory. With ``progress``, a bar on stderr.

    Raises ModelError where the vectors in the place of these are those of another encoder.
    """
    blocks = [names[start : start + BLOCK] for start in range(0, len(names), BLOCK)]
    if cache is None:
        return _in_parts(
            rows_from_vectors(encoder.embed(block, batch_size), precision)
            for block in _counted(blocks, len(names), progress)
        )
    digest, hashed = encoder.digest, _names_hash(names)
    directory = _place(cache, digest, hashed, precision)
    facts = {
        "encoder": digest,
        "names_hash": hashed,
        "precision": precision,
        "names": len(names),
        "width": encoder.width,
    }
    rows = _whole(directory, facts)
    if rows is None:
        others = [d for d in directory.parent.glob(f"*-{precision}") if d != directory and has_manifest(d, KIND)]
        if others and not has_manifest(directory, KIND):
            logger.warning(
                "%s has vectors of other dictionaries by this encoder (%d), but none of this one: its %d names are "
                "embedded.",
                directory.parent,
                len(others),
                len(names),
            )
        exact = None
        if precision != "fp32":
            exact = _whole(_place(cache, digest, hashed, "fp32"), facts | {"precision": "fp32"})

        def block_rows(i: int) -> NDArray[Any]:
            path, block = directory / f"{i:06d}.npy", blocks[i]
            found = _read(path, len(block), encoder.width, precision)
            if found is not None:
                return found
            if exact is None:
                vectors = encoder.embed(block, batch_size)
            else:
                vectors = vectors_from_rows(exact[i * BLOCK : i * BLOCK + len(block)])
            made = rows_from_vectors(vectors, precision)
            with atomic_file(path, "wb") as f:
                np.save(f, made, allow_pickle=False)
            return made

        rows = _read(directory / JOINED, len(names), encoder.width, precision)  # where a kill came at the very end
        if rows is None:
            for i, _ in enumerate(_counted(blocks, len(names), progress)):
                block_rows(i)
            # A process that does the same may have deleted some by now: they are made again.
            _join((block_rows(i) for i in range(len(blocks))), len(names), directory / JOINED)
            rows = np.load(directory / JOINED, mmap_mode="c")
        for path in directory.glob("[0-9]*.npy"):
            path.unlink(missing_ok=True)
        write_manifest(directory, KIND, FORMAT_VERSION, facts)
    return _in_parts(rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))


def is_cached(encoder: TextEncoder, names: Sequence[str], precision: VectorPrecision, cache: Path | None) -> bool:
    """Whether all vectors of these names are in the cache."""
    return cache is not None and has_manifest(_place(cache, encoder.digest, _names_hash(names), precision), KIND)


def _place(cache: Path, encoder: str, names: str, precision: str) -> Path:
    return cache / "vectors" / encoder[:16] / f"{names[:16]}-{precision}"


def _names_hash(names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in names:  # none of which has a line break
        digest.update(f"{name}\n".encode())
    return digest.hexdigest()


def _whole(directory: Path, facts: dict[str, Any]) -> NDArray[Any] | None:
    """The rows that a directory holds, mapped; None where they are not all there."""
    if not has_manifest(directory, KIND):
        return None
    found = read_manifest(directory, KIND, FORMAT_VERSION)
    if found.get("encoder") != facts["encoder"]:
        raise ModelError(
            f"{directory}: the vectors there are those of another encoder. Delete the directory: they are made again."
        )
    if all(found.get(key) == value for key, value in facts.items()):
        rows = _read(directory / JOINED, facts["names"], facts["width"], facts["precision"])
        if rows is None:
            logger.warning("%s: the vectors there are damaged, and are made again.", directory)
        return rows
    logger.warning("%s: the vectors there are those of other names, and are made again.", directory)
    for path in directory.glob("*.npy"):
        path.unlink()
    (directory / "manifest.json").unlink()
    return None


def _read(path: Path, names: int, width: int, precision: VectorPrecision) -> NDArray[Any] | None:
    """The rows of a file that an earlier run left, mapped; None where it holds something else.

    They are mapped to be copied on write, which nobody does: PyTorch wants no memory that cannot be written.
    """
    try:
        rows: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if rows.dtype.names is not None:
        fits = precision == "int8" and (len(rows), rows["levels"].shape[1]) == (names, width)
    else:
        fits = precision == {4: "fp32", 2: "fp16"}.get(rows.dtype.itemsize) and rows.shape == (names, width)
    return rows if fits else None


def _join(blocks: Iterable[NDArray[Any]], names: int, path: Path) -> None:
    """Write the rows of so many names to one file, with no more than a block in memory."""
    with atomic_file(path, "wb") as f:
        for i, rows in enumerate(blocks):
            if i == 0:
                kind = np.lib.format.dtype_to_descr(rows.dtype)
                header = {"descr": kind, "fortran_order": False, "shape": (names, *rows.shape[1:])}
                np.lib.format.write_array_header_1_0(f, header)
            f.write(rows.tobytes())


def _in_parts(blocks: Iterable[NDArray[Any]]) -> NameVectors:
    parts, first = [], 0
    for rows in blocks:
        parts.append(Part(np.arange(first, first + len(rows)), rows))
        first += len(rows)
    return NameVectors(tuple(parts))


def _counted(blocks: Sequence[Sequence[str]], names: int, progress: bool) -> Iterator[Sequence[str]]:
    with tqdm(total=names, unit="name", desc="Embedding", disable=not progress) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))
