"""GenLink: entity linking for biomedical text by generating names under a trie.

The public names below are loaded when they are first used, so that a program that only reads a knowledge base or scores
a file starts without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genlink.corpora import load_corpus, read_corpus, write_jsonl, write_pubtator
    from genlink.errors import (
        CorpusError,
        DataError,
        FormatError,
        GenLinkError,
        KnowledgeBaseError,
        ModelError,
        UsageError,
    )
    from genlink.kb import KnowledgeBase, load_kb
    from genlink.linkers import DenseLinker, ExactLinker, GenerativeLinker, Linker, TfidfLinker
    from genlink.linkers.calibration import Calibration
    from genlink.pipeline import Pipeline, load
    from genlink.preprocessing import Preprocessing, prepare
    from genlink.schema import Candidate, Concept, Document, Mention, Passage, Prediction

__version__ = "0.1.0"

_HOMES = {
    "genlink.corpora": ("load_corpus", "read_corpus", "write_jsonl", "write_pubtator"),
    "genlink.errors": (
        "CorpusError",
        "DataError",
        "FormatError",
        "GenLinkError",
        "KnowledgeBaseError",
        "ModelError",
        "UsageError",
    ),
    "genlink.kb": ("KnowledgeBase", "load_kb"),
    "genlink.linkers": ("DenseLinker", "ExactLinker", "GenerativeLinker", "Linker", "TfidfLinker"),
    "genlink.linkers.calibration": ("Calibration",),
    "genlink.pipeline": ("Pipeline", "load"),
    "genlink.preprocessing": ("Preprocessing", "prepare"),
    "genlink.schema": ("Candidate", "Concept", "Document", "Mention", "Passage", "Prediction"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Calibration",
    "Candidate",
    "Concept",
    "CorpusError",
    "DataError",
    "DenseLinker",
    "Document",
    "ExactLinker",
    "FormatError",
    "GenLinkError",
    "GenerativeLinker",
    "KnowledgeBase",
    "KnowledgeBaseError",
    "Linker",
    "Mention",
    "ModelError",
    "Passage",
    "Pipeline",
    "Prediction",
    "Preprocessing",
    "TfidfLinker",
    "UsageError",
    "load",
    "load_corpus",
    "load_kb",
    "prepare",
    "read_corpus",
    "write_jsonl",
    "write_pubtator",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
