"""Options that every command has which opens a model."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

__all__ = ["BatchSize", "Beams", "Device", "Precision", "Search"]

Search = Annotated[
    Literal["beam", "exact"] | None,
    typer.Option(help="beam, or exact: the best names of all, proven, with a cap; as saved if left out."),
]
Beams = Annotated[int | None, typer.Option(min=1, help="Beams of the search; the model's own if left out.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Mentions searched together.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; a GPU if there is one.")]
Precision = Annotated[
    Literal["fp32", "bf16", "int8"] | None,
    typer.Option(help="What to compute in; as saved if left out. int8 is for the CPU."),
]
