"""From what a user writes (``exact``, ``tfidf``, a model directory or a published name) to a linker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from genlink.data_paths import cache_directory, locate
from genlink.default import DEFAULT, default_model
from genlink.encoders import MINILM
from genlink.errors import DataError, UsageError
from genlink.files import has_manifest, read_json
from genlink.kb import KnowledgeBase
from genlink.linkers.base import Linkable, Linker
from genlink.linkers.exact import ExactLinker
from genlink.linkers.model_directory import DENSE_KIND, KIND, UNION_KIND, UnionSettings, read_union
from genlink.linkers.tfidf import TfidfLinker
from genlink.schema import Prediction

if TYPE_CHECKING:  # torch is for those who ask for a model
    from genlink.decoding import Precision
    from genlink.linkers.dense import DenseLinker, VectorIndex
    from genlink.linkers.search_settings import SearchKind
    from genlink.linkers.union import UnionLinker
    from genlink.linkers.vectors import VectorPrecision

__all__ = [
    "LEXICAL",
    "NAMES",
    "OpenedLinker",
    "is_dense",
    "is_saved",
    "open_linker",
    "open_union",
    "place_of",
    "systems_of",
]

LEXICAL = ("exact", "tfidf")
# What is a name, and not a place on the disk.
NAMES = (*LEXICAL, MINILM)
# Beginnings of names on the Hub; other encoders are given by their directory.
_PUBLISHED = ("cambridgeltl/SapBERT-", "dmis-lab/biosyn-")


class OpenedLinker(Linker, Protocol):
    """A linker that can be moved to another dictionary, tells its settings and shows how far it is."""

    def link(self, mentions: Linkable, k: int = 5, *, progress: bool = False) -> list[Prediction]:
        """See ``Linker.link``; with ``progress``, a bar on stderr."""
        ...

    def with_kb(self, kb: KnowledgeBase) -> OpenedLinker:
        """The same linker over another dictionary."""
        ...

    @property
    def context_characters(self) -> int:
        """How much text on each side of a mention its answer can depend on; 0 where the surface alone is read."""
        ...

    @property
    def index_bytes(self) -> int:
        """What it keeps of the names beside the knowledge base: mapped from files, or in memory."""
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
    spelling: float | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: Precision | VectorPrecision | None = None,
    index: VectorIndex | None = None,
    cache: Path | None = None,
) -> OpenedLinker:
    """``exact`` or ``tfidf`` over ``kb``, or the linker of a model, over its own dictionary if ``kb`` is None.

    A model is a directory that GenLink wrote (that of a union opens the two linkers that it names) or, for a dense
    linker over ``kb``, one with any encoder, ``minilm`` (the extra of this name) or the name of a published SapBERT or
    BioSyn.

    ``search``, ``beams``, ``spelling``, ``batch_size``, ``device`` (a GPU if there is one) and ``precision`` are
    settings of a model; None leaves them as saved, but that ``exact``, which ranks names by their probability, goes
    without sums over the names of a concept and without spelling. A
    dense linker has no search and no beams; its ``precision`` is that of the vectors of the names (fp32 if None), which
    are kept in ``cache`` and compared by ``index``.

    Raises UsageError where a linker is given what it does not have, or lacks a ``kb``, and where there is no such model
    or device.
    """
    if model in LEXICAL:
        if kb is None:
            raise UsageError(f"`{model}` looks names up in a knowledge base: give one with --kb.")
        given = (search, beams, spelling, batch_size, device, precision, index, cache)
        if any(setting is not None for setting in given):
            raise UsageError(
                f"`{model}` is no model: search, beams, spelling, batch size, device, precision, index and cache are "
                "settings of models."
            )
        return ExactLinker(kb) if model == "exact" else TfidfLinker(kb)
    if has_manifest(model, UNION_KIND):
        if any(setting is not None for setting in (search, beams, spelling, precision, index)):
            raise UsageError(
                f"{model}: search, beams, spelling, precision and index are settings of one linker, and this is a "
                "union of two."
            )
        return open_union(read_union(model), kb, batch_size=batch_size, device=device, cache=cache)
    if is_dense(model):
        if search is not None or beams is not None or spelling is not None:
            raise UsageError(
                f"{model}: a dense linker compares all names, so it has no search and no beams to set, and no spelling."
            )
        return _open_dense(
            model, kb, batch_size=batch_size, device=device, precision=precision, index=index, cache=cache
        )
    if not Path(model).is_dir():
        raise UsageError(
            f"{model}: no such model. Give `default`, `exact`, `tfidf`, `minilm`, a directory written by genlink "
            "train, or the name of a published SapBERT or BioSyn."
        )
    if not has_manifest(model, KIND):
        inner = Path(model) / "model"
        meant = f"Did you mean {inner}?" if is_saved(inner) else "Give `exact`, `tfidf` or such a directory."
        raise UsageError(f"{model}: is no model that genlink train has written. {meant}")
    import torch

    from genlink.linkers.generative import GenerativeLinker

    if precision == "fp16" or index is not None or cache is not None:
        raise UsageError(f"{model}: a generative linker has no vectors: fp16, index and cache are for dense linkers.")
    linker = GenerativeLinker.load(model, kb=kb)
    settings = linker.search.with_search(search or linker.search.search)
    settings = replace(
        settings,
        beams=beams or settings.beams,
        spelling=settings.spelling if spelling is None else spelling,
        batch_size=batch_size or settings.batch_size,
    )
    device = device or ("cuda" if torch.cuda.is_available() and precision != "int8" else "cpu")
    return _moved(linker.with_search(settings), device, lambda linker: linker.to(device, precision))


def place_of(model: str) -> str | Path:
    """The name of a linker or a published model as it is, and the directory that anything else leads to.

    That of ``default`` is unpacked when it is first asked for: see :func:`genlink.default.default_model`.
    """
    if model == DEFAULT:
        return default_model()
    directory = locate(model)
    return model if model in NAMES or (model.startswith(_PUBLISHED) and not directory.is_dir()) else directory


def is_saved(model: str | Path) -> bool:
    """Whether it is a directory that GenLink wrote, which has a dictionary of its own."""
    return any(has_manifest(model, kind) for kind in (KIND, DENSE_KIND, UNION_KIND))


def systems_of(model: str) -> list[str]:
    """What a user has written and, if it is a union, the two linkers that it names."""
    place = place_of(model)
    if isinstance(place, str) or not has_manifest(place, UNION_KIND):
        return [model]
    union = read_union(place)
    return [model, union.generator, union.retriever]


def is_dense(model: str | Path) -> bool:
    """Whether a dense linker is meant: ``minilm``, a published name, or a directory with one or any other encoder."""
    if model == MINILM or has_manifest(model, DENSE_KIND):
        return True
    if not Path(model).is_dir():
        return str(model).startswith(_PUBLISHED)
    try:
        config = read_json(Path(model) / "config.json")
    except DataError:
        return False
    return isinstance(config, dict) and config.get("model_type") != "bart" and not has_manifest(model, KIND)


def _open_dense(
    model: str | Path,
    kb: KnowledgeBase | None,
    *,
    batch_size: int | None,
    device: str | None,
    precision: str | None,
    index: str | None,
    cache: Path | None,
) -> DenseLinker:
    import torch

    from genlink.linkers.dense_opening import open_dense

    cache = cache or cache_directory()
    linker = open_dense(model, kb, precision=precision, index=index, cache=cache, batch_size=batch_size)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return _moved(linker, device, lambda linker: linker.to(device))


def open_union(
    union: UnionSettings,
    kb: KnowledgeBase | None,
    *,
    batch_size: int | None = None,
    device: str | None = None,
    cache: Path | None = None,
) -> UnionLinker:
    """The two linkers that a union names, over the generator's own dictionary if ``kb`` is None.

    Raises UsageError and ModelError as ``open_linker`` does, and where the two are of other kinds.
    """
    from genlink.linkers.generative import GenerativeLinker
    from genlink.linkers.union import UnionLinker

    first, second = place_of(union.generator), place_of(union.retriever)
    if isinstance(first, str) or is_dense(first) or has_manifest(first, UNION_KIND):
        raise UsageError(f"{union.generator}: is no generative linker. Give the directory of one, with its model.")
    if has_manifest(second, UNION_KIND):
        raise UsageError(f"{union.retriever}: is a union already. Give one of the linkers that it names.")
    generator = open_linker(first, kb, batch_size=batch_size, device=device)
    assert isinstance(generator, GenerativeLinker)
    if second in LEXICAL:
        retriever = open_linker(second, generator.kb)
    else:
        cache = cache if is_dense(second) else None
        retriever = open_linker(second, generator.kb, device=device, batch_size=batch_size, cache=cache)
    return UnionLinker(generator, retriever, union)


L = TypeVar("L")


def _moved(linker: L, device: str, move: Callable[[L], L]) -> L:
    """The linker on a device. Raises UsageError where this PyTorch has none such."""
    try:
        return move(linker)
    except (AssertionError, RuntimeError) as error:  # torch built without CUDA fails by an assertion
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"the model cannot be moved to --device {device} ({reason}). A GPU needs a PyTorch that is built for it; "
            "cpu always works."
        ) from None
