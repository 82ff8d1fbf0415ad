"""Compare systems that were trained with several seeds each, and write a result file that a table is made from.

    python scripts/compare_seeds.py results/objectives/a.json "full=full-*.jsonl" "trie=trie-*.jsonl"

Each system is NAME=PATTERN of predictions files, one a seed, as `genlink evaluate --predictions` writes them.
Accuracies are means over seeds, intervals over documents; the difference is to the first system, mention by mention.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from command import run_command

from genlink.data_paths import locate
from genlink.errors import DataError, UsageError
from genlink.evaluation import choose_policy, read_predictions
from genlink.evaluation.results import result_record
from genlink.evaluation.seeds import compare_seeds, score_run
from genlink.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("systems", nargs="+", metavar="NAME=PATTERN", help="predictions files of a system, one a seed")
    parser.add_argument("--preset", default="angel", help="angel, biosyn or strict")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    arguments = parser.parse_args()
    files: dict[str, list[Path]] = {}
    for system in arguments.systems:
        name, equals, pattern = system.rpartition("=")
        if not equals or not pattern:
            raise UsageError(f"{system}: expected NAME=PATTERN, such as 'full=runs/full-*.jsonl'.")
        if name in files:
            raise UsageError(f"{name}: named twice. Give each system a name of its own.")
        path = locate(pattern)
        files[name] = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not files[name]:
            raise DataError(f"{pattern}: no such predictions file. Write them with `genlink evaluate --predictions`.")
    policy = choose_policy(arguments.preset)
    runs = {name: [score_run(read_predictions(path), policy) for path in paths] for name, paths in files.items()}
    rows = compare_seeds(runs, seed=arguments.seed)
    record = result_record(
        command=sys.argv,
        data=[path for paths in files.values() for path in paths],
        seed=arguments.seed,
        n=next(iter(rows.values()))["acc@1"].n,
        settings={
            "name": arguments.result.stem,
            "preset": arguments.preset,
            "runs": {name: len(paths) for name, paths in files.items()},
        },
        metrics=rows,
    )
    write_json(arguments.result, record)


if __name__ == "__main__":
    run_command(main)
