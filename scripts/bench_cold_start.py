"""How long the first answer takes, and in how much memory: `genlink link --text` in a fresh process, by each linker.

    python scripts/bench_cold_start.py results/cold_start/start.json default --dense minilm

The generator is opened from its directory, with the knowledge base in it; the lexical linkers and the dense ones are
given the same knowledge base. Each command runs once unmeasured, which brings its files into memory and lets a dense
linker make its vectors, and then `--repeats` times. `seconds` is the median by the clock, `slowest` the most; `peak_mb`
is the most that a process had in memory, files that it maps included, the median as well. `Python and torch` are
imported and nothing is done with them: the floor of all linkers with a model. `size_mb` is that of the built wheel.

Nothing else should run meanwhile. Threads are as many as PyTorch takes by itself. MB are 10**6 bytes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from command import run_command

from genlink.data_paths import display
from genlink.default import DEFAULT
from genlink.errors import DataError, UsageError
from genlink.evaluation.process import MB, Cells, peak_in, require_proc
from genlink.evaluation.results import write_result
from genlink.linkers.opening import LEXICAL, place_of

ROOT = Path(__file__).parent.parent
TEXT = "History of heart attack."
COLUMNS = ("seconds", "slowest", "peak_mb", "size_mb")
FLOOR = "Python and torch"
# What a wheel is built of: the folder alone, so that no file of an older build gets into it.
SOURCES = ("genlink", "pyproject.toml", "README.md", "LICENSE")
# The last thing that the process does is to copy what the system says of its memory.
STATUS = "import atexit, shutil; atexit.register(shutil.copyfile, '/proc/self/status', {place!r})\n"
CPU = ("--device", "cpu")
LINK = "from genlink.cli.app import main; main()"


def started(program: str, arguments: Sequence[str]) -> tuple[float, float]:
    """The seconds of a fresh Python process by the clock, and its MB at their most. Raises DataError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "status"
        command = [sys.executable, "-c", STATUS.format(place=str(place)) + program, *arguments]
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise DataError(f"genlink {' '.join(arguments)} ended with exit code {done.returncode} and said: {said}")
        return seconds, peak_in(place) / MB


def measure(program: str, arguments: Sequence[str], repeats: int) -> Cells:
    """The cells of a command that is run so often, and once before."""
    started(program, arguments)
    runs = [started(program, arguments) for _ in range(repeats)]
    seconds, megabytes = zip(*runs, strict=True)
    return {
        "seconds": round(median(seconds), 2),
        "slowest": round(max(seconds), 2),
        "peak_mb": round(median(megabytes), 1),
    }


def wheel_bytes(root: Path) -> int:
    """The size of the wheel of this repository, built without the network by the setuptools that is installed."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "wheels"
        source.mkdir()
        for name in SOURCES:
            if (root / name).is_dir():
                shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(root / name, source / name)
        options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(target)]
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", *options, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DataError(f"no wheel could be built: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        (wheel,) = target.glob("*.whl")
        return wheel.stat().st_size


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("model", nargs="?", default=DEFAULT, help="a generator: default, or a model directory")
    parser.add_argument("--dense", action="append", default=[], help="a dense linker beside it; repeatable")
    parser.add_argument("--text", default=TEXT, help="what is linked")
    parser.add_argument("--repeats", type=int, default=5, help="processes of each linker")
    given = parser.parse_args(arguments)
    require_proc()
    if given.repeats < 1:
        raise UsageError(f"--repeats is {given.repeats}, expected at least 1.")
    directory = Path(place_of(given.model))
    kb = directory / "kb"
    if not kb.is_dir():
        raise UsageError(f"{given.model}: is no generator with a knowledge base. Give `default` or a model directory.")
    rows = {f"generator, {display(given.model)}": [given.model, *CPU]}
    for system in given.dense:
        rows[f"dense, {display(system)}"] = [system, "--kb", str(kb), *CPU]
    for system in LEXICAL:
        rows[system] = [system, "--kb", str(kb)]
    metrics = {FLOOR: measure("import torch", [], given.repeats)}
    for row, system in rows.items():
        print(f"{row} ...", file=sys.stderr, flush=True)
        metrics[row] = measure(LINK, ["link", *system, "--text", given.text], given.repeats)
    metrics["the wheel"] = {"size_mb": round(wheel_bytes(ROOT) / MB, 2)}
    write_result(
        given.result,
        command=sys.argv,
        data=[directory],
        seed=0,
        n=given.repeats,
        settings={"name": "cold start", "columns": COLUMNS, "text": given.text, "repeats": given.repeats},
        metrics=metrics,
        packages=("torch", "numpy"),
    )


if __name__ == "__main__":
    run_command(main)
