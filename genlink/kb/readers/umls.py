"""The UMLS Metathesaurus in Rich Release Format.

Format: UMLS Reference Manual, chapter 3, "Metathesaurus - Rich Release Format" (NLM,
https://www.ncbi.nlm.nih.gov/books/NBK9685/). A licence is free of charge: https://uts.nlm.nih.gov/uts/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genlink.errors import DataError, FormatError, UsageError
from genlink.files import read_lines
from genlink.kb.readers.records import UTF8, checked_concept
from genlink.schema import Concept

__all__ = ["UmlsFilter", "find_mrconso", "read_umls"]

# Fields a row, not counting the empty one after the trailing bar.
_FIELDS = {"MRCONSO": 18, "MRSTY": 6, "MRDEF": 8, "MRCUI": 7}


@dataclass(frozen=True, slots=True)
class UmlsFilter:
    """Which names, and by them which concepts, are read; an empty tuple lets everything pass.

    ``languages`` (LAT, ``ENG``), ``sources`` (SAB, ``SNOMEDCT_US``) and ``term_types`` (TTY, ``PT``) select names.
    ``languages`` and ``sources`` also select definitions. ``semantic_types`` (TUI, ``T047``) selects concepts that have
    one of them. ``suppressed`` lets in names and definitions that are marked suppressible or obsolete.
    """

    languages: tuple[str, ...] = ("ENG",)
    sources: tuple[str, ...] = ()
    term_types: tuple[str, ...] = ()
    semantic_types: tuple[str, ...] = ()
    suppressed: bool = False


def find_mrconso(path: str | Path) -> Path | None:
    """MRCONSO.RRF or MRCONSO.RRF.gz in a directory or its META; the path itself when it is no directory."""
    path = Path(path)
    if not path.is_dir():
        return path
    places = [path / folder / f"MRCONSO.RRF{end}" for folder in ("", "META") for end in ("", ".gz")]
    return next((place for place in places if place.is_file()), None)


def _sibling(mrconso: Path, table: str) -> Path | None:
    places = [mrconso.with_name(f"{table}.RRF{end}") for end in ("", ".gz")]
    return next((place for place in places if place.is_file()), None)


def _rows(path: Path | None, table: str, encoding: str) -> Iterator[list[str]]:
    """The fields of each row of a table; no rows where the table is not there."""
    if path is None:
        return
    expected = _FIELDS[table]
    for number, line in read_lines(path, encoding):
        if not line:
            continue
        fields = line.split("|")
        if len(fields) != expected + 1 or fields[-1]:
            found = len(fields) - (not fields[-1])
            problem = "the row does not end in `|`." if found == expected else f"{found} fields, expected {expected}."
            raise FormatError(path, problem, line=number, advice="Is this a full UMLS release?")
        yield fields


def _concepts_of_types(mrconso: Path, semantic_types: tuple[str, ...], encoding: str) -> set[str] | None:
    """The concepts of some semantic types; None, for all concepts, where no type is asked for."""
    if not semantic_types:
        return None
    mrsty = _sibling(mrconso, "MRSTY")
    if mrsty is None:
        raise DataError(f"{mrconso.parent}: no MRSTY.RRF, which a filter by semantic types needs. Put it there.")
    return {cui for cui, tui, *_ in _rows(mrsty, "MRSTY", encoding) if tui in semantic_types}


def read_umls(path: str | Path, encoding: str = UTF8, keep: UmlsFilter = UmlsFilter()) -> Iterator[Concept]:
    """Concepts of a UMLS release: a directory that holds MRCONSO.RRF (or its META), or MRCONSO.RRF itself.

    The other tables are looked for beside it, each may be missing and each may be gzipped. MRCONSO gives the names,
    in file order, the canonical one being the first with TS=P, STT=PF and ISPREF=Y, else the first. MRSTY gives the
    types (TUI). MRDEF gives the definition: the first that the filter lets pass; as it names no language, definitions
    come from sources that have a name in one of the languages. MRCUI gives retired ids that were merged (REL=SY) into
    a concept as alternative ids; ids retired for a broader, narrower or other concept are not the same and are dropped.

    Rows may come in any order. Only what passes the filter is held in memory. Raises FormatError for a row with a wrong
    number of fields and UsageError where rows were read but none passes.
    """
    mrconso = find_mrconso(path)
    if mrconso is None:
        raise DataError(
            f"{path}: no MRCONSO.RRF in this directory. Give the META directory of a UMLS release installed with "
            "MetamorphoSys; the licence is free: https://uts.nlm.nih.gov/uts/."
        )
    allowed = _concepts_of_types(mrconso, keep.semantic_types, encoding)
    names: dict[str, list[str]] = {}
    preferred: dict[str, str] = {}
    sources: set[str] = set()
    rows = 0
    for fields in _rows(mrconso, "MRCONSO", encoding):
        rows += 1
        cui, language, ts, _, stt, _, is_preferred = fields[:7]
        source, term_type, _, name, _, suppress = fields[11:17]
        if (keep.languages and language not in keep.languages) or (keep.sources and source not in keep.sources):
            continue
        sources.add(source)
        if (
            (keep.term_types and term_type not in keep.term_types)
            or (suppress != "N" and not keep.suppressed)
            or (allowed is not None and cui not in allowed)
            or not name.strip()
        ):
            continue
        names.setdefault(cui, []).append(name)
        if ts == "P" and stt == "PF" and is_preferred == "Y":
            preferred.setdefault(cui, name)
    if rows and not names:
        raise UsageError(f"{mrconso}: none of its {rows} names passes the filter {keep}. Loosen it.")

    types: dict[str, list[str]] = {}
    for cui, tui, *_ in _rows(_sibling(mrconso, "MRSTY"), "MRSTY", encoding):
        if cui in names:
            types.setdefault(cui, []).append(tui)
    definitions: dict[str, str] = {}
    for cui, _, _, _, source, definition, suppress, *_ in _rows(_sibling(mrconso, "MRDEF"), "MRDEF", encoding):
        if cui in names and source in sources and (suppress == "N" or keep.suppressed) and definition.strip():
            definitions.setdefault(cui, definition)
    merged: dict[str, list[str]] = {}
    for retired, _, relation, _, _, cui, *_ in _rows(_sibling(mrconso, "MRCUI"), "MRCUI", encoding):
        if relation == "SY" and cui in names and retired not in names:
            merged.setdefault(cui, []).append(retired)

    for cui, cui_names in names.items():
        first = preferred.get(cui, cui_names[0])
        yield checked_concept(
            mrconso,
            None,
            cui,
            [first, *cui_names],
            types=types.get(cui, ()),
            definition=definitions.get(cui),
            alternative_ids=merged.get(cui, ()),
        )
