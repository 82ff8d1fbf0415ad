"""``genlink link``: mentions in, concepts out."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from genlink.cli.options import (
    MODEL_HELP,
    BatchSize,
    Beams,
    Cache,
    Device,
    Dictionary,
    Encoding,
    Format,
    Index,
    Precision,
    Ranks,
    Search,
)
from genlink.data_paths import locate
from genlink.errors import KnowledgeBaseError, UsageError
from genlink.schema import Document, Mention, Prediction

__all__ = ["link", "marked_document"]


def link(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    corpus: Annotated[
        Path | None, typer.Argument(metavar="[CORPUS]", help="Documents with mentions, in any known format.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="A text with its mentions in double brackets, instead of a corpus.")
    ] = None,
    kb: Dictionary = None,
    format: Format = "auto",
    encoding: Encoding = None,
    output: Annotated[Path | None, typer.Option(help="File to write; for a corpus it is needed.")] = None,
    to: Annotated[
        str, typer.Option(help="Form of the output: predictions, or jsonl or pubtator with the ids filled in.")
    ] = "predictions",
    k: Ranks = 5,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Written by `genlink calibrate --output`: answers get a probability, and may be NIL."),
    ] = None,
    concept_types: Annotated[
        list[str] | None, typer.Option("--concept-type", help="Only concepts of this semantic type. Repeatable.")
    ] = None,
    prefixes: Annotated[
        list[str] | None,
        typer.Option("--id-prefix", help="Only concepts of this vocabulary prefix, such as MESH. Repeatable."),
    ] = None,
    search: Search = None,
    beams: Beams = None,
    batch_size: BatchSize = None,
    device: Device = None,
    precision: Precision = None,
    index: Index = None,
    cache: Cache = None,
    abbreviations: Annotated[bool, typer.Option(help="Expand abbreviations that the document defines.")] = True,
    composites: Annotated[
        bool, typer.Option(help="Split composite mentions by their form; this also splits some that are not.")
    ] = False,
) -> None:
    """Link the mentions of a text or a corpus to the concepts of a knowledge base.

    With --calibration each candidate has a probability, over lists of as many ranks as the calibration was fitted on;
    --k cuts these lists and cannot lengthen them. An answer that is too improbable is NIL: not in the knowledge base.

    \b
    Examples:
      genlink link runs/demo/model --text "History of [[acute inflammation of the pancreas]] and [[type C hepatitis]]."
      genlink link runs/demo/model corpus.pubtator --to pubtator --output linked.pubtator
      genlink link tfidf corpus.jsonl --kb diseases.jsonl --output predictions.jsonl
      genlink link runs/demo/model corpus.pubtator --calibration calibration.json --output predictions.jsonl
    """
    from genlink.corpora import documents_with_predictions, load_corpus, write_jsonl, write_pubtator
    from genlink.evaluation import to_record, write_predictions
    from genlink.kb import load_kb
    from genlink.linkers.calibration import Calibration
    from genlink.linkers.opening import open_linker, place_of
    from genlink.preprocessing import Preprocessing, prepare

    if (corpus is None) == (text is None):
        raise UsageError("Give either a corpus or --text.")
    if corpus is not None and output is None:
        raise UsageError("Say where to write the predictions: --output FILE.")
    if to not in ("predictions", "jsonl", "pubtator"):
        raise UsageError(f"`{to}` is no form of output: choose predictions, jsonl or pubtator.")
    if text is not None and output is None and to != "predictions":
        raise UsageError(f"--to {to} is the form of a file: name it with --output, or leave out --to.")
    if text is not None and (format != "auto" or encoding is not None):
        raise UsageError("--format and --encoding are those of a corpus: --text has none.")
    calibrated = Calibration.read(locate(calibration)) if calibration else None
    documents = (
        [marked_document(text)] if text is not None else load_corpus(locate(corpus or ""), format, encoding=encoding)
    )
    linker = open_linker(
        place_of(model),
        load_kb(locate(kb)) if kb else None,
        search=search,
        beams=beams,
        batch_size=batch_size,
        device=device,
        precision=precision,
        index=index,
        cache=cache,
    )
    if concept_types or prefixes:
        if not linker.kb.select(types=concept_types or None, prefixes=prefixes or None):
            wanted = [f"--concept-type {name}" for name in concept_types or ()]
            wanted += [f"--id-prefix {name}" for name in prefixes or ()]
            raise KnowledgeBaseError(
                f"no concept of the knowledge base passes {' '.join(wanted)}. `genlink kb info` shows its vocabularies."
            )
        linker = linker.with_kb(linker.kb.subset(types=concept_types or None, prefixes=prefixes or None))
    mentions = prepare(documents, Preprocessing(abbreviations=abbreviations, composites=composites))
    ranks = calibrated.ranks if calibrated else k
    predictions = linker.link(mentions, ranks, progress=sys.stderr.isatty())
    if calibrated:
        predictions = [calibrated.apply(prediction, k) for prediction in predictions]
    if output is None:
        _print(predictions, with_probability=calibrated is not None)
    elif to == "predictions":
        write_predictions(output, (to_record(prediction, linker.kb) for prediction in predictions))
    else:
        write = write_jsonl if to == "jsonl" else write_pubtator
        write(output, documents_with_predictions(documents, predictions))
    if output is not None:
        print(f"Wrote {len(predictions)} predictions to {output}.", file=sys.stderr)


def marked_document(text: str) -> Document:
    """A document from a text whose mentions stand in double brackets; the brackets are not part of it."""
    spans, plain, at = [], "", 0
    for match in re.finditer(r"\[\[(.+?)\]\]", text):
        plain += text[at : match.start()]
        spans.append((len(plain), len(plain) + len(match[1])))
        plain += match[1]
        at = match.end()
    plain += text[at:]
    if not spans:
        raise UsageError("--text marks no mention: put each in double brackets, as in 'a history of [[asthma]]'.")
    mentions = tuple(
        Mention(plain, (span,), plain[slice(*span)], document_id="text", mention_id=str(i))
        for i, span in enumerate(spans)
    )
    return Document("text", plain, mentions)


def _print(predictions: list[Prediction], *, with_probability: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("mention", "read as", "concept", "canonical name", "by the name", box=None)
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
