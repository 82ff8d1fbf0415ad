"""From what a user writes (``exact``, ``tfidf`` or a model directory) to a linker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from genlink.errors import UsageError
from genlink.files import has_manifest
from genlink.kb import KnowledgeBase
from genlink.linkers.base import Linkable, Linker
from genlink.linkers.exact import ExactLinker
from genlink.linkers.model_directory import KIND
from genlink.linkers.tfidf import TfidfLinker
from genlink.schema import Prediction

if TYPE_CHECKING:  # torch is for those who ask for a model
    from genlink.decoding import Precision
    from genlink.linkers.search_settings import SearchKind

__all__ = ["LEXICAL", "OpenedLinker", "open_linker"]

LEXICAL = ("exact", "tfidf")


class OpenedLinker(Linker, Protocol):
    """A linker that can be moved to another dictionary, tells its settings and shows how far it is."""

    def link(self, mentions: Linkable, k: int = 5, *, progress: bool = False) -> list[Prediction]:
        """See ``Linker.link``; with ``progress``, a bar on stderr."""
        ...

    def with_kb(self, kb: KnowledgeBase) -> OpenedLinker:
        """The same linker over another dictionary."""
        ...

    def describe(self) -> dict[str, Any]:
        """Facts for a result file."""
        ...


def open_linker(
    model: str | Path,
    kb: KnowledgeBase | None,
    *,
    search: SearchKind | None = None,
    beams: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: Precision | None = None,
) -> OpenedLinker:
    """``exact`` or ``tfidf`` over ``kb``, or a model directory's linker, over its own dictionary if ``kb`` is None.

    ``search``, ``beams``, ``batch_size``, ``device`` (a GPU if there is one) and ``precision`` are settings of a model;
    None leaves them as saved, but that ``exact``, which ranks names, takes the best name for the score of a concept.
    Raises UsageError where a lexical linker is given them or has no ``kb``, and where there is no such model or device.
    """
    if model in LEXICAL:
        if kb is None:
            raise UsageError(f"`{model}` looks names up in a knowledge base: give one with --kb.")
        if any(setting is not None for setting in (search, beams, batch_size, device, precision)):
            raise UsageError(
                f"`{model}` is no model: search, beams, batch size, device and precision are settings of model "
                "directories."
            )
        return ExactLinker(kb) if model == "exact" else TfidfLinker(kb)
    if not Path(model).is_dir():
        raise UsageError(f"{model}: no such model. Give `exact`, `tfidf` or a directory written by genlink train.")
    if not has_manifest(model, KIND):
        inner = Path(model) / "model"
        meant = f"Did you mean {inner}?" if has_manifest(inner, KIND) else "Give `exact`, `tfidf` or such a directory."
        raise UsageError(f"{model}: is no model that genlink train has written. {meant}")
    import torch

    from genlink.linkers.generative import GenerativeLinker

    linker = GenerativeLinker.load(model, kb=kb)
    settings = replace(
        linker.search,
        search=search or linker.search.search,
        beams=beams or linker.search.beams,
        batch_size=batch_size or linker.search.batch_size,
        concept_score="best" if search == "exact" else linker.search.concept_score,
    )
    device = device or ("cuda" if torch.cuda.is_available() and precision != "int8" else "cpu")
    try:
        return linker.with_search(settings).to(device, precision)
    except (AssertionError, RuntimeError) as error:  # torch built without CUDA fails by an assertion
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"the model cannot be moved to --device {device} ({reason}). A GPU needs a PyTorch that is built for it; "
            "cpu always works."
        ) from None
