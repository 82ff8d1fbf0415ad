"""Run a command and keep the end of what it prints as a result file, for the documents.

python scripts/record_output.py results/repository/test.json --lines 3 -- make test
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from genlink.evaluation.results import write_result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("--lines", type=int, default=3, help="how many lines of the output to keep")
    parser.add_argument("command", nargs="+", help="the command, after --")
    arguments = parser.parse_args()
    done = subprocess.run(arguments.command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        sys.exit(done.returncode)
    kept = done.stdout.strip().splitlines()[-arguments.lines :]
    settings = {"name": " ".join(arguments.command), "output": "\n".join(kept)}
    write_result(arguments.result, command=sys.argv, data=[], seed=0, n=len(kept), settings=settings, metrics={})


if __name__ == "__main__":
    main()
