"""What the default model links to and was trained on (``configs/default/sources.yaml``), and the names it may bring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from genlink.data_paths import locate
from genlink.files import sha256
from genlink.kb import KnowledgeBase
from genlink.kb.provenance import Provenance
from genlink.kb.readers import read_concepts, sniff
from genlink.schema import Concept
from genlink.strict import Strict, read_strict
from genlink.text import normalise

__all__ = ["DictionarySource", "Sources", "attribution", "build_dictionary", "read_sources"]

LICENCES = {
    "CC0 1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC BY 3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
}


class Source(Strict):
    """A file, what it is, and its terms."""

    file: str
    title: str
    url: str
    licence: str

    def __str__(self) -> str:
        return f"{self.title} ({self.url}), {self.licence}"


class DictionarySource(Source):
    """A file whose names are shipped: its licence has to allow it."""

    licence: Literal["CC0 1.0", "CC BY 3.0", "CC BY 4.0"]
    type: str
    """The semantic type of its concepts."""
    max_name_length: int = Field(ge=1)
    """Names of more characters are left out."""
    only_new: bool = False
    """Whether what sources of other types have is left out too."""
    confirmed_by: tuple[str, ...] = ()
    """Files of which one has to have a name of a concept too, or the concept is left out; without any, none is."""


class Sources(Strict):
    """The file ``configs/default/sources.yaml``."""

    terms: str
    """On which terms the weights are given, for the model card."""
    limits: list[str]
    """What else its user should know, for the model card."""
    dictionary: list[DictionarySource] = Field(min_length=1)
    """What is linked to; what comes first has precedence (see ``build_dictionary``)."""
    trained_on: list[Source]
    """What was read in training besides."""

    @property
    def known(self) -> dict[str, str]:
        """What is known of each file, by its path."""
        return {source.file: str(source) for source in (*self.trained_on, *self.dictionary)}


def read_sources(path: str | Path) -> Sources:
    """Read the file. Raises UsageError for what it may not say."""
    return read_strict(path, Sources)


def build_dictionary(sources: Sequence[DictionarySource]) -> KnowledgeBase:
    """The dictionary of several sources, in which a concept has one home, and a name one where it can have.

    Earlier sources of its type go before a source, and where it is ``only_new`` those of the other types too. A concept
    is left out where one that goes before has its first name, or names it as a cross reference of a concept of its own;
    and where in its own source that is the first name of a concept with a definition, and it has none. Of the others a
    name is kept where nothing that goes before has it, and its source no concept with a better claim: one that is
    called so by its first name or, where none is or several are, one that has a definition. What is still claimed alike
    stays ambiguous. Definitions and cross references are not kept. Of a source that has ``confirmed_by``, a concept is
    left out none of whose names these files have.
    """
    provenance = [
        Provenance(
            Path(source.file).name, sniff(locate(source.file)), f"{source.licence}: {source.title}, {source.url}"
        )
        for source in sources
    ]
    return KnowledgeBase.from_concepts(_concepts(sources), provenance=provenance)


def _concepts(sources: Sequence[DictionarySource]) -> Iterator[Concept]:
    taken: dict[str, set[str]] = {}  # by type: keys and, with their colons, ids
    for source in sources:
        before = frozenset().union(*(taken[t] for t in taken if t == source.type or source.only_new))
        concepts = list(read_concepts(locate(source.file)))
        concepts = [c for c in concepts if c.concept_id not in before and _key(c.name) not in before]
        if source.confirmed_by:
            confirmed = {
                _key(name) for file in source.confirmed_by for c in read_concepts(locate(file)) for name in c.names
            }
            concepts = [c for c in concepts if not confirmed.isdisjoint(map(_key, c.names))]
        described = {_key(c.name) for c in concepts if c.definition}
        concepts = [c for c in concepts if c.definition or _key(c.name) not in described]
        best: dict[str, _Claim] = {}
        for concept in concepts:
            for key, claim in _claims(concept).items():
                best[key] = min(claim, best.get(key, claim))
        for concept in concepts:
            own = {key for key, claim in _claims(concept).items() if claim == best[key] and key not in before}
            if names := tuple(n for n in concept.names if len(n) <= source.max_name_length and _key(n) in own):
                taken.setdefault(source.type, set()).update(concept.xrefs, map(_key, names))
                yield replace(concept, names=names, types=(source.type,), definition=None, xrefs=())


_Claim = tuple[bool, bool]  # the smaller, the better
_key = cache(normalise)


def _claims(concept: Concept) -> dict[str, _Claim]:
    """The keys of a concept, and its claim to each: whether it is not its first name's, and lacks a definition."""
    first = _key(concept.name)
    return {key: (key != first, not concept.definition) for key in map(_key, concept.names)}


def attribution(sources: Sequence[DictionarySource], kb: KnowledgeBase) -> str:
    """The text that goes with the names: whose they are, on which terms, and what was changed."""
    lines = [
        "The names of this dictionary are from the following sources, and were selected: left out were concepts that",
        "an earlier source has, names that another concept has a better claim to, long names, definitions and cross",
        "references.",
        "",
    ]
    for source in sources:
        lines += [
            f"{source.title}, {source.url}",
            f"  {source.licence}, {LICENCES[source.licence]}",
            f"  names of at most {source.max_name_length} characters, as {source.type}; of a file with the SHA-256",
            f"  {sha256(locate(source.file))}",
        ]
        if source.confirmed_by:
            confirming = ", ".join(Path(file).name for file in source.confirmed_by)
            lines.append(f"  only concepts of which one of these has a name too: {confirming}")
        lines.append("")
    lines.append(f"{len(kb):,} concepts in all.")
    return "\n".join(lines) + "\n"
