"""Options that every command has which opens a model."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["BatchSize", "Beams", "Device", "Search"]

Search = Annotated[
    str | None,
    typer.Option(
        help="lazy_beam, beam (the same names for more time) or exact (the best of all, with a cap); the model's own "
        "if left out."
    ),
]
Beams = Annotated[int | None, typer.Option(min=1, help="Beams of the search; the model's own if left out.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Mentions searched together.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; a GPU if there is one.")]
