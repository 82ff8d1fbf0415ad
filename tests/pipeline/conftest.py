"""A dictionary and a model of random weights, saved, that the tests of this folder open."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import MakeLinker, Run

from genlink.kb import KnowledgeBase
from genlink.linkers.generative import GenerativeLinker
from genlink.schema import Concept

CONCEPTS = [
    Concept("D1", ("Silver fever", "Fever, silver", "Argentine fever")),
    Concept("D2", ("Glass bone disease", "Osteovitrosis")),
    Concept("D3", ("Moth lung",)),
    Concept("D4", ("Tidal colic", "SFX")),
    Concept("D5", ("Salt fever", "SFX")),  # SFX is ambiguous
]


@pytest.fixture(scope="session")
def linker(tiny_generator: MakeLinker) -> GenerativeLinker:
    return tiny_generator(KnowledgeBase.from_concepts(CONCEPTS))


@pytest.fixture(scope="session")
def model(linker: GenerativeLinker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model; no test may change it."""
    directory = tmp_path_factory.mktemp("pipeline") / "model"
    linker.save(directory)
    return directory


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "dictionary.txt"
    path.write_text("".join(f"{c.concept_id}||{name}\n" for c in CONCEPTS for name in c.names), encoding="utf-8")
    return path


@pytest.fixture
def genlink_command(genlink: Run) -> Run:
    """The fixture ``genlink`` by another name, where the package is imported by its own."""
    return genlink
