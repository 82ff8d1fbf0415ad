"""Run a plan of systems, corpora and seeds, and write result files that tables are made from.

    python scripts/run_experiment.py PLAN.yaml                        all that is not done yet, two processes at a time
    python scripts/run_experiment.py PLAN.yaml --corpus X --row NAME  a row of a corpus, and the models that it needs
    python scripts/run_experiment.py PLAN.yaml --dry-run              what would be done

docs/experiments.md says what a plan holds. What is done is skipped, and what was broken off goes on; delete a folder
below the plan's `runs` to make it anew. In the end the results of all that is done are written, as with --collect.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from command import run_command
from experiment_plan import Plan, read_plan
from experiment_results import write_results
from experiment_units import Evaluation, Experiment, Unit, with_needs

from genlink.errors import DataError, UsageError
from genlink.evaluation.results import command_line

POLL_SECONDS = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="a YAML file")
    parser.add_argument("--corpus", action="append", metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--row", action="append", metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="of the plan's, only these")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time, which share the processor's cores")
    parser.add_argument("--dry-run", action="store_true", help="list what there is to do, and its state")
    parser.add_argument("--collect", action="store_true", help="run nothing, write the results of what is done")
    options = parser.parse_args()
    plan = read_plan(options.plan)
    corpora = _chosen("corpus", options.corpus, list(plan.corpora))
    rows = _chosen("row", options.row, [row.name for row in plan.rows])
    failed = False
    if not options.collect:
        units = with_needs(chosen_evaluations(plan, corpora, rows, options.seeds))
        if options.dry_run:
            for unit in units:
                print(f"{unit.state():<6} {unit.label}: {command_line(['genlink', *unit.command()])}")
            return
        if options.jobs < 1:
            raise UsageError(f"--jobs {options.jobs}: at least one process is needed.")
        with _alone(Path(plan.runs)) as lock:
            failed = not make(units, options.jobs, lock)
    for path in write_results(options.plan, plan, corpora):
        _say(f"Wrote {path}.")
    sys.exit(1 if failed else 0)


def chosen_evaluations(
    plan: Plan, corpora: Sequence[str], rows: Sequence[str], seeds: Sequence[int] | None
) -> Iterator[Evaluation]:
    """The evaluations that were asked for. Raises UsageError for a seed that no chosen row has."""
    experiment = Experiment(plan)
    chosen = [row for row in plan.rows if row.name in rows]
    if unknown := set(seeds or ()) - {seed for row in chosen for seed in plan.seeds_of(row)}:
        raise UsageError(f"no row that was chosen has seed {', '.join(map(str, sorted(unknown)))}.")
    for row in chosen:
        for corpus in plan.corpora_of(row):
            if corpus in corpora:
                for seed in plan.seeds_of(row):
                    if seed is None or seeds is None or seed in seeds:
                        yield from experiment.evaluations(row, corpus, seed)


def make(units: Sequence[Unit], jobs: int, lock: int) -> bool:
    """Do what is not done, ``jobs`` at a time; False if something failed. ``lock`` is a file that processes hold on to.

    A unit that fails is reported, what needs it is left out, and the rest goes on.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    waiting, failed, settled = list(units), set[Unit](), set[Unit]()
    running: dict[Unit, tuple[subprocess.Popen[bytes], float]] = {}
    try:
        while waiting or running:
            for unit in [u for u in waiting if u.needs is None or u.needs in settled]:
                if len(running) == jobs:
                    break
                waiting.remove(unit)
                if unit.needs in failed:
                    settled.add(unit)
                    failed.add(unit)
                    _say(f"left out: {unit.label}")
                elif unit.state() == "done":
                    settled.add(unit)
                else:
                    running[unit] = (begin(unit, environment, lock), time.monotonic())
                    _say(f"begun: {unit.label} ({len(waiting)} more to look at)")
            for unit, (process, since) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[unit]
                settled.add(unit)
                if process.returncode == 0 and unit.state() == "done":
                    _say(f"done: {unit.label}, {(time.monotonic() - since) / 60:.1f} minutes")
                else:
                    failed.add(unit)
                    _say(f"failed: {unit.label}, exit code {process.returncode}. {unit.log}: {_last_line(unit.log)}")
            if running:
                time.sleep(POLL_SECONDS)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()
    return not failed


def begin(unit: Unit, environment: dict[str, str], lock: int) -> subprocess.Popen[bytes]:
    """Start the process of a unit; what it prints goes to its log."""
    command = unit.command()
    unit.log.parent.mkdir(parents=True, exist_ok=True)
    with unit.log.open("w", encoding="utf-8") as log:
        log.write(f"$ genlink {shlex.join(command)}\n")
        log.flush()
        return subprocess.Popen(
            [sys.executable, "-m", "genlink", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
        )


def _last_line(log: Path) -> str:
    # A progress bar ends its lines by going back to their beginning.
    lines = [line.strip() for line in re.split(r"[\r\n]", log.read_text(encoding="utf-8", errors="replace"))]
    return next((line for line in reversed(lines) if line), "(empty)")


@contextmanager
def _alone(runs: Path) -> Iterator[int]:
    """A lock on a folder of runs; a process that is left behind holds it too, so that none is begun beside it.

    A signal to stop becomes an exit, which stops the processes as well.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"{runs}: an experiment is running there. Wait for it, or stop it first.") from None
        handlers = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield lock.fileno()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _chosen(kind: str, names: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    if unknown := [name for name in names or () if name not in known]:
        raise UsageError(f"--{kind} {unknown[0]}: the plan has no such {kind}. It has: {', '.join(known)}.")
    return known if names is None else names


def _stop(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_command(main)
