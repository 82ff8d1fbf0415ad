"""The two dictionary forms of the disease-normalisation literature.

BioSyn (Sung et al. 2020, https://github.com/dmis-lab/BioSyn) has a name a line, ``id[|alternative id...]||name``. The
raw form, in which MEDIC came with the NCBI disease corpus, has a concept a line: ``id[|alternative id...]||name|name``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from genlink.errors import FormatError
from genlink.files import read_lines
from genlink.kb.readers.records import UTF8, ConceptRows, checked_concept
from genlink.schema import Concept

__all__ = ["read_biosyn", "read_medic"]


def _rows(path: str | Path, encoding: str) -> Iterator[tuple[int, str, list[str], str]]:
    """Yield (line, id, alternative ids, what follows the first ``||``) of each line that is not blank."""
    for number, line in read_lines(path, encoding):
        if not line.strip():
            continue
        ids, bars, rest = line.partition("||")
        if not bars:
            raise FormatError(path, "no `||` between id and name.", line=number, advice="Expected `id||name`.")
        concept_id, *alternatives = ids.split("|")
        if not concept_id.strip():
            raise FormatError(path, "no concept id before `||`.", line=number, advice="Expected `id||name`.")
        yield number, concept_id, alternatives, rest


def read_biosyn(path: str | Path, encoding: str = UTF8) -> Iterator[Concept]:
    """Concepts of a BioSyn dictionary, in the order of their first rows.

    The rows of a concept may be scattered; the first one's name is canonical, their alternative ids are united. A name
    may hold ``|``. Raises FormatError for a row without ``||`` or id, and for a concept whose names are all empty.
    """
    rows = ConceptRows(path)
    for number, concept_id, alternatives, name in _rows(path, encoding):
        rows.add(number, concept_id, [name], alternative_ids=alternatives)
    yield from rows.concepts()


def read_medic(path: str | Path, encoding: str = UTF8) -> Iterator[Concept]:
    """Concepts of a dictionary with one line a concept; the first name is canonical.

    Raises FormatError for a row without ``||``, id or name.
    """
    for number, concept_id, alternatives, names in _rows(path, encoding):
        yield checked_concept(path, number, concept_id, names.split("|"), alternative_ids=alternatives)
