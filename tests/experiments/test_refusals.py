"""Experiments: what cannot be run, what already runs, and what is told to stop."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import run_experiment
from toy_experiment import (
    CORPUS,
    FURTHER,
    PLAN,
    START,
    Run,
    calls,
    of_row,
)


@pytest.mark.parametrize(
    ("plan", "options", "problem"),
    [
        ({**PLAN, "result": "x"}, [], "plan.yaml: unknown key `result`. Did you mean `results`?"),
        (of_row("a model", befor="exact match"), [], "unknown key `rows.1.befor`. Did you mean `before`?"),
        (of_row("a model", train=[{"recipe": "a", "sets": []}]), [], "`rows.1.train.0.sets`. Did you mean `set`?"),
        ({**PLAN, "corpora": {"one": {**CORPUS, "type": []}}}, [], "`corpora.one.type`. Did you mean `types`?"),
        (of_row("a model", before="tfidf"), [], "row `a model`: there is no row `tfidf` above it."),
        (of_row("a model", start="+ more"), [], "row `a model`: there is no row `+ more` above it."),
        (of_row("+ more", start="exact match"), [], "starts from `exact match`, which trains no model."),
        (of_row("+ more", corpora=[]), [], "`a model`, which it starts from, was not trained for two."),
        (of_row("+ more", seeds=[1, 7]), [], "which it starts from, was not trained for 7."),
        (of_row("+ more", train=[{**FURTHER, "once": True}]), [], "trained once starts from a row of several seeds."),
        (of_row("a model", train=[START, {**START, "once": True}]), [], "trained once follows one of each seed."),
        (of_row("a model", system="exact"), [], "row `a model`: give either system or train"),
        (of_row("a model", before=None, start="before"), [], "names none: give before."),
        (of_row("exact match", options=["--train=x.txt"]), [], "the plan itself gives --train=x.txt, leave it out"),
        (of_row("a model", corpora=["three"]), [], "row `a model`: there is no corpus three."),
        (of_row("+ more", name="a   model"), [], "row `a   model`: has the name of an earlier one"),
        ({**PLAN, "corpora": {**PLAN["corpora"], "pooled": CORPUS}}, [], "corpus `pooled`: cannot be the name"),
        (PLAN, ["--row", "more"], "--row more: the plan has no such row. It has: exact match, a model, + more."),
        (PLAN, ["--corpus", "three"], "--corpus three: the plan has no such corpus. It has: one, two."),
        (PLAN, ["--seeds", "0", "7"], "no row that was chosen has seed 7."),
        (PLAN, ["--jobs", "0"], "--jobs 0: at least one process is needed."),
        (of_row("a model", train=[{"recipe": "recipe.yaml", "set": ["sede=1"]}]), [], "Did you mean `seed`?"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    work: Path, run: Run, capsys: pytest.CaptureFixture[str], plan: dict[str, Any], options: list[str], problem: str
) -> None:
    assert run(*options, plan=plan) == 2
    printed = capsys.readouterr().err
    assert problem in printed
    assert printed.startswith("error: ") and printed.count("\n") == 1
    assert calls(work) == []


def test_one_experiment_at_a_time_writes_to_a_folder(work: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "runs").mkdir()
    with (work / "runs" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run() == 1
    assert capsys.readouterr().err == ("error: runs: an experiment is running there. Wait for it, or stop it first.\n")
    assert run("--row", "exact match") == 0


def test_a_signal_to_stop_ends_what_was_begun(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeping: list[subprocess.Popen[bytes]] = []

    def begin_sleeping(*_: object) -> subprocess.Popen[bytes]:
        sleeping.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        if len(sleeping) == 2:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return sleeping[-1]

    monkeypatch.setattr(run_experiment, "begin", begin_sleeping)
    before = signal.getsignal(signal.SIGTERM)
    assert run("--jobs", "2") == 128 + signal.SIGTERM
    assert [process.returncode for process in sleeping] == [-signal.SIGTERM] * 2
    assert signal.getsignal(signal.SIGTERM) == before
    assert not (work / "results").exists()
