"""Vectors of names on disk: embedded once for an encoder and a dictionary, block by block, and mapped from then on.

CACHE/vectors/<hash of the encoder>/<hash of the names>-<precision>/
    000000.npy, 000001.npy, ...   a block of names each, in the order of their key indices
    manifest.json                 written last: what was embedded by what
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

__all__ = ["BLOCK", "embedded", "is_cached"]

KIND, FORMAT_VERSION = "name vectors", 1

# Names in a file. What a kill can cost is the work on so many of them.
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
        return _opened(
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
        "block": BLOCK,
    }
    if not _is_whole(directory, facts):
        others = [d for d in directory.parent.glob(f"*-{precision}") if d != directory and has_manifest(d, KIND)]
        if others:
            logger.warning(
                "%s has vectors of %d other dictionaries by this encoder, but none of this one: its %d names are "
                "embedded.",
                directory.parent,
                len(others),
                len(names),
            )
        exact = _place(cache, digest, hashed, "fp32")
        rounded = precision != "fp32" and _is_whole(exact, facts | {"precision": "fp32"})
        for i, block in enumerate(_counted(blocks, len(names), progress)):
            path = _block_file(directory, i)
            if _is_block(path, len(block), encoder.width, precision):
                continue
            vectors = (
                vectors_from_rows(np.load(_block_file(exact, i), mmap_mode="c"))
                if rounded
                else encoder.embed(block, batch_size)
            )
            with atomic_file(path, "wb") as f:
                np.save(f, rows_from_vectors(vectors, precision), allow_pickle=False)
        write_manifest(directory, KIND, FORMAT_VERSION, facts)
    # Mapped to be copied on write, which nobody does: PyTorch wants no memory that cannot be written.
    return _opened(np.load(_block_file(directory, i), mmap_mode="c") for i in range(len(blocks)))


def is_cached(encoder: TextEncoder, names: Sequence[str], precision: VectorPrecision, cache: Path | None) -> bool:
    """Whether all vectors of these names are in the cache."""
    return cache is not None and has_manifest(_place(cache, encoder.digest, _names_hash(names), precision), KIND)


def _place(cache: Path, encoder: str, names: str, precision: str) -> Path:
    return cache / "vectors" / encoder[:16] / f"{names[:16]}-{precision}"


def _block_file(directory: Path, i: int) -> Path:
    return directory / f"{i:06d}.npy"


def _names_hash(names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in names:  # none of which has a line break
        digest.update(f"{name}\n".encode())
    return digest.hexdigest()


def _is_whole(directory: Path, facts: dict[str, Any]) -> bool:
    if not has_manifest(directory, KIND):
        return False
    found = read_manifest(directory, KIND, FORMAT_VERSION)
    if found.get("encoder") != facts["encoder"]:
        raise ModelError(
            f"{directory}: the vectors there are those of another encoder. Delete the directory: they are made again."
        )
    if all(found.get(key) == value for key, value in facts.items()):
        sizes = [BLOCK] * (facts["names"] // BLOCK) + [facts["names"] % BLOCK]
        return all(
            _is_block(_block_file(directory, i), size, facts["width"], facts["precision"])
            for i, size in enumerate(sizes)
            if size
        )
    logger.warning("%s: the vectors there are those of other names, and are made again.", directory)
    for path in directory.glob("*.npy"):
        path.unlink()
    (directory / "manifest.json").unlink()
    return False


def _is_block(path: Path, names: int, width: int, precision: VectorPrecision) -> bool:
    """Whether a block that an earlier run left is one of these."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    if rows.dtype.names is not None:
        return precision == "int8" and (len(rows), rows["levels"].shape[1]) == (names, width)
    return precision == {4: "fp32", 2: "fp16"}.get(rows.dtype.itemsize) and rows.shape == (names, width)


def _opened(blocks: Iterable[NDArray[Any]]) -> NameVectors:
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
