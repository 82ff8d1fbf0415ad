"""A dictionary, and what links to it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from calls import Run

DICTIONARY = "C1||heart attack\nC1||myocardial infarction\nC2||asthma\nC3||SF\nC4||SF\n"


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "dictionary.txt"
    path.write_text(DICTIONARY, encoding="utf-8")
    return path


@pytest.fixture
def run(genlink: Run, monkeypatch: pytest.MonkeyPatch, dictionary: Path, tmp_path: Path) -> Run:
    """`genlink link exact --kb <the tiny dictionary>` in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        return genlink("link", "exact", *arguments, "--kb", dictionary)

    return call
