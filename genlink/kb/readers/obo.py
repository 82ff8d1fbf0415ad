"""OBO files (OBO Flat File Format 1.2 and 1.4, https://owlcollab.github.io/oboformat/doc/obo-syntax.html)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from genlink.errors import FormatError
from genlink.files import read_lines
from genlink.kb.readers.records import UTF8, checked_concept
from genlink.schema import Concept

__all__ = ["DEFAULT_SCOPES", "SCOPES", "read_obo"]

SCOPES = ("EXACT", "RELATED", "NARROW", "BROAD")

# RELATED is in because many ontologies file all their plain synonyms there (ChEBI, NCBITaxon); NARROW and BROAD names
# are out because they name another concept, a more special or a more general one.
DEFAULT_SCOPES = ("EXACT", "RELATED")

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "W": " "}

# Scoped synonym tags of OBO 1.0, still found.
_OLD_SYNONYM_TAGS = {f"{scope.lower()}_synonym": scope for scope in SCOPES}


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)


def _term_lines(path: str | Path, encoding: str, starts: list[int]) -> Iterator[str]:
    """The lines of the header and of the terms, stanzas set apart by blank lines; ``starts`` gets each term's line."""
    wanted = True
    for number, line in read_lines(path, encoding):
        if not line.strip() or line.startswith("!"):
            continue
        if line.startswith("["):
            wanted = line.startswith("[Term]")
            if wanted:
                starts.append(number)
                yield ""  # obonet tells stanzas apart by blank lines; the format does not ask for them
        elif ":" not in line[1:]:
            raise FormatError(path, f"neither a stanza nor `tag: value`: {line[:60]!r}.", line=number)
        if wanted:
            # In quotes an exclamation mark starts no comment; obonet honours only the escaped one.
            protected = '"' in line and "!" in line
            yield _QUOTED.sub(lambda match: re.sub(r"(?<!\\)!", r"\\!", match[0]), line) if protected else line


def _synonyms(path: str | Path, line: int, term: dict[str, Any], scopes: Collection[str]) -> Iterator[str]:
    for tag in ("synonym", *_OLD_SYNONYM_TAGS):
        for value in term.get(tag, ()):
            quoted = _QUOTED.match(value)
            if quoted is None:
                raise FormatError(path, f"a synonym of {term['id']} is not in quotes: {value[:60]!r}.", line=line)
            words = value[quoted.end() :].split(maxsplit=1)
            # A synonym without a scope is RELATED by the format.
            scope = _OLD_SYNONYM_TAGS.get(tag) or (words[0] if words and words[0] in SCOPES else "RELATED")
            if scope in scopes:
                yield _unescaped(quoted[1])


def _definition(path: str | Path, line: int, term: dict[str, Any]) -> str | None:
    value = term.get("def")
    if not value:
        return None
    quoted = _QUOTED.match(value)
    if quoted is None:
        raise FormatError(path, f"the definition of {term['id']} is not in quotes: {value[:60]!r}.", line=line)
    return _unescaped(quoted[1])


def read_obo(path: str | Path, encoding: str = UTF8, scopes: Collection[str] = DEFAULT_SCOPES) -> Iterator[Concept]:
    """Concepts of the terms of an OBO file, in file order; the whole file is held in memory.

    Obsolete terms and terms without a name are left out. ``scopes`` are the synonym scopes to keep. The namespace is
    the type; ``alt_id`` gives alternative ids; ``xref`` gives xrefs without their descriptions.

    Raises FormatError for a line that is no tag, a term without id, a synonym or definition that is not in quotes.
    """
    from obonet.read import get_sections  # here, because it imports networkx, which most readers do without

    starts: list[int] = []
    try:
        _, terms, _, header = get_sections(_term_lines(path, encoding, starts))
    except ValueError as error:
        problem = " ".join(str(error).split())
        raise FormatError(path, f"a tag that cannot be read ({problem}).", line=starts[-1] if starts else 1) from None
    default_namespace = header.get("default-namespace", ())
    for line, term in zip(starts, terms, strict=True):
        if "id" not in term:
            raise FormatError(path, "a term without an id.", line=line)
        if term.get("is_obsolete") == "true" or not term.get("name", "").strip():
            continue
        yield checked_concept(
            path,
            line,
            _unescaped(term["id"]),
            [_unescaped(term["name"]), *_synonyms(path, line, term, scopes)],
            types=[term["namespace"]] if "namespace" in term else default_namespace,
            definition=_definition(path, line, term),
            alternative_ids=map(_unescaped, term.get("alt_id", ())),
            xrefs=[_unescaped(words[0]) for xref in term.get("xref", ()) if (words := xref.split(maxsplit=1))],
        )
