"""Errors of a linker, drawn to be read one by one, and the classes that a reader gave them, counted.

    python scripts/count_errors.py draw runs/predictions.jsonl data/errors.tsv --n 50
    python scripts/count_errors.py count docs/errors/ncbi_disease.tsv --predictions runs/predictions.jsonl \\
        --result results/errors/ncbi_disease.json

`draw` writes a line for each error with all that a reader needs; its first column, the class, is for the reader to fill
in. `count` reads the columns class, document and mention alone, so that a reading can be published without the text.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from collections import Counter
from pathlib import Path

from command import run_command

from genlink.data_paths import locate
from genlink.errors import DataError
from genlink.evaluation import choose_policy, read_predictions
from genlink.evaluation.outcomes import Outcome, score_outcomes
from genlink.evaluation.results import write_result
from genlink.files import atomic_file, require_file

_KEY = ("class", "document", "mention")
_SHOWN = ("text", "read_as", "gold", "rank_of_gold", "answers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    draw = verbs.add_parser("draw", help="write errors to a table, to be read")
    draw.add_argument("predictions", type=Path, help="as genlink evaluate --predictions writes them")
    draw.add_argument("table", type=Path, help="the table to write (tab-separated)")
    draw.add_argument("--n", type=int, default=50, help="how many errors, at most")
    draw.add_argument("--seed", type=int, default=0)
    count = verbs.add_parser("count", help="count the classes of a table that was read")
    count.add_argument("table", type=Path)
    count.add_argument("--predictions", type=Path, required=True, help="those that the errors were drawn from")
    count.add_argument("--result", type=Path, required=True, help="the result file to write")
    for verb in (draw, count):
        verb.add_argument("--preset", default="angel", help="what counts as an error: angel, biosyn or strict")
    arguments = parser.parse_args()
    arguments.table = locate(arguments.table)
    errors, n = _errors(arguments.predictions, arguments.preset)
    if arguments.verb == "draw":
        _draw(errors, arguments.table, arguments.n, arguments.seed)
    else:
        _count(errors, n, arguments)


def _errors(predictions: Path, preset: str) -> tuple[dict[tuple[str, str], Outcome], int]:
    """The outcomes without a right first answer, by document and mention, and the number of all outcomes."""
    outcomes, _ = score_outcomes(read_predictions(locate(predictions)), choose_policy(preset))
    return {outcome.records[0].key: outcome for outcome in outcomes if outcome.rank > 1}, len(outcomes)


def _draw(errors: dict[tuple[str, str], Outcome], table: Path, n: int, seed: int) -> None:
    if table.exists():
        raise DataError(f"{table}: is there already, and may have been read. Name another, or remove it.")
    keys = random.Random(seed).sample(sorted(errors), min(n, len(errors)))
    with atomic_file(table) as file:
        writer = csv.writer(file, dialect="excel-tab", lineterminator="\n")
        writer.writerow([*_KEY, *_SHOWN])
        writer.writerows(["", *key, *_facts(errors[key])] for key in sorted(keys))
    print(f"{table}: {len(keys)} of {len(errors)} errors. Fill in the first column.")


def _facts(outcome: Outcome) -> list[str]:
    records = outcome.records
    answers = [f"{c.concept_id} {c.concept_name} / {c.name} ({c.score:.1f})" for r in records for c in r.candidates[:3]]
    gold = " + ".join("|".join(sorted(part)) for part in outcome.concepts)
    return [records[0].text, " + ".join(r.surface for r in records), gold, str(outcome.rank), "; ".join(answers)]


def _count(errors: dict[tuple[str, str], Outcome], n: int, arguments: argparse.Namespace) -> None:
    rows = _read(arguments.table)
    for number, row in enumerate(rows, start=2):
        where = f"{arguments.table}, line {number}"
        if not row["class"]:
            raise DataError(f"{where}: has no class. Read the error and name one.")
        if _key(row) not in errors:
            raise DataError(
                f"{where}: {row['document']}, {row['mention']} is no error of {arguments.predictions}. Count with the "
                "predictions that the errors were drawn from."
            )
        if _key(row) in map(_key, rows[: number - 2]):
            raise DataError(f"{where}: {row['document']}, {row['mention']} stands in an earlier line too. Remove one.")
    counts = Counter(row["class"] for row in rows)
    near = Counter(row["class"] for row in rows if errors[_key(row)].rank <= 5)
    write_result(
        arguments.result,
        command=sys.argv,
        data=[arguments.table, arguments.predictions],
        seed=0,
        n=len(rows),
        settings={
            "name": arguments.result.stem,
            "preset": arguments.preset,
            "errors": len(errors),
            "mentions": n,
            "columns": ["errors", "right_name_among_five"],
        },
        metrics={name: {"errors": found, "right_name_among_five": near[name]} for name, found in counts.most_common()},
    )
    print(f"{arguments.result}: {len(rows)} errors in {len(counts)} classes, of {len(errors)} errors in {n} mentions.")


def _read(table: Path) -> list[dict[str, str]]:
    try:
        with require_file(table).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, dialect="excel-tab", restval=""))
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: is not UTF-8 ({error.reason}). Save it as UTF-8, tabs between columns.") from None
    if not rows:
        raise DataError(f"{table}: has no rows.")
    if lacks := [name for name in _KEY if name not in rows[0]]:
        raise DataError(f"{table}: has no column {lacks[0]}. Its first line names the columns, tabs between them.")
    return rows


def _key(row: dict[str, str]) -> tuple[str, str]:
    return row["document"], row["mention"]


if __name__ == "__main__":
    run_command(main)
