"""``genlink harvest``: the right and wrong names that a preference stage is to learn from, for review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from genlink.cli.options import Changes, Output, Overwrite, Recipe, Resume, read_recipe
from genlink.errors import UsageError

if TYPE_CHECKING:
    from genlink.training.lists import HarvestReview

__all__ = ["harvest"]


def harvest(
    recipe: Recipe,
    resume: Resume = False,
    overwrite: Overwrite = False,
    output: Output = None,
    changes: Changes = None,
) -> None:
    """Carry out the first harvest of a preference recipe alone, and print what there is to learn from.

    The lists land in OUTPUT/round-1/answers.jsonl. Look at them, mend what is wrong, and go on by training with
    --resume and the same --set.

    \b
    Examples:
      genlink harvest configs/small/ncbi_disease/preference.yaml
      genlink harvest configs/small/ncbi_disease/preference.yaml --resume
      genlink harvest configs/small/ncbi_disease/preference.yaml --set harvest.k=10 --output runs/k10
    """
    from accelerate import PartialState

    from genlink.config import EncoderConfig
    from genlink.training.stages import harvest_stage

    config = read_recipe(recipe, changes, output, resume=resume, overwrite=overwrite)
    if isinstance(config, EncoderConfig):
        raise UsageError(f"stage {config.stage} harvests nothing: give the recipe of a preference stage.")
    review = harvest_stage(config, resume=resume, overwrite=overwrite)
    if not PartialState().is_main_process:
        return
    _print_review(review)
    typer.echo(f"{config.output}/round-1/answers.jsonl: go on with genlink train {recipe} --resume", err=True)


def _print_review(review: HarvestReview) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    counts = Table("", "count", box=None, pad_edge=False)
    for fact, count in (
        ("lists", review.counts.lists),
        ("questions", review.counts.mentions),
        ("first name right", review.counts.first_right),
        ("no name right", review.counts.none_right),
        ("no name wrong", review.counts.none_wrong),
        ("names too long", review.too_long),
    ):
        counts.add_row(fact, f"{count:,}")
    policies = list(next(iter(review.pairs.values())))
    headings = ("no_answer", "lists left", *(f"pairs: {policy}" for policy in policies))
    left = Table(*headings, box=None, pad_edge=False)
    for choice, lists in review.lists.items():
        of_policies = (f"{review.pairs[choice][policy]:,}" for policy in policies)
        left.add_row(choice, f"{lists:,}", *of_policies)
    for table in (counts, left):
        for column in table.columns[1:]:
            column.justify = "right"
    console.print(counts)
    console.print()
    console.print(left)
