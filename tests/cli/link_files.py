"""Files in the folder of a test."""

from __future__ import annotations

from pathlib import Path


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def text_of(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")
