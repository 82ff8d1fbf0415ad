"""How well the mentions of a corpus are found by the names of a dictionary, with each rule of the finder and without.

    python scripts/bench_finder.py results/finder/craft.json default data/craft/dev.jsonl.gz \\
        --type MONDO --type CHEBI --type CL --type UBERON

A found mention counts where it overlaps one that is annotated, and an annotated one where a found one overlaps it: a
name may be longer or shorter than what annotators mark. What is of none of the types counts as not annotated. Intervals
are of 95 %, over resampled documents. ``default`` is the dictionary that comes with GenLink.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from command import run_command
from tqdm.auto import tqdm

from genlink.corpora import read_corpus
from genlink.data_paths import locate
from genlink.errors import DataError
from genlink.evaluation.results import write_result
from genlink.kb import load_kb
from genlink.kb.load import place_of_kb
from genlink.metrics import bootstrap_ratios
from genlink.preprocessing import FinderRules, NameFinder
from genlink.schema import Document, Span

RULES = {
    "all rules": FinderRules(),
    "small letters for abbreviations too": FinderRules(capitals=0),
    "common words too": FinderRules(common_words=False),
    "no plurals": FinderRules(plurals=False),
    "no short forms of the document": FinderRules(abbreviations=False),
    "names alone": FinderRules(capitals=0, common_words=False, plurals=False, abbreviations=False),
}
MEASURES = ("precision", "recall")
COLUMNS = ("found", *MEASURES)


def overlapping(spans: Sequence[Span], others: Sequence[Span]) -> int:
    """How many of ``spans`` overlap one of the others."""
    return sum(any(a < end and start < b for start, end in others) for a, b in spans)


def counted(finder: NameFinder, documents: Sequence[Document]) -> list[tuple[int, int, int, int]]:
    """Of each document: found mentions that are right, all found, annotated ones that are found, all annotated."""
    counts = []
    for document in documents:
        found = [span for mention in finder.with_mentions(document).mentions for span in mention.spans]
        gold = list(dict.fromkeys(span for mention in document.mentions for span in mention.spans))
        counts.append((overlapping(found, gold), len(found), overlapping(gold, found), len(gold)))
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("dictionary", help="a knowledge base, or `default`")
    parser.add_argument("corpus", help="documents with annotated mentions")
    parser.add_argument("--type", action="append", default=[], help="only mentions of this type count; repeatable")
    options = parser.parse_args(arguments)

    dictionary = place_of_kb(locate(options.dictionary))
    kb = load_kb(dictionary)
    documents = [
        replace(document, mentions=tuple(m for m in document.mentions if not options.type or m.type in options.type))
        for document in read_corpus(locate(options.corpus))
    ]
    n = sum(len(document.mentions) for document in documents)
    if not n:
        raise DataError(f"{options.corpus}: no mentions of the types {options.type or 'given'}.")
    metrics = {}
    for name, rules in tqdm(RULES.items(), unit="rules"):
        counts = counted(NameFinder(kb, rules), documents)
        right, found, hit, annotated = zip(*counts, strict=True)
        shares = bootstrap_ratios([right, hit], [found, annotated], [d.document_id for d in documents], seed=0)
        metrics[name] = {"found": sum(found), **dict(zip(MEASURES, shares, strict=True))}
    write_result(
        options.result,
        command=sys.argv,
        data=[options.corpus, dictionary],
        seed=0,
        n=n,
        settings={"name": "finder", "columns": COLUMNS, "types": options.type, "documents": len(documents)},
        metrics=metrics,
    )


if __name__ == "__main__":
    run_command(main)
