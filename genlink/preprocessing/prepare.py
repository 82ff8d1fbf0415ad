"""The steps between a corpus and a linker. They change what a linker reads (``surface``), never text or offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from genlink.preprocessing.abbreviations import expand_abbreviations, find_abbreviations
from genlink.preprocessing.composites import split_composite
from genlink.schema import Document, Mention

__all__ = ["Preprocessing", "prepare"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Which steps are taken before linking.

    ``abbreviations``: short forms that the document defines are replaced by their long forms. ``composites``: a
    mention of several concepts ("breast and ovarian cancer") becomes one mention for each. Case, Unicode and
    punctuation are no steps here: linkers normalise names and surfaces alike (``genlink.text``).
    """

    abbreviations: bool = True
    composites: bool = False


def _parts(mention: Mention, definitions: Mapping[str, str]) -> tuple[str, ...]:
    """The surfaces of the mention's parts, abbreviations expanded; one where it is not split."""
    expanded = expand_abbreviations(mention.surface, definitions)
    # Split before expansion where that works: in "A-T and BC" the long forms have no common head.
    first = tuple(expand_abbreviations(part, definitions) for part in split_composite(mention.surface))
    for parts in (first, split_composite(expanded)):
        if len(parts) > 1 and (mention.gold is None or len(parts) == len(mention.gold)):
            return parts
    return (expanded,)


def _split(mention: Mention, surfaces: tuple[str, ...]) -> list[Mention]:
    if len(surfaces) == 1:
        return [mention.with_surface(surfaces[0])]
    return [
        replace(
            mention,
            surface=surface,
            part=i,
            gold=None if mention.gold is None else (mention.gold[i],),
            part_texts=(),
        )
        for i, surface in enumerate(surfaces)
    ]


def prepare(documents: Iterable[Document], steps: Preprocessing = Preprocessing()) -> list[Mention]:
    """The mentions of all documents, flat and in order, with the surfaces that linkers are to read.

    With ``steps.composites`` a composite mention is replaced by its parts: mentions that share its key, text and
    spans, have ``part`` 0, 1, ... and the gold of that part. An unlabelled mention is split by its wording alone. A
    labelled one is split only if the wording yields as many parts as it has gold parts, which are then paired in order.
    That is BioSyn's rule, and it reads the *number* of gold parts; results on split mentions are named "preprocessed"
    for this reason. The texts of the parts, which some corpora give, are gold information and never read.
    """
    mentions: list[Mention] = []
    for document in documents:
        definitions = find_abbreviations(document.text) if steps.abbreviations else {}
        for mention in document.mentions:
            if steps.composites:
                mentions.extend(_split(mention, _parts(mention, definitions)))
            else:
                mentions.append(mention.with_surface(expand_abbreviations(mention.surface, definitions)))
    return mentions
