"""``genlink benchmark``: linkers side by side, in accuracy, memory and speed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["benchmark"]


def benchmark(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A YAML file; configs/small/benchmark/ holds some.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only the linker of this name. Repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is to be done, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Run a list of linkers on a corpus, each in a process of its own, and set scores beside costs.

    The table has Acc@1 and Acc@5 with 95% intervals, the difference to the first linker with its p-value, the size of
    the index, the memory of the process after linking and at its peak, the CPU time of one mention (on one core: one
    mention at a time, and many together), and the minutes of training. What is finished is kept and used again until
    the linker, the data or a setting changes, so the same command goes on where it was broken off.

    \b
    Examples:
      genlink benchmark configs/small/benchmark/ncbi_disease.yaml
      genlink benchmark configs/small/benchmark/ncbi_disease.yaml --only TF-IDF --only MiniLM
      genlink benchmark configs/small/benchmark/bc5cdr_disease.yaml --dry-run
    """
    from genlink.config.benchmark import read_benchmark
    from genlink.evaluation.benchmark import Benchmark
    from genlink.evaluation.show import print_benchmark

    config = read_benchmark(file)
    bench = Benchmark(file, config, sys.argv)
    if dry_run:
        for unit in bench.chosen(only or ()):
            print(f"{unit.linker.name}, {unit.dictionary}: {bench.state(unit)} ({unit.linker.system})")
        return
    record = bench.run(only or (), note=_note)
    _note(f"Wrote {config.results}.")
    if as_json:
        print(json.dumps(record, ensure_ascii=False, indent=2))
    else:
        print_benchmark(record)


def _note(text: str) -> None:
    print(text, file=sys.stderr)
