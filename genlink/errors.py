"""The exceptions that GenLink raises on purpose, and the exit code each one becomes at the command line.

    GenLinkError
    ├── UsageError            exit 2: the call or the recipe asks for something impossible
    └── DataError             exit 1: a file, knowledge base, corpus or model is not what it should be
        ├── FormatError       a place in a file: path, line, problem, advice
        ├── KnowledgeBaseError
        ├── CorpusError
        └── ModelError

Each message is one line that says where, what, and what to do. Anything else that escapes is our own bug.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "CorpusError",
    "DataError",
    "FormatError",
    "GenLinkError",
    "KnowledgeBaseError",
    "ModelError",
    "UsageError",
]


class GenLinkError(Exception):
    """The root of all errors that a user can cause and mend."""

    exit_code = 1


class UsageError(GenLinkError):
    """A call, an option or a recipe that cannot be carried out as written."""

    exit_code = 2


class DataError(GenLinkError):
    """A file, knowledge base, corpus or model that is not what it should be."""


class FormatError(DataError):
    """A place in a file that does not follow its format.

    ``line`` counts from one; leave it out where the problem belongs to the whole file.
    """

    def __init__(self, path: str | Path, problem: str, *, line: int | None = None, advice: str = "") -> None:
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{where}: {problem}" + (f" {advice}" if advice else ""))


class KnowledgeBaseError(DataError):
    """A knowledge base that cannot be built, opened or searched as asked."""


class CorpusError(DataError):
    """A corpus that cannot be used as asked: no mentions, offsets that do not match, unknown gold ids."""


class ModelError(DataError):
    """A model directory that is incomplete or whose parts disagree."""
