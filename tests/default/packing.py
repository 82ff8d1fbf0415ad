"""What the tests of the default model pack, and how."""

from __future__ import annotations

from pathlib import Path

import make_default

NAMES = "C1||heart attack\nC1||myocardial infarction\nC2||asthma\nC3||gout\n"
SOURCES = """
terms: Weights that nobody owns.
limits: [It is invented.]
dictionary:
  - {file: NAMES, title: Invented, url: "https://example.org", licence: CC0 1.0, type: Disease, max_name_length: 40}
trained_on: []
"""


def pack(place: Path, output: Path, *more: object) -> None:
    given = [
        *more,
        "--sources",
        place / "sources.yaml",
        "--results",
        *sorted(place.glob("results/*.json")),
        "--output",
        output,
    ]
    make_default.main([str(place / "model"), *map(str, given)])
