"""What a saved linker says of itself, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from genlink.errors import ModelError, UsageError
from genlink.files import has_manifest, read_manifest
from genlink.templates import Template

__all__ = [
    "DENSE_FORMAT_VERSION",
    "DENSE_KIND",
    "FORMAT_VERSION",
    "KIND",
    "fact",
    "saved_normaliser",
    "saved_template",
    "settings",
]

KIND, FORMAT_VERSION = "generative linker", 2
DENSE_KIND, DENSE_FORMAT_VERSION = "dense linker", 1

T = TypeVar("T")


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
