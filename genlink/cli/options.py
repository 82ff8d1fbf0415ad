"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "BatchSize",
    "Beams",
    "Device",
    "Dictionary",
    "Encoding",
    "Format",
    "Order",
    "Precision",
    "Ranks",
    "Search",
    "SystemName",
]

Dictionary = Annotated[
    Path | None,
    typer.Option("--kb", help="Knowledge base, a directory or a file; a model directory has its own."),
]
Format = Annotated[
    str,
    typer.Option(
        "--format", help="Format of the corpus: pubtator, bioc-xml, bioc-json, bigbio, biosyn, phrases, jsonl, or auto."
    ),
]
Encoding = Annotated[
    str | None, typer.Option("--encoding", help="Encoding of the corpus, where it is not UTF-8 (for example cp1252).")
]
Ranks = Annotated[int, typer.Option("--k", min=1, help="Ranks to predict, at most: a beam may meet fewer concepts.")]

Search = Annotated[
    Literal["beam", "exact"] | None,
    typer.Option(help="beam, or exact: concepts by their best names, proven, with a cap; as saved if left out."),
]
Beams = Annotated[int | None, typer.Option(min=1, help="Beams of the search; the model's own if left out.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Mentions searched together.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; a GPU if there is one.")]
Precision = Annotated[
    Literal["fp32", "bf16", "int8"] | None,
    typer.Option(help="What to compute in; as saved if left out. int8 is for the CPU."),
]

SystemName = Annotated[str | None, typer.Option("--name", help="What to call the system in tables.")]
Order = Annotated[int, typer.Option(help="Place of the system in tables.")]
