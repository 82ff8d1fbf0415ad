"""A tiny model, packed as the default one."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import MakeLinker
from packing import NAMES, SOURCES, pack

from genlink import default
from genlink.kb import KnowledgeBase
from genlink.schema import Concept


@pytest.fixture
def place(tiny_generator: MakeLinker, tmp_path: Path) -> Path:
    """A folder with a tiny model of other names, a dictionary, and what is said of it."""
    tiny_generator(KnowledgeBase.from_concepts([Concept("X1", ("fever", "rash"))])).save(tmp_path / "model")
    (tmp_path / "names.txt").write_text(NAMES, encoding="utf-8")
    (tmp_path / "sources.yaml").write_text(SOURCES.replace("NAMES", str(tmp_path / "names.txt")), encoding="utf-8")
    return tmp_path


@pytest.fixture
def bundle(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of them, which is the default one, and a cache that is empty."""
    path = place / "package" / "bundle.zip"
    monkeypatch.setattr(default, "BUNDLE", path)
    monkeypatch.setenv("GENLINK_CACHE", str(place / "cache"))
    pack(place, path)
    return path
