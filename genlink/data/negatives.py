"""Negatives for pre-training: for each name its nearest names of other concepts, kept on disk.

ANGEL (Kim et al. 2025, arXiv 2408.16493) takes the five nearest by TF-IDF over character trigrams.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from genlink.data.neighbours import OtherNames
from genlink.errors import DataError, UsageError
from genlink.files import (
    atomic_directory,
    atomic_file,
    has_manifest,
    read_manifest,
    require_replaceable,
    write_manifest,
)
from genlink.kb import KnowledgeBase

__all__ = ["build_negatives", "nearest_other_names", "open_negatives", "write_review"]

logger = logging.getLogger(__name__)

KIND, VERSION = "table of negatives", 1
UNFINISHED = "half-built table of negatives"
ARRAY = "negatives.npy"

# Names searched between two files of an unfinished build.
_BLOCK = 4096

Keys = NDArray[np.int64]
Negatives = NDArray[np.int32]


def nearest_other_names(
    kb: KnowledgeBase,
    top: int = 5,
    *,
    keys: Iterable[int] | None = None,
    max_name_length: int | None = None,
    progress: bool = False,
) -> Negatives:
    """The ``top`` nearest names of other concepts of each key (None: of all); shape (keys, top), of key indices.

    Nearest first, equal cosines by rising key index, -1 where fewer names have a trigram in common with the key. A name
    that shares a concept with the key is none of another concept. Names of more than ``max_name_length`` characters
    have no negatives and are none. With ``progress``, a bar on stderr counts the names.

    Raises UsageError for ``top`` below one or an unknown key, KnowledgeBaseError where every name is too long.
    """
    asked = _checked(kb, top, keys)
    index = OtherNames(kb, max_name_length)
    found = [index.nearest(block, top) for block in _blocks(asked, progress)]
    return np.concatenate(found) if found else np.empty((0, top), dtype=np.int32)


def build_negatives(
    kb: KnowledgeBase,
    directory: str | Path,
    top: int = 5,
    *,
    keys: Iterable[int] | None = None,
    max_name_length: int | None = None,
    progress: bool = False,
) -> Negatives:
    """``nearest_other_names``, written to a directory and mapped from it; shape (n_keys, top), -1 for keys not asked.

    What the directory holds already is taken if it is of the same knowledge base and settings, else replaced, with a
    warning. The blocks found so far lie in ``DIRECTORY.blocks`` meanwhile, so that a build that was killed goes on.

    Raises what ``nearest_other_names`` raises, and DataError where other files would be deleted.
    """
    asked = np.unique(_checked(kb, top, keys))
    directory = Path(directory)
    facts = _facts(kb, top, None if keys is None else asked, max_name_length)
    require_replaceable(directory, KIND)
    if _holds(directory, KIND, facts):
        return open_negatives(directory, kb)
    if has_manifest(directory, KIND):
        logger.warning("%s: made from another knowledge base or by other settings, so it is made anew.", directory)
    unfinished = directory.with_name(directory.name + ".blocks")
    require_replaceable(unfinished, UNFINISHED)
    if not _holds(unfinished, UNFINISHED, facts):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write_manifest(unfinished, UNFINISHED, VERSION, facts)
    negatives = np.full((kb.n_keys, top), -1, dtype=np.int32)
    index = None
    for block in _blocks(asked, progress):
        path = unfinished / f"{block[0]}-{block[-1]}.npy"
        if not path.exists():
            index = index or OtherNames(kb, max_name_length)
            with atomic_file(path, "wb") as f:
                np.save(f, index.nearest(block, top), allow_pickle=False)
        negatives[block] = np.load(path, allow_pickle=False)
    with atomic_directory(directory) as fresh:
        np.save(fresh / ARRAY, negatives, allow_pickle=False)
        write_manifest(fresh, KIND, VERSION, facts)
    shutil.rmtree(unfinished)
    return open_negatives(directory, kb)


def open_negatives(directory: str | Path, kb: KnowledgeBase) -> Negatives:
    """The negatives of a knowledge base, mapped into memory; shape (n_keys, top), as ``nearest_other_names`` has them.

    Raises DataError where the directory holds none, or those of another knowledge base.
    """
    manifest = read_manifest(directory, KIND, VERSION)
    again = f"Build them again (genlink kb negatives KB --output {directory})."
    if manifest.get("content_hash") != kb.content_hash:
        raise DataError(f"{directory}: negatives of another knowledge base, or of an earlier state of it. {again}")
    try:
        negatives: Negatives = np.load(Path(directory) / ARRAY, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{directory}: {ARRAY} cannot be read ({error}). {again}") from None
    if negatives.dtype != np.int32 or negatives.shape != (kb.n_keys, manifest.get("top")):
        raise DataError(f"{directory}: {ARRAY} and the manifest disagree. {again}")
    return negatives


def write_review(path: str | Path, kb: KnowledgeBase, negatives: Negatives, max_name_length: int | None = None) -> None:
    """Write for people to read: a JSON object a line, each name with its negatives and their cosines.

    ``negatives`` has shape (n_keys, top), ``max_name_length`` is what it was made with. Names without any are left out.
    """
    index = OtherNames(kb, max_name_length)
    with atomic_file(path) as f:
        for block in _blocks(np.flatnonzero(negatives[:, 0] >= 0), progress=False):
            row, column = np.nonzero(negatives[block] >= 0)
            others = negatives[block][row, column].astype(np.int64)
            cosines = index.cosines(block[row], others).tolist()
            found: dict[int, list[dict[str, Any]]] = {}
            for key, other, cosine in zip(block[row].tolist(), others.tolist(), cosines, strict=True):
                found.setdefault(key, []).append({"name": kb.key(other), "cosine": round(cosine, 4)})
            for key, listed in found.items():
                f.write(json.dumps({"name": kb.key(key), "negatives": listed}, ensure_ascii=False) + "\n")


def _checked(kb: KnowledgeBase, top: int, keys: Iterable[int] | None) -> Keys:
    """The keys asked for."""
    if top < 1:
        raise UsageError(f"top is {top}, expected 1 or more.")
    asked = np.arange(kb.n_keys) if keys is None else np.fromiter(keys, dtype=np.int64)
    if len(asked) and (asked.min() < 0 or asked.max() >= kb.n_keys):
        raise UsageError(f"keys from {asked.min()} to {asked.max()}, expected some of 0 to {kb.n_keys - 1}.")
    return asked


def _blocks(keys: Keys, progress: bool) -> Iterator[Keys]:
    with tqdm(total=len(keys), unit="name", disable=not progress) as bar:
        for start in range(0, len(keys), _BLOCK):
            block = keys[start : start + _BLOCK]
            yield block
            bar.update(len(block))


def _facts(kb: KnowledgeBase, top: int, keys: Keys | None, max_name_length: int | None) -> dict[str, Any]:
    """What a result depends on."""
    return {
        "content_hash": kb.content_hash,
        "top": top,
        "max_name_length": max_name_length,
        "keys": None if keys is None else hashlib.sha256(keys.tobytes()).hexdigest(),
    }


def _holds(directory: Path, kind: str, facts: dict[str, Any]) -> bool:
    """Whether a directory has a manifest of this kind with these facts."""
    if not has_manifest(directory, kind):
        return False
    return read_manifest(directory, kind, VERSION).items() >= facts.items()
