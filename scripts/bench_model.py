"""What precision and search do to a trained model: speed, proofs, and how far its answers drift; write a result file.

    python scripts/bench_model.py results/drift/ncbi_disease.json runs/ncbi_disease/finetune/model \\
        data/ncbi_disease/dev.pubtator

The first row, fp32 under the beam, is what the others are compared with. The best name alone is searched (k = 1), one
thread, CPU time of the process. Mentions that read alike are searched once: the time is shared out among all, rows and
passes are those of each. `proven`: the share of mentions for which nothing that
was left out can score higher. `same`: the share with the same best concept as in the first row.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from command import run_command

from genlink.corpora import load_corpus
from genlink.data_paths import display, locate
from genlink.decoding import Precision
from genlink.evaluation import PredictionRecord, choose_policy, compare_predictions, to_record
from genlink.evaluation.results import write_result
from genlink.evaluation.run import prepare_setting
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchKind
from genlink.schema import Mention

COLUMNS = (
    *("milliseconds", "rows", "passes", "proven", "capped", "same"),
    *("accuracy", "difference", "difference_low", "difference_high"),
)


@dataclass(frozen=True)
class Run:
    """A model under one precision and search: its answers and what they took."""

    records: list[PredictionRecord]
    measures: dict[str, float]


def link(linker: GenerativeLinker, mentions: list[Mention]) -> Run:
    """Link all mentions, once for the time and once for what each search says of itself."""
    linker.link(mentions[:64], k=1)
    started = time.process_time()
    predictions = linker.link(mentions, k=1)
    seconds = time.process_time() - started
    results = linker.find(mentions, k=1)
    return Run(
        [to_record(prediction, linker.kb) for prediction in predictions],
        {
            "milliseconds": 1000 * seconds / len(mentions),
            "rows": float(np.mean([result.rows for result in results])),
            "passes": float(np.mean([result.passes for result in results])),
            "proven": float(np.mean([result.exact for result in results])),
            "capped": float(np.mean([result.status == "capped" for result in results])),
        },
    )


def compare(run: Run, first: Run) -> dict[str, float]:
    """Accuracy (preset angel), and the difference to the first run."""
    compared = compare_predictions(first.records, run.records, choose_policy("angel"))
    drift = compared.difference
    answers = [[{c.concept_id for c in record.candidates} for record in each.records] for each in (first, run)]
    return {
        "same": float(np.mean([a == b for a, b in zip(*answers, strict=True)])),
        "accuracy": compared.second,
        "difference": drift.value,
        **({} if drift.low is None or drift.high is None else {"difference_low": drift.low}),
        **({} if drift.low is None or drift.high is None else {"difference_high": drift.high}),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("model", type=Path, help="a model directory")
    parser.add_argument("corpus", type=Path, help="labelled mentions, in any known format")
    parser.add_argument("--type", action="append", default=[], help="only mentions of this type; repeatable")
    parser.add_argument("--limit", type=int, help="only so many documents")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    documents = load_corpus(locate(options.corpus))[: options.limit]
    runs: dict[str, Run] = {}
    described = {}
    for precision in get_args(Precision):
        linker = GenerativeLinker.load(locate(options.model)).to("cpu", precision)
        setting = prepare_setting(documents, linker.kb, choose_policy("angel", dictionary="kb"), types=options.type)
        described = described or linker.describe()
        searches: tuple[SearchKind, ...] = ("beam", "exact") if precision == "fp32" else ("beam",)
        for search in searches:
            searched = linker.with_search(replace(linker.search, search=search))
            runs[f"{precision}, {search}"] = run = link(searched, list(setting.mentions))
            print(f"{precision}, {search}: {run.measures['milliseconds']:.1f} ms", file=sys.stderr)
    first = next(iter(runs.values()))
    write_result(
        options.result,
        command=sys.argv,
        data=[options.model, options.corpus],
        seed=0,
        n=len(first.records),
        settings={
            "name": display(options.model),
            "columns": COLUMNS,
            "linker": described,  # that of the first row
            "threads": 1,
        },
        metrics={name: run.measures | compare(run, first) for name, run in runs.items()},
    )


if __name__ == "__main__":
    run_command(main)
