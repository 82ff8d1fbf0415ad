"""``genlink link``: mentions in, concepts out."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from genlink.cli.options import (
    MODEL_HELP,
    BatchSize,
    Beams,
    Cache,
    Calibrated,
    ConceptTypes,
    Device,
    Dictionary,
    Encoding,
    IdPrefixes,
    Index,
    Overwrite,
    Precision,
    Ranks,
    Resume,
    Search,
    document_of_text,
)
from genlink.data_paths import locate
from genlink.default import DEFAULT
from genlink.errors import UsageError

__all__ = ["link"]

_STANDARD = Path("-")


def link(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help=MODEL_HELP)] = DEFAULT,
    corpus: Annotated[
        Path | None,
        typer.Argument(
            metavar="[INPUT]",
            help="A corpus in any known format, a text or, with --column, a table; - is standard input. Alone, it is "
            "linked by the default model.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="A text instead of a file. Mentions stand in double brackets; if none does, they are found."),
    ] = None,
    kb: Dictionary = None,
    format: Annotated[
        str,
        typer.Option(
            help="Format of the input: pubtator, bioc-xml, bioc-json, bigbio, biosyn, phrases, jsonl, spacy (texts and "
            "offsets), bio (tagged tokens), text, lines (a text on each line), csv, tsv, parquet, or auto."
        ),
    ] = "auto",
    encoding: Encoding = None,
    column: Annotated[str | None, typer.Option(help="The input is a table, and this column has the mentions.")] = None,
    context_column: Annotated[
        str | None, typer.Option(help="Column of the table with the text that a mention stands in.")
    ] = None,
    offset_column: Annotated[
        str | None,
        typer.Option(help="Column of the table with the place in this text where the mention starts, from 0."),
    ] = None,
    find: Annotated[
        bool | None,
        typer.Option(
            help="Take for mentions the names of the dictionary that stand in the texts, the longest ones; by itself "
            "only where the input is plain text and marks none."
        ),
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", metavar="NAME", help="A name not to be found. Repeatable.")
    ] = None,
    common_words: Annotated[
        bool,
        typer.Option("--common-words", help="Find names too that are common English words, such as `result`."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write; for a file it is needed, for standard input and --text the screen will do."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="Form of the output: predictions (a JSON object a mention), same (that of the input, ids filled in), "
            "jsonl, pubtator, bioc-xml, bioc-json, csv, tsv or html. Left out, a table stays a table, and else the "
            "name of the output says it: .csv, .tsv, .html or, for predictions, .jsonl or no ending."
        ),
    ] = None,
    k: Ranks = 5,
    calibration: Calibrated = None,
    concept_types: ConceptTypes = None,
    prefixes: IdPrefixes = None,
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
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Link the mentions of a text, a corpus or a table to the concepts of a knowledge base.

    With a calibration each candidate has a probability, over lists of as many ranks as the calibration was fitted on;
    --k cuts these lists and cannot lengthen them. An answer that is too improbable is NIL: not in the knowledge base.

    A file is read in pieces and linked in parts, which lie in OUTPUT.parts until it is done. What is interrupted goes
    on with --resume, to the same output. Several processes share a file: accelerate launch -m genlink link ...

    \b
    Examples:
      genlink link notes.txt --output notes.html
      genlink link runs/demo/model --text "History of [[acute inflammation of the pancreas]] and [[type C hepatitis]]."
      genlink link runs/demo/model corpus.pubtator --to pubtator --output linked.pubtator
      genlink link runs/demo/model problems.csv --column diagnosis --context-column note --output linked.csv
      genlink link tfidf corpus.jsonl --kb diseases.jsonl --output predictions.jsonl
      genlink link runs/demo/model corpus.pubtator --calibration calibration.json --output predictions.jsonl
      cat notes.txt | genlink link runs/demo/model - --to csv
    """
    from genlink.bulk.facts import facts_of
    from genlink.bulk.forms import check_form, form_for, write_linked
    from genlink.bulk.linking import Job
    from genlink.bulk.parts import Parts, parts_of
    from genlink.bulk.processes import share_of_this_process
    from genlink.bulk.run import finds_mentions, link_all, restricted
    from genlink.bulk.sources import source_of, text_source
    from genlink.bulk.table import Columns
    from genlink.cli.screen import print_predictions
    from genlink.corpora import survey
    from genlink.kb import load_kb
    from genlink.linkers.calibration import Calibration, calibration_that_holds
    from genlink.linkers.opening import LEXICAL, open_linker, place_of
    from genlink.preprocessing import FinderRules, NameFinder, Preprocessing

    if corpus is None and _is_input(model):
        model, corpus = DEFAULT, Path(model)
    is_streamed = corpus == _STANDARD
    if (corpus is None) == (text is None):
        if text is not None:
            raise UsageError("Give either a corpus or --text, not both.")
        missing = "" if Path(model).exists() else ": there is no such file"
        taken = "" if model == DEFAULT else f" {model} is taken for the MODEL{missing}."
        raise UsageError(f"Give a corpus, - for standard input, or --text.{taken}")
    if corpus is not None and not is_streamed and output is None:
        raise UsageError("Say where to write the predictions: --output FILE.")
    if text is not None and not text.strip():
        raise UsageError("--text is empty: give a text.")
    if text is not None and (format != "auto" or encoding is not None):
        raise UsageError("--format and --encoding are those of a corpus: --text has none.")
    if column is None and (context_column is not None or offset_column is not None):
        raise UsageError("--context-column and --offset-column are of a table: name its mentions with --column.")
    for option, given in (("--text", text or ""), ("--leave-out", " ".join(leave_out or ()))):
        if any("\ud800" <= character <= "\udfff" for character in given):  # what Python makes of other bytes
            raise UsageError(f"{option} is not UTF-8. Write it so, or put a text into a file and name its --encoding.")
    if output is not None and output.is_dir():
        raise UsageError(f"{output}: is a directory. Name a file for the --output.")
    if resume and overwrite:
        raise UsageError("--resume goes on with what was done and --overwrite deletes it: give one of them.")
    if resume and (output is None or is_streamed):
        raise UsageError(
            "--resume goes on with a file and its --output: neither --text nor standard input leaves parts."
        )
    share = share_of_this_process()
    if share.count > 1 and (output is None or corpus is None or is_streamed):
        raise UsageError("several processes share a file and write an --output: give both.")
    is_restricted = bool(concept_types or prefixes)
    fitted = (
        locate(calibration)
        if calibration
        else calibration_that_holds(place_of(model), kb=kb, search=search, beams=beams, is_restricted=is_restricted)
    )
    calibrated = Calibration.read(fitted) if fitted else None
    with tempfile.TemporaryDirectory(prefix="genlink-link-") as folder:
        if text is not None or corpus is None:
            source = text_source(document_of_text(text or ""))
        else:
            path, name = locate(corpus), None
            if is_streamed:  # kept in a file, since it is read more than once
                path, name = Path(folder) / "input", "standard input"
                with path.open("wb") as file:
                    shutil.copyfileobj(sys.stdin.buffer, file)
            columns = None if column is None else Columns(column, context_column, offset_column)
            source = source_of(path, format, encoding, columns, name)
        form = form_for(source, to, output)
        check_form(source, form)
        extent = survey(source.name, source.read())
        is_found = finds_mentions(source, extent, find)
        opened = open_linker(
            place_of(model),
            load_kb(locate(kb)) if kb else None,
            search=search,
            beams=beams,
            batch_size=batch_size,
            device=device or (share.device if model not in LEXICAL else None),
            precision=precision,
            index=index,
            cache=cache,
        )
        linker = restricted(opened, concept_types, prefixes)
        rules = FinderRules(without=tuple(leave_out or ()), abbreviations=abbreviations, common_words=not common_words)
        steps = Preprocessing(abbreviations=abbreviations, composites=composites)
        job = Job(source, linker, k, calibrated, NameFinder(linker.kb, rules) if is_found else None, steps)
        keeps = output if source.path is not None and not is_streamed else None
        facts = facts_of(job, model, fitted) if keeps and share.is_first else {}
        parts = Parts(parts_of(keeps) if keeps else Path(folder) / "parts")
        if sys.stderr.isatty():
            linker.link([], progress=True)  # a dense linker embeds its names before the first mention
        is_shown = sys.stderr.isatty() and max(extent.documents, extent.mentions) > 100
        shown = extent.documents if is_shown else None
        linked = link_all(job, parts, share, facts, resume=resume, overwrite=overwrite, documents=shown)
        if linked is None:
            return
        if text is not None and output is None and to is None:
            predictions = [prediction for item in linked for prediction in item.predictions]
            if not predictions:
                print("No name of the dictionary stands in the text: mark its mentions, [[...]].", file=sys.stderr)
            print_predictions(predictions, with_probability=calibrated is not None)
            return
        count = write_linked(output or Path(folder) / "output", form, source, linked, linker.kb)
        if output is None:
            with (Path(folder) / "output").open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            return
        parts.remove()
        print(f"Wrote {count} predictions to {output}.", file=sys.stderr)


def _is_input(given: str) -> bool:
    """Whether what stands in the place of the model, and alone, is no model but what is to be linked."""
    from genlink.linkers.opening import NAMES

    return Path(given) == _STANDARD or (given not in (DEFAULT, *NAMES) and locate(given).is_file())
