"""Build a knowledge base from each source and from all of them together; write what it cost as a result file.

    python scripts/bench_kb.py results/kb/build.json 'data/dictionaries/*' 'data/ontologies/*.jsonl.gz' \\
        --union 'data/ontologies/*.jsonl.gz' --without drugcentral chembl_compound

Patterns are expanded here, so that GENLINK_DATA holds for them. Every build is a process of its own
(`genlink kb build`), so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from genlink.data_paths import display, expanded
from genlink.errors import GenLinkError
from genlink.evaluation.results import write_result
from genlink.kb import KnowledgeBase

COLUMNS = (
    "concepts",
    "names",
    "keys",
    "ambiguous_keys",
    "names_dropped",
    "definitions",
    "longest_name",
    "build_seconds",
    "peak_mb",
    "disk_mb",
    "open_seconds",
)


def measure(sources: list[Path], directory: Path) -> dict[str, Any]:
    """Build, save and open one knowledge base; its counts and its cost."""
    command = [sys.executable, "-m", "genlink", "kb", "build", *map(str, sources), "--output", str(directory), "--json"]
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"error: {' '.join(command)} failed")
    started = time.perf_counter()
    kb = KnowledgeBase.open(directory)
    opened = time.perf_counter() - started
    report = json.loads(printed)["report"]
    disk = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return {
        "concepts": len(kb),
        "names": report["names"],
        "keys": kb.n_keys,
        "ambiguous_keys": report["ambiguous_keys"],
        "names_dropped": sum(value for key, value in report.items() if key.startswith("names_dropped_")),
        "definitions": report["definitions"],
        "longest_name": report["longest_name"],
        "build_seconds": round(seconds, 1),
        # ru_maxrss is in bytes on macOS, in kilobytes elsewhere.
        "peak_mb": round(usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)),
        "disk_mb": round(disk / (1 << 20), 1),
        "open_seconds": round(opened, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("sources", nargs="+", help="files to build from, or patterns")
    parser.add_argument("--union", nargs="*", default=[], help="files or patterns to build into one")
    parser.add_argument(
        "--without", nargs="*", default=[], help="leave files with this in their names out of the union"
    )
    arguments = parser.parse_args()
    sources = expanded(arguments.sources)
    union = [path for path in expanded(arguments.union) if not any(part in path.name for part in arguments.without)]
    jobs = {display(source): [source] for source in sources}
    if union:
        jobs[f"union of {len(union)}"] = union
    metrics: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, files) in enumerate(jobs.items()):
            print(f"{number + 1}/{len(jobs)} {name}", file=sys.stderr)
            metrics[name] = measure(files, Path(scratch) / str(number))
    write_result(
        arguments.result,
        command=sys.argv,
        data=dict.fromkeys([*sources, *union]),
        seed=0,
        n=len(jobs),
        settings={"name": "knowledge base builds", "columns": COLUMNS},
        metrics=metrics,
    )


if __name__ == "__main__":
    try:
        main()
    except GenLinkError as error:
        sys.exit(f"error: {error}")
