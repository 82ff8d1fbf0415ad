"""A knowledge base on disk: a directory of flat files that open at once, whatever their size.

    concepts.jsonl             the concepts, a JSON object a line (see ``records``)
    concept_starts.npy         where each line starts
    keys.marisa, ids.marisa    the names' keys; primary and alternative ids
    key_concepts.{starts,values}.npy, concept_keys.{starts,values}.npy, id_concepts.npy, concept_ids.npy
    manifest.json              written last: counts, normalisation, hashes, the build report, provenance, sizes

Opening maps the files and compares their sizes with the manifest; it hashes nothing. ``verify`` hashes all.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

import marisa_trie
import numpy as np
import numpy.typing as npt

from genlink.errors import KnowledgeBaseError
from genlink.files import atomic_directory, has_manifest, read_manifest, require_replaceable, sha256, write_manifest
from genlink.kb.provenance import Provenance
from genlink.kb.report import BuildReport
from genlink.kb.tables import Rows, Tables
from genlink.text import Normalisation

__all__ = ["KIND", "VERSION", "is_saved", "open_tables", "save_tables", "verify"]

KIND = "knowledge base"
VERSION = 1

_ARRAYS = (
    "concept_starts",
    "key_concepts.starts",
    "key_concepts.values",
    "concept_keys.starts",
    "concept_keys.values",
    "id_concepts",
    "concept_ids",
)
_PARTS = ("concepts.jsonl", "keys.marisa", "ids.marisa", *(f"{name}.npy" for name in _ARRAYS))


def save_tables(
    directory: str | Path, tables: Tables, report: BuildReport | None, provenance: Sequence[Provenance] = ()
) -> None:
    """Write a knowledge base; one that stood there is replaced only when the new one is whole.

    Raises KnowledgeBaseError where it cannot be written, or would replace a directory of something else.
    """
    require_replaceable(directory, KIND, KnowledgeBaseError)
    arrays: dict[str, npt.NDArray[Any]] = {
        "concept_starts": tables.record_starts,
        "key_concepts.starts": tables.key_concepts.starts,
        "key_concepts.values": tables.key_concepts.values,
        "concept_keys.starts": tables.concept_keys.starts,
        "concept_keys.values": tables.concept_keys.values,
        "id_concepts": tables.id_concepts,
        "concept_ids": tables.concept_ids,
    }
    try:
        with atomic_directory(directory) as fresh:
            _write(fresh / "concepts.jsonl", lambda f: f.write(tables.records))
            _write(fresh / "keys.marisa", lambda f: f.write(tables.keys.tobytes()))
            _write(fresh / "ids.marisa", lambda f: f.write(tables.ids.tobytes()))
            for name, values in arrays.items():
                _write(fresh / f"{name}.npy", partial(np.save, arr=values, allow_pickle=False))
            parts = {name: {"bytes": (fresh / name).stat().st_size, "sha256": sha256(fresh / name)} for name in _PARTS}
            facts = {
                "concepts": tables.n_concepts,
                "keys": len(tables.keys),
                "ids": len(tables.ids),
                "prefixes": tables.prefixes,
                "normalisation": asdict(tables.normalisation),
                "content_hash": tables.content_hash,
                "report": report.to_json() if report else None,
                "provenance": [asdict(source) for source in provenance],
                "parts": parts,
            }
            write_manifest(fresh, KIND, VERSION, facts)
    except OSError as error:
        raise KnowledgeBaseError(
            f"{directory}: could not be written ({error.strerror or error}). What stood there before is untouched."
        ) from error


def open_tables(directory: str | Path) -> tuple[Tables, BuildReport | None, tuple[Provenance, ...]]:
    """The tables of a saved knowledge base, mapped into memory, the report of its build, and where its names are from.

    Raises DataError where the directory is no knowledge base, and KnowledgeBaseError where its parts disagree.
    """
    directory = Path(directory)
    manifest = read_manifest(directory, KIND, VERSION)
    try:
        sizes = {name: manifest["parts"][name]["bytes"] for name in _PARTS}
        _check_sizes(directory, sizes)
        arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
        tables = Tables(
            records=_map(directory / "concepts.jsonl"),
            record_starts=arrays["concept_starts"],
            keys=_open_trie(directory / "keys.marisa"),
            key_concepts=Rows(arrays["key_concepts.starts"], arrays["key_concepts.values"]),
            concept_keys=Rows(arrays["concept_keys.starts"], arrays["concept_keys.values"]),
            ids=_open_trie(directory / "ids.marisa"),
            id_concepts=arrays["id_concepts"],
            concept_ids=arrays["concept_ids"],
            prefixes=tuple(manifest["prefixes"]),
            normalisation=Normalisation(**manifest["normalisation"]),
            content_hash=manifest["content_hash"],
        )
        report = BuildReport.from_json(manifest["report"]) if manifest["report"] else None
        provenance = tuple(Provenance(**source) for source in manifest.get("provenance", ()))
    except (KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise _broken(directory, f"cannot be read ({error})") from error
    lengths = (
        len(tables.record_starts) - 1,
        len(tables.concept_keys),
        len(tables.key_concepts),
        len(tables.id_concepts),
    )
    if lengths != (tables.n_concepts, tables.n_concepts, len(tables.keys), len(tables.ids)):
        raise _broken(directory, "has parts of different knowledge bases")
    return tables, report, provenance


def is_saved(path: str | Path) -> bool:
    """Whether ``path`` is a directory with the manifest of a knowledge base; its parts may yet be broken."""
    return has_manifest(path, KIND)


def verify(directory: str | Path) -> None:
    """Raise KnowledgeBaseError unless every part has the hash that the manifest gives it."""
    directory = Path(directory)
    for name, part in read_manifest(directory, KIND, VERSION)["parts"].items():
        if not (directory / name).is_file() or sha256(directory / name) != part["sha256"]:
            raise _broken(directory, f"{name} is missing or was changed after the knowledge base was built")


def _write(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    with path.open("wb") as f:
        write(f)
        f.flush()
        os.fsync(f.fileno())


def _check_sizes(directory: Path, sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        if not (directory / name).is_file():
            raise _broken(directory, f"has no {name}")
        found = (directory / name).stat().st_size
        if found != size:
            raise _broken(directory, f"{name} has {found} bytes, the manifest says {size}")


def _open_trie(path: Path) -> Any:
    trie = marisa_trie.Trie()
    trie.mmap(str(path))
    return trie


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as f:
        return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)


def _broken(directory: Path, problem: str) -> KnowledgeBaseError:
    return KnowledgeBaseError(f"{directory}: {problem}. Build it again (genlink kb build SOURCE --output {directory}).")
