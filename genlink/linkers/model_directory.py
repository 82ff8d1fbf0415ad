"""What a saved linker says of itself, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from genlink.errors import KnowledgeBaseError, ModelError, UsageError
from genlink.files import atomic_directory, has_manifest, read_manifest, require_replaceable, write_manifest
from genlink.kb import KnowledgeBase
from genlink.templates import Template

__all__ = [
    "DENSE_FORMAT_VERSION",
    "DENSE_KIND",
    "FORMAT_VERSION",
    "KIND",
    "UNION_KIND",
    "UnionSettings",
    "check_normalisation",
    "fact",
    "read_union",
    "saved_normaliser",
    "saved_template",
    "saved_weight",
    "settings",
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
