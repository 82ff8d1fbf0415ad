"""What a saved linker says of itself, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from genlink.errors import KnowledgeBaseError, ModelError, UsageError
from genlink.files import (
    MANIFEST,
    atomic_directory,
    has_manifest,
    read_json,
    read_manifest,
    require_replaceable,
    sha256,
    write_json,
    write_manifest,
)
from genlink.kb import KnowledgeBase
from genlink.templates import Template

__all__ = [
    "DENSE_FORMAT_VERSION",
    "DENSE_KIND",
    "FORMAT_VERSION",
    "KIND",
    "UNION_KIND",
    "UnionSettings",
    "add_file",
    "check_files",
    "check_normalisation",
    "damaged_files",
    "fact",
    "read_model",
    "read_union",
    "saved_normaliser",
    "saved_template",
    "saved_weight",
    "set_fact",
    "settings",
    "write_model",
    "write_union",
]

KIND, FORMAT_VERSION = "generative linker", 2
DENSE_KIND, DENSE_FORMAT_VERSION = "dense linker", 1
UNION_KIND, UNION_FORMAT_VERSION = "union of linkers", 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UnionSettings:
    """Two linkers that answer together (see ``genlink.linkers.union``), each as a user writes it.

    ``candidates``: ranks of the retriever that are looked at. ``weight``: of the retriever's score beside the
    generator's; None if the generator alone chooses among them. Raises UsageError for a number out of its range.
    """

    generator: str
    retriever: str
    candidates: int = 20
    weight: float | None = None

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise UsageError(f"candidates is {self.candidates}, expected at least 1.")
        if self.weight is not None and not (math.isfinite(self.weight) and self.weight >= 0):
            raise UsageError(f"weight is {self.weight}, expected a number from 0.")


def write_union(directory: Path, union: UnionSettings) -> None:
    """Write the directory of a union; it names the two linkers and holds neither.

    Raises ModelError where it would replace a directory of something else.
    """
    require_replaceable(directory, UNION_KIND, ModelError)
    with atomic_directory(directory) as target:
        write_manifest(target, UNION_KIND, UNION_FORMAT_VERSION, {"union": asdict(union)})


def read_union(directory: str | Path) -> UnionSettings:
    """The settings of a union's directory. Raises DataError, ModelError among them, where it is none."""
    directory = Path(directory)
    return settings(UnionSettings, directory, read_manifest(directory, UNION_KIND, UNION_FORMAT_VERSION), "union")


def write_model(directory: Path, kind: str, version: int, facts: Mapping[str, Any]) -> None:
    """Write the manifest of a model directory, with size and hash of every other file that is there by now."""
    write_manifest(directory, kind, version, {**facts, "files": _sums(directory)})


def add_file(directory: Path, name: str) -> None:
    """Take a file that was added to a model directory into its manifest."""
    sums = {**read_json(directory / MANIFEST)["files"], **_sums(directory, [directory / name])}
    set_fact(directory, "files", dict(sorted(sums.items())))


def set_fact(directory: Path, key: str, value: Any) -> None:
    """Change an entry of the manifest of a model directory."""
    write_json(directory / MANIFEST, {**read_json(directory / MANIFEST), key: value})


def damaged_files(directory: Path, manifest: Mapping[str, Any], without: Container[str] = ()) -> list[str]:
    """The files that are missing or not those that were saved, by their path in the directory; each is hashed.

    ``without``: parts of the directory, by their first folder, that are not looked at. A manifest that an older version
    wrote has no hashes, and nothing is damaged by it. Raises ModelError where it cannot be read.
    """
    damaged = []
    try:
        for name, known in manifest.get("files", {}).items():
            file = directory / name
            if name.split("/")[0] in without:
                continue
            if not file.is_file() or file.stat().st_size != known["bytes"] or sha256(file) != known["sha256"]:
                damaged.append(name)
    except (AttributeError, KeyError, TypeError):
        raise ModelError(
            f"{directory}: `files` of its manifest cannot be read. Copy the original {MANIFEST} back."
        ) from None
    return damaged


def read_model(directory: Path, kind: str, version: int, without: Container[str] = ()) -> dict[str, Any]:
    """The manifest of a model directory whose files are those that were saved; see ``check_files``."""
    manifest = read_manifest(directory, kind, version)
    check_files(directory, manifest, without)
    return manifest


def check_files(directory: Path, manifest: Mapping[str, Any], without: Container[str] = ()) -> None:
    """Raise ModelError, with the first of them, where there are ``damaged_files``."""
    damaged = damaged_files(directory, manifest, without)
    if damaged:
        what = "is missing" if not (directory / damaged[0]).is_file() else "is not the file that was saved"
        more = f" ({len(damaged) - 1} more: genlink info {directory})" if len(damaged) > 1 else ""
        raise ModelError(
            f"{directory / damaged[0]}: {what}{more}. Copy the original back, get a published model again (hf download "
            f"NAME --local-dir {directory} --force-download), or save the model again with genlink train."
        )


def _sums(directory: Path, files: Iterable[Path] | None = None) -> dict[str, dict[str, Any]]:
    found = sorted(p for p in directory.rglob("*") if p.is_file() and p != directory / MANIFEST)
    return {
        file.relative_to(directory).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256(file)}
        for file in (found if files is None else files)
    }


def check_normalisation(kb: KnowledgeBase, trained_on: KnowledgeBase) -> None:
    """Raise KnowledgeBaseError where a model would read names in another form than those that it was trained on."""
    if kb.normalisation != trained_on.normalisation:
        raise KnowledgeBaseError(
            f"the model was trained on names normalised by {trained_on.normalisation}, the knowledge base by "
            f"{kb.normalisation}. Build the knowledge base with the same steps."
        )


def saved_template(directory: Path) -> Template | None:
    """The template that a model directory was trained with; None for any other checkpoint.

    Raises ModelError where the directory's manifest does not hold it.
    """
    if not has_manifest(directory, KIND):
        return None
    return settings(Template, directory, read_manifest(directory, KIND, FORMAT_VERSION), "template")


def saved_normaliser(directory: Path) -> str | None:
    """The normaliser of a model directory, which is the objective that trained it; None for any other checkpoint."""
    if not has_manifest(directory, KIND):
        return None
    return str(fact(directory, read_manifest(directory, KIND, FORMAT_VERSION), "normaliser"))


def saved_weight(directory: Path, manifest: Mapping[str, Any]) -> float | None:
    """The sparse weight in the manifest of a dense linker, None if it has none. Raises ModelError for anything else."""
    weight = fact(directory, manifest, "sparse_weight")
    if weight is not None and (isinstance(weight, bool) or not isinstance(weight, (int, float))):
        raise ModelError(
            f"{directory}: `sparse_weight` of its manifest is no number. Copy the original manifest.json back."
        )
    return weight


def fact(directory: Path, manifest: Mapping[str, Any], key: str) -> Any:
    """An entry of the manifest. Raises ModelError where it is missing."""
    if key not in manifest:
        raise ModelError(
            f"{directory}: its manifest has no `{key}`. Copy the original manifest.json back, or train and save the "
            "model again with genlink train."
        )
    return manifest[key]


def settings(kind: type[T], directory: Path, manifest: Mapping[str, Any], key: str) -> T:
    """An entry of the manifest as a record. Raises ModelError where it does not fit."""
    try:
        return kind(**fact(directory, manifest, key))
    except (TypeError, UsageError) as error:
        reason = str(error).split("() ")[-1].rstrip(".")
        raise ModelError(
            f"{directory}: `{key}` of its manifest cannot be read ({reason}). Copy the original manifest.json back."
        ) from None
