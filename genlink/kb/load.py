"""A knowledge base from whatever the user has: a saved one, or a file in one of the formats read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genlink.data_paths import locate
from genlink.default import DEFAULT, default_model
from genlink.files import MANIFEST
from genlink.kb.knowledge_base import KnowledgeBase
from genlink.kb.provenance import Provenance
from genlink.kb.readers import read_concepts, sniff
from genlink.kb.readers.umls import find_mrconso
from genlink.kb.store import is_saved

__all__ = ["load_kb", "load_merged", "place_of_kb"]


def place_of_kb(path: str | Path) -> Path:
    """Where the knowledge base lies: of a model directory, or ``default`` for the default model, in it; else ``path``.

    Raises as ``genlink.default.default_model`` does.
    """
    path = Path(path)
    if path == Path(DEFAULT) and not path.exists():
        path = default_model()
    return path / "kb" if (path / MANIFEST).is_file() and is_saved(path / "kb") else path


def load_kb(path: str | Path, format: str = "auto") -> KnowledgeBase:
    """Open a saved knowledge base, or compile one from a source that ``read_concepts`` reads.

    With ``auto``, a directory is taken for a saved knowledge base unless it is a UMLS release; that of a model has one,
    and ``default`` is that of the default model.

    Raises DataError (and its kinds) where it is neither, and KnowledgeBaseError for an id given twice with different
    names.
    """
    path = place_of_kb(path) if format == "auto" else Path(path)
    if format == "auto" and path.is_dir() and (is_saved(path) or find_mrconso(path) is None):
        return KnowledgeBase.open(path)
    format = sniff(path) if format == "auto" else format
    provenance = [Provenance(path.name, format)]
    return KnowledgeBase.from_concepts(read_concepts(path, format), on_duplicate="error", provenance=provenance)


def load_merged(paths: Sequence[str | Path]) -> KnowledgeBase:
    """One knowledge base of all that several paths hold, below ``data/`` wherever that lies; raises as ``load_kb``."""
    kbs = [load_kb(locate(path)) for path in paths]
    return kbs[0] if len(kbs) == 1 else KnowledgeBase.merge(kbs)
