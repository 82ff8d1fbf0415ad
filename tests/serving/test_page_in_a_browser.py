"""The page in a real browser, where there is one: ``scripts/check_page.py`` finds nothing that is not so."""

from __future__ import annotations

import shutil
from pathlib import Path

import check_page
import pytest

from genlink.kb import KnowledgeBase
from genlink.schema import Concept

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CONCEPTS = [
    Concept("A:1", ("asthma",), ("Lung",)),
    Concept("A:2", ("malaria", "marsh fever"), ("Infection",)),
    Concept("A:3", ("acute pancreatitis",), ("Gut",)),
    Concept("B:1", ("hepatitis C",), ("Infection", "Gut")),
]


@pytest.fixture
def model(tiny_generator, tmp_path: Path) -> Path:
    tiny_generator(KnowledgeBase.from_concepts(CONCEPTS)).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_the_page_does_what_it_should_for_one_who_has_only_a_keyboard(model: Path, capsys) -> None:
    code = check_page.main([str(model), "--chromium", str(CHROMIUM)])
    assert (code, capsys.readouterr().out) == (0, "The page does what it should.\n")


def test_without_a_browser_the_script_says_so(model: Path, capsys, monkeypatch) -> None:
    assert check_page.main([str(model), "--chromium", "no-such-browser"]) == 1
    assert "error: no-such-browser: no such browser." in capsys.readouterr().out
