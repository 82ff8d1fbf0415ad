"""A small knowledge base with its mentions, and what tests of the generative linker ask of a linker."""

from __future__ import annotations

from dataclasses import replace

from genlink.linkers.generative import GenerativeLinker
from genlink.schema import Concept, Mention
from genlink.templates import Template

CONCEPTS = [
    Concept("D1", ("Silver fever", "Fever, silver", "Argentine fever")),
    Concept("D2", ("Glass bone disease", "Osteovitrosis")),
    Concept("D3", ("Moth lung",)),
    Concept("D4", ("Tidal colic", "SF")),
    Concept("D5", ("Salt fever", "SF")),  # SF is ambiguous
    Concept("D6", ("Blue gout", "Gout, blue")),
]
TEMPLATE = Template(source_tokens=40, prefix_tokens=20)
SURFACES = ["silver fevr", "SF", "glass bones", "moth's lung", "bluish gout of the left foot", "x", "α/β", "gout"]
MENTIONS = [Mention.in_context("Signs of ", surface, " were seen.") for surface in SURFACES]


def names(linker: GenerativeLinker, mentions=MENTIONS, k: int = 5) -> list[list[str]]:
    return [[candidate.name for candidate in prediction.candidates] for prediction in linker.link(mentions, k)]


def with_search(linker: GenerativeLinker, **changes: int) -> GenerativeLinker:
    return linker.with_search(replace(linker.search, **changes))
