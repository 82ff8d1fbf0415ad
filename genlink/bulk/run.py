"""A linking from its source to answered documents: what ``genlink link`` carries out when all is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genlink.bulk.linking import Job, link_in_parts, linked_documents
from genlink.bulk.parts import Parts
from genlink.bulk.processes import Share
from genlink.bulk.sources import PLAIN, Source
from genlink.corpora import Extent
from genlink.errors import CorpusError, KnowledgeBaseError, UsageError
from genlink.linkers.opening import OpenedLinker
from genlink.pipeline.linked import Linked

__all__ = ["finds_mentions", "link_all", "restricted"]

MOST_TYPES = 20  # in an error; UMLS has 127


def finds_mentions(source: Source, extent: Extent, find: bool | None) -> bool:
    """Whether mentions are found: where ``find`` says so and, if it is None, in plain text that marks none.

    Raises UsageError (a text on the command line) or CorpusError where there is no mention otherwise.
    """
    is_found = find if find is not None else source.format in PLAIN and not extent.mentions
    if not is_found and not extent.mentions:
        what, kind = (
            (f"{source.name} marks no mention", UsageError)
            if source.path is None
            else (f"{source.name}: no mentions", CorpusError)
        )
        raise kind(
            f"{what} in {extent.documents} documents. Is this the annotated file? --find takes the names that stand in "
            "a text."
        )
    return is_found


def restricted(linker: OpenedLinker, types: Sequence[str] | None, prefixes: Sequence[str] | None) -> OpenedLinker:
    """The linker over the concepts of these types and vocabulary prefixes alone.

    Raises KnowledgeBaseError where there are none.
    """
    if not types and not prefixes:
        return linker
    if not linker.kb.select(types=types or None, prefixes=prefixes or None):
        wanted = [f"--concept-type {name}" for name in types or ()]
        wanted += [f"--id-prefix {name}" for name in prefixes or ()]
        known = sorted({name for concept in linker.kb for name in concept.types})
        raise KnowledgeBaseError(
            f"no concept of the knowledge base passes {' '.join(wanted)}. It has {_listed(known)}; "
            "`genlink kb info` shows its vocabularies."
        )
    return linker.with_kb(linker.kb.subset(types=types or None, prefixes=prefixes or None))


def _listed(types: Sequence[str]) -> str:
    if not types:
        return "no types"
    more = f" and {len(types) - MOST_TYPES} more" if len(types) > MOST_TYPES else ""
    return f"the types {', '.join(types[:MOST_TYPES])}{more}"


def link_all(
    job: Job,
    parts: Parts,
    share: Share,
    facts: Mapping[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    documents: int | None = None,
) -> Iterator[Linked] | None:
    """Link this process's share of a source; the answered documents for the first process, None for any other.

    ``facts``, ``resume`` and ``overwrite`` as for ``Parts.begin``. ``documents``, as for ``link_in_parts``, is for the
    first process alone.
    """
    if share.is_first:
        parts.begin(facts, resume=resume, overwrite=overwrite)
    share.wait()
    link_in_parts(job, parts, share, documents=documents if share.is_first else None)
    share.wait()
    return linked_documents(job, parts) if share.is_first else None
