"""Answers on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from genlink.schema import Prediction

__all__ = ["print_predictions"]


def print_predictions(predictions: Sequence[Prediction], *, with_probability: bool) -> None:
    """Print the candidates of each mention as a table, with a column of probabilities if there are any."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for column in ("mention", "read as"):  # a whole paragraph may have been marked
        table.add_column(column, max_width=60, no_wrap=True)
    for column in ("concept", "canonical name", "by the name"):
        table.add_column(column)
    for column in ("score", "probability") if with_probability else ("score",):
        table.add_column(column, justify="right")
    for prediction in predictions:
        mention = prediction.mention
        shown = [mention.text, mention.surface if mention.surface != mention.text else ""]
        if prediction.is_nil or not prediction.candidates:
            reason = "not in the knowledge base" if prediction.candidates else "nothing found"
            table.add_row(*shown, "NIL" if prediction.is_nil else "-", reason)
            shown = ["", ""]
        for candidate in prediction.candidates:
            numbers = [f"{candidate.score:.2f}"]
            if candidate.probability is not None:
                numbers.append(f"{candidate.probability:.3f}")
            table.add_row(*shown, candidate.concept_id, candidate.concept_name, candidate.name, *numbers)
            shown = ["", ""]
    console = Console(markup=False, highlight=False)
    (console if console.is_terminal else Console(markup=False, highlight=False, width=140)).print(table)
