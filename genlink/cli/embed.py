"""``genlink embed``: what a dense linker compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from genlink.cli.options import Dictionary
from genlink.data_paths import locate
from genlink.errors import UsageError

__all__ = ["embed"]


def embed(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="minilm, the directory of an encoder or of a dense linker, or a name."),
    ],
    text: Annotated[list[str] | None, typer.Option(help="A mention. Repeatable.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file with a mention in each line.")] = None,
    kb: Dictionary = None,
) -> None:
    """Print the vectors of mentions, a JSON object a line: the dense one, and the n-grams of the sparse one.

    Mentions are normalised first, as a linker reads them. N-grams are weighted by the dictionary of a dense linker with
    a sparse weight, whatever --kb says, and for any other model by that of --kb; without one `sparse` is null.

    \b
    Examples:
      genlink embed runs/biosyn/model --text "type II diabetes"
      genlink embed minilm --file mentions.txt > vectors.jsonl
    """
    from genlink.files import read_lines
    from genlink.kb import load_kb
    from genlink.linkers.opening import is_dense, place_of

    if (text is None) == (file is None):
        raise UsageError("Give either --text or --file.")
    place = place_of(model)
    if not is_dense(place):
        raise UsageError(f"{model}: is no encoder and no dense linker, so it has no vectors to show.")
    from genlink.linkers.dense_opening import vectors_of

    texts = text if text is not None else [line for _, line in read_lines(locate(file or "")) if line.strip()]
    if not all(given.strip() for given in texts):
        raise UsageError("--text is empty: give a mention.")
    for record in vectors_of(place, texts, load_kb(locate(kb)) if kb else None):
        print(json.dumps(record, ensure_ascii=False))
