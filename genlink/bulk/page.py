"""Linked documents as one HTML page that needs nothing else: texts with marked mentions, and their candidates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from genlink.corpora import text_output
from genlink.pipeline.cells import chosen_candidates
from genlink.pipeline.linked import Linked
from genlink.schema import Prediction

__all__ = ["write_page"]

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Linked mentions</title>
<style>
body { font: 1rem/1.6 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
p { white-space: pre-wrap; }
mark { background: #cfe8ff; padding: 0 .15em; border-radius: .2em; }
mark.nil { background: #eee; outline: 1px dashed #888; }
mark sub { font-size: .7em; color: #245; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .15rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
</style>
</head>
<body>
<h1>Linked mentions</h1>
"""
_COLUMNS = ("mention", "read as", "concept", "canonical name", "by the name", "score", "probability")


def write_page(path: str | Path, linked: Iterable[Linked]) -> None:
    """Write a page, atomically; a section for each document."""
    with text_output(path) as file:
        file.write(_HEAD)
        for item in linked:
            file.writelines(_section(item))
        file.write("</body>\n</html>\n")


def _section(item: Linked) -> Iterator[str]:
    document = item.document
    yield f"<section>\n<h2>{escape(document.document_id)}</h2>\n<p>{_marked(item)}</p>\n"
    if item.predictions:
        heads = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
        yield f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n"
        for prediction in item.predictions:
            yield from _rows(prediction)
        yield "</tbody>\n</table>\n"
    yield "</section>\n"


def _marked(item: Linked) -> str:
    """The text with its mentions marked; of several that overlap the first and longest is."""
    text, pieces, at = item.document.text, [], 0
    for prediction in sorted(item.predictions, key=lambda p: (p.mention.start, -p.mention.end)):
        start, end = prediction.mention.start, prediction.mention.end
        if start < at or not start < end <= len(text):
            continue
        # All concepts of the best name: nothing says which of them is meant.
        best = chosen_candidates(prediction)
        kind = "" if best else ' class="nil"'
        name = " | ".join(c.concept_name for c in best) or "not in the knowledge base"
        concept = "|".join(c.concept_id for c in best) or "NIL"
        pieces.append(escape(text[at:start]))
        pieces.append(
            f'<mark{kind} title="{escape(name)}">{escape(text[start:end])}<sub> {escape(concept)}</sub></mark>'
        )
        at = end
    return "".join([*pieces, escape(text[at:])])


def _rows(prediction: Prediction) -> Iterator[str]:
    mention = prediction.mention
    shown = [mention.text, mention.surface if mention.surface != mention.text else ""]
    if prediction.is_nil or not prediction.candidates:
        yield _row([*shown, "NIL", "not in the knowledge base" if prediction.candidates else "nothing found", ""], [])
        shown = ["", ""]
    for candidate in prediction.candidates:
        numbers = [f"{candidate.score:.2f}", "" if candidate.probability is None else f"{candidate.probability:.3f}"]
        yield _row([*shown, candidate.concept_id, candidate.concept_name, candidate.name], numbers)
        shown = ["", ""]


def _row(texts: list[str], numbers: list[str]) -> str:
    cells = [f"<td>{escape(text)}</td>" for text in texts]
    cells += [f'<td class="number">{number}</td>' for number in numbers or ("", "")]
    return f"<tr>{''.join(cells)}</tr>\n"
