"""``genlink kb negatives``: for each name the nearest names of other concepts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from genlink.data_paths import locate

__all__ = ["KB_HELP", "negatives"]

KB_HELP = "A saved knowledge base, a model (its own, such as default), or a file to make one of."


def negatives(
    kb: Annotated[Path, typer.Argument(metavar="KB", help=KB_HELP)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where to save them; others there are replaced.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many negatives a name has at the most.")] = 5,
    max_name_length: Annotated[int | None, typer.Option(min=1, help="Leave out names of more characters.")] = None,
    review: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them to read as well: JSON lines, with cosines.")
    ] = None,
) -> None:
    """Find the negatives of each name for pre-training: the names of other concepts that are spelled most like it.

    Nearest is what has the largest cosine of TF-IDF vectors over character trigrams, exactly. Killed and started anew,
    it goes on where it was; DIR.blocks holds what was found so far.

    \b
    Examples:
      genlink kb negatives kb/medic --output kb/medic-negatives
      genlink kb negatives MEDIC.tsv.gz --top 10 --max-name-length 100 --output kb/negatives --review negatives.jsonl
    """
    from genlink.data.negatives import build_negatives, write_review
    from genlink.kb import load_kb

    opened = load_kb(locate(kb))
    found = build_negatives(opened, output, top, max_name_length=max_name_length, progress=sys.stderr.isatty())
    if review is not None:
        write_review(review, opened, found, max_name_length)
    without = int((found[:, 0] < 0).sum())
    typer.echo(f"saved the negatives of {len(found):,} names to {output}; {without:,} names have none", err=True)
