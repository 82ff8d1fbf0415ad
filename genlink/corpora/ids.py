"""How corpora spell gold ids in one field, and how documents that share an id are told apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

from genlink.errors import CorpusError

__all__ = ["NIL_IDS", "format_gold", "parse_gold", "unique_document_id"]

NIL_IDS = frozenset({"-1", "-", "CUI-less"})
"""What corpora write where no knowledge base has the concept (BC5CDR ``-1``, PubTator ``-``, ShARe ``CUI-less``)."""

_PART = re.compile(r"[|,;]")
_NOT_WRITABLE = re.compile(r"[|,;+\t\r\n]")


def parse_gold(field: str) -> tuple[frozenset[str], ...] | None:
    """The gold of a field such as ``D001943|D010051``: one set of accepted ids for each part.

    ``|`` (NCBI, BC5CDR), ``,`` (BioRED, NLM-Chem) and ``;`` (PubTator Central) join the parts of a composite mention;
    ``+`` joins the ids that together build one concept, which are all accepted. Blanks around ids are dropped,
    prefixes are kept. A NIL id stands for the empty set. An empty field is None: the mention is unlabelled.
    """
    parts = [frozenset(filter(None, map(str.strip, part.split("+")))) for part in _PART.split(field)]
    return tuple(part - NIL_IDS for part in parts if part) or None


def format_gold(gold: Sequence[frozenset[str]] | None) -> str:
    """The field that ``parse_gold`` reads as ``gold``, ids sorted; empty for None.

    Raises CorpusError for an id that holds a separator of the format.
    """
    if gold is None:
        return ""
    for concept_id in (i for part in gold for i in part):
        if _NOT_WRITABLE.search(concept_id) or concept_id != concept_id.strip() or concept_id in NIL_IDS | {""}:
            raise CorpusError(f"concept id {concept_id!r} cannot be written in this format. Write JSONL instead.")
    return "|".join("+".join(sorted(part)) or "-1" for part in gold) or "-1"


def unique_document_id(document_id: str, seen: dict[str, int]) -> str:
    """``document_id``, or with ``#2``, ``#3``, ... behind it if it was seen before; remembers what it returns.

    ``seen`` has for each id the last number that was put behind it.
    """
    unique, count = document_id, seen.get(document_id, 0)
    while unique in seen:
        count += 1
        unique = f"{document_id}#{count}"
    seen[document_id] = max(count, 1)
    seen.setdefault(unique, 1)
    return unique
