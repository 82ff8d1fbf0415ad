"""``genlink corpus``: look at a corpus before anything is trained or scored on it, and convert it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genlink.data_paths import locate
from genlink.errors import UsageError

if TYPE_CHECKING:
    from genlink.corpora import CorpusReport

__all__ = ["app"]

app = typer.Typer(
    help="Look at annotated corpora and convert them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Corpus = Annotated[Path, typer.Argument(help="A corpus file, or a BioSyn directory.", show_default=False)]
Format = Annotated[
    str,
    typer.Option(
        help="Its format: pubtator, bioc-xml, bioc-json, bigbio, biosyn, phrases, jsonl, spacy (texts and "
        "offsets), bio (tagged tokens), text, "
        "lines (a text on each line), or auto: by its first line."
    ),
]
Encoding = Annotated[
    str | None, typer.Option(help="Its encoding, where it is not UTF-8 (for example cp1252).", show_default=False)
]


@app.callback()
def _corpus() -> None:
    """Look at annotated corpora and convert them."""


@app.command()
def info(
    corpus: Corpus,
    kb: Annotated[
        Path | None, typer.Option(help="A knowledge base: count the gold ids that are not in it.", show_default=False)
    ] = None,
    format: Format = "auto",
    encoding: Encoding = None,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Count what a corpus holds and list every mention that is not where its file says.

    Examples:

      genlink corpus info data/ncbi_disease/train.pubtator

      genlink corpus info data/ncbi_disease/train.pubtator --kb data/dictionaries/medic2012.txt --json
    """
    from genlink.corpora import corpus_report, read_corpus

    if kb is None:
        report = corpus_report(read_corpus(locate(corpus), format, encoding=encoding))
    else:
        from genlink.kb import load_kb

        report = corpus_report(read_corpus(locate(corpus), format, encoding=encoding), load_kb(locate(kb)).missing)
    if json:
        _print_json(report)
    else:
        _print_tables(report)


@app.command()
def convert(
    corpus: Corpus,
    output: Annotated[Path, typer.Option(help="The file to write; .gz is gzipped.", show_default=False)],
    to: Annotated[str, typer.Option(help="The format to write: jsonl or pubtator.")] = "jsonl",
    format: Format = "auto",
    encoding: Encoding = None,
) -> None:
    """Write a corpus in another format; texts and offsets stay as they are, right or wrong.

    Examples:

      genlink corpus convert data/bc5cdr/CDR_DevelopmentSet.BioC.xml --output dev.jsonl

      genlink corpus convert dev.jsonl --output dev.pubtator --to pubtator
    """
    from genlink.corpora import offset_problems, read_corpus, write_jsonl, write_pubtator

    writers = {"jsonl": write_jsonl, "pubtator": write_pubtator}
    if to not in writers:
        raise UsageError(f"{to}: cannot write this format. Known: {', '.join(writers)}.")
    documents = list(read_corpus(locate(corpus), format, encoding=encoding))
    writers[to](output, documents)
    mentions = sum(len(document.mentions) for document in documents)
    typer.echo(f"{output}: {len(documents)} documents, {mentions} mentions.", err=True)
    if problems := sum(len(offset_problems(document)) for document in documents):
        typer.echo(f"{problems} mentions are not where the corpus says; `genlink corpus info` lists them.", err=True)


def _print_json(report: CorpusReport) -> None:
    import dataclasses
    import json

    typer.echo(json.dumps(dataclasses.asdict(report), ensure_ascii=False, indent=2))


def _print_tables(report: CorpusReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    counts = Table("", "count", box=None, pad_edge=False)
    counts.columns[1].justify = "right"
    rows: list[tuple[str, int]] = [
        ("documents", report.documents),
        ("mentions", report.mentions),
        ("  distinct texts", report.unique_texts),
        ("  distinct gold ids", report.concepts),
        ("  NIL", report.nil),
        ("  unlabelled", report.unlabelled),
        ("  composite", report.composite),
        ("  discontinuous", report.discontinuous),
        ("  nested in another", report.nested),
        ("  overlapping another", report.overlapping),
    ]
    if report.out_of_kb is not None and report.missing_ids is not None:
        share = "" if report.out_of_kb_share is None else f" ({report.out_of_kb_share:.1%} of those with gold ids)"
        rows.append(("  out of KB" + share, report.out_of_kb))
        rows.append(("gold ids not in the KB", len(report.missing_ids)))
    rows.append(("mentions not where the file says", len(report.offset_problems)))
    rows += [(f"type {name}", count) for name, count in report.types.items()]
    for name, count in rows:
        counts.add_row(Text(name), str(count))
    console.print(counts)
    if report.missing_ids:
        console.print(Text("Gold ids not in the KB: " + " ".join(report.missing_ids)), soft_wrap=True)
    if report.offset_problems:
        headers = ("document", "mention", "span", "problem", "text in file", "text at span")
        table = Table(*headers, box=None, pad_edge=False)
        for column in table.columns[:3]:
            column.no_wrap = True
        for p in report.offset_problems:
            spans = ", ".join(f"{start}-{end}" for start, end in p.spans)
            problem = p.problem + (" (harmless)" if p.harmless else "")
            found = "" if p.found is None else repr(p.found)
            table.add_row(*map(Text, (p.document_id, p.mention_id, spans, problem, repr(p.text), found)))
        console.print()
        console.print(table)
