"""What goes on with a model that is saved again: the terms of its weights and names, and what it was trained on.

A card is made of facts when a model is pushed, and a saved copy has no records of its training beside it. So the card
that a model came with is kept as a file of its own, from which the new one takes what holds of the weights whatever
they are given to link to. Its scores, settings and limits are those of the model as it was, and stay there.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from genlink.files import MANIFEST, has_manifest, read_json
from genlink.kb import KnowledgeBase
from genlink.linkers.model_directory import DENSE_KIND, KIND, add_file

__all__ = ["ATTRIBUTION", "CARD", "FIRST_CARD", "keep_terms", "section"]

CARD = "README.md"
ATTRIBUTION = "ATTRIBUTION.txt"
FIRST_CARD = "FIRST_CARD.md"
"""The card that the weights came with, before the model was saved again."""


def keep_terms(opened: Path, saved: Path) -> None:
    """Give a saved model what belongs to it of the one that it was opened from.

    Its card, as ``FIRST_CARD``, goes with the weights; its attribution goes with the names, where some of them are
    from the same sources. Only what a manifest lists is a part of a model.
    """
    listed = _listed(opened)
    card = FIRST_CARD if FIRST_CARD in listed else CARD
    if card in listed:
        _take(opened / card, saved, FIRST_CARD)
    if ATTRIBUTION in listed and _has_names_of(saved, opened):
        _take(opened / ATTRIBUTION, saved, ATTRIBUTION)


def section(card: str, heading: str) -> str | None:
    """What a card says under a heading; None where it has none such."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else None


def _listed(directory: Path) -> dict[str, Any]:
    if not any(has_manifest(directory, kind) for kind in (KIND, DENSE_KIND)):
        return {}
    files: dict[str, Any] = read_json(directory / MANIFEST).get("files", {})
    return files


def _has_names_of(saved: Path, opened: Path) -> bool:
    one, other = (KnowledgeBase.open(directory / "kb") for directory in (saved, opened))
    return one.content_hash == other.content_hash or not set(one.provenance).isdisjoint(other.provenance)


def _take(file: Path, directory: Path, name: str) -> None:
    shutil.copyfile(file, directory / name)
    add_file(directory, name)
