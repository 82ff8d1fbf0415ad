"""The records that every part of GenLink exchanges. Plain values: no reader, no model, no file is known here.

Offsets are Python string indices (Unicode code points), half open: ``context[start:end]``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Candidate", "Concept", "Document", "Mention", "Passage", "Prediction", "Span"]

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Concept:
    """One record of a knowledge base.

    ``names`` are verbatim strings, the first is canonical, each occurs once. ``concept_id`` keeps its vocabulary prefix
    where the source has one (``MESH:D003924``). ``alternative_ids`` name the same concept (merged or foreign ids that
    the source gives as equal); ``xrefs`` are mere pointers and are never used to resolve an id.
    """

    concept_id: str
    names: tuple[str, ...]
    types: tuple[str, ...] = ()
    definition: str | None = None
    alternative_ids: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The canonical name."""
        return self.names[0]

    @property
    def synonyms(self) -> tuple[str, ...]:
        """Every name but the canonical one."""
        return self.names[1:]


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of a text that is to be linked.

    ``context`` is the whole text (shared, not copied), ``spans`` point into it: one for a contiguous mention, several
    for a discontinuous one. ``text`` is the mention as its file spells it; readers never repair it.

    ``gold`` is None for an unlabelled mention, else one set of accepted concept ids for each *part*: one part for an
    ordinary mention, several for a composite one ("breast and ovarian cancer"), an empty set for a part that is in no
    knowledge base. ``part_texts`` are the parts as the corpus spells them, where it does.

    ``surface`` is what a linker reads: ``text`` until a preprocessing step (abbreviation, composite part) changes it.
    ``part`` is the index of the part that this mention stands for after a composite was split, else None.
    """

    context: str
    spans: tuple[Span, ...]
    text: str
    document_id: str = ""
    mention_id: str = ""
    type: str | None = None
    gold: tuple[frozenset[str], ...] | None = None
    part_texts: tuple[str, ...] = ()
    surface: str = ""
    part: int | None = None

    def __post_init__(self) -> None:
        if not self.surface:
            object.__setattr__(self, "surface", self.text)

    @classmethod
    def in_context(cls, left: str, text: str, right: str = "") -> Mention:
        """A mention between two stretches of text; white space is taken as given."""
        return cls(context=left + text + right, spans=((len(left), len(left) + len(text)),), text=text)

    @property
    def start(self) -> int:
        """Where the first span starts."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """Where the last span ends."""
        return self.spans[-1][1]

    @property
    def left(self) -> str:
        """The context before the mention."""
        return self.context[: self.start]

    @property
    def right(self) -> str:
        """The context after the mention."""
        return self.context[self.end :]

    @property
    def gold_ids(self) -> frozenset[str]:
        """Every concept id accepted for any part; empty for NIL and for unlabelled mentions."""
        return frozenset().union(*self.gold) if self.gold else frozenset()

    @property
    def is_nil(self) -> bool:
        """Annotated as in no knowledge base."""
        return self.gold is not None and not self.gold_ids

    @property
    def is_composite(self) -> bool:
        """Several concepts are meant at once."""
        return self.gold is not None and len(self.gold) > 1

    @property
    def is_discontinuous(self) -> bool:
        """The span has gaps."""
        return len(self.spans) > 1

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the annotated span: parts of a split composite share it."""
        return self.document_id, self.mention_id

    def with_surface(self, surface: str) -> Mention:
        """The same mention, read by a linker as ``surface``; offsets, text and gold are untouched."""
        return replace(self, surface=surface)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document (``title``, ``abstract``, ...); offsets point into the document's text."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A text and the mentions in it, in the order of their file."""

    document_id: str
    text: str
    mentions: tuple[Mention, ...] = ()
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposed concept.

    ``name`` is the dictionary's name that led there, ``concept_name`` the canonical one. ``rank`` counts *names* from
    one: the concepts of an ambiguous name share its rank and score, and ``ambiguous`` says that the name has several.
    A concept occurs once in a prediction, at its best rank. ``score`` is comparable within one linker only.
    ``probability`` is that of the rank to be right, in [0, 1]; None without a calibration.
    """

    concept_id: str
    concept_name: str
    name: str
    score: float
    rank: int
    ambiguous: bool = False
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The ranked candidates of one mention; empty where the linker found nothing.

    ``exact``: whether it is proven that no name which is not listed scores higher than the last one that is; None where
    the linker does not say. ``is_nil``: whether the answer is that the concept is not in the knowledge base, however
    good the candidates are among themselves; None without a calibration.
    """

    mention: Mention
    candidates: tuple[Candidate, ...] = ()
    exact: bool | None = None
    is_nil: bool | None = None

    @property
    def best(self) -> Candidate | None:
        """The first candidate, or None."""
        return self.candidates[0] if self.candidates else None
