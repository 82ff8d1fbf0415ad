"""A tiny generative linker of random weights, saved."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import MakeLinker

from genlink.kb import KnowledgeBase
from genlink.schema import Concept

NAMES = ["asthma", "gout", "silver fever", "rash", "tidal colic"]


@pytest.fixture(scope="session")
def model(tiny_generator: MakeLinker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a linker over five names; nothing may be changed there."""
    kb = KnowledgeBase.from_concepts(Concept(f"C{i}", (name,)) for i, name in enumerate(NAMES))
    tiny_generator(kb).save(directory := tmp_path_factory.mktemp("saved") / "model")
    return directory


@pytest.fixture(scope="session")
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same names as a file."""
    path = tmp_path_factory.mktemp("dictionary") / "names.txt"
    path.write_text("".join(f"C{i}||{name}\n" for i, name in enumerate(NAMES)), encoding="utf-8")
    return path
