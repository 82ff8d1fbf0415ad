"""From the predictions of an experiment to its result files: a table of each corpus, and differences over all."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiment_plan import Plan, Row
from experiment_units import DICTIONARIES, Evaluation, Experiment, with_needs

from genlink.data_paths import display
from genlink.errors import GenLinkError
from genlink.evaluation import PRESETS, read_predictions, read_result
from genlink.evaluation.results import write_result
from genlink.evaluation.seeds import ScoredRun, compare_seeds, pool_differences, score_run
from genlink.metrics import Estimate

__all__ = ["write_results"]

_Runs = dict[str, dict[str, list[ScoredRun]]]  # dictionary -> row -> runs


@dataclass
class _Corpus:
    """What has been run on a corpus."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)
    angel: _Runs = field(default_factory=lambda: {dictionary: {} for dictionary in DICTIONARIES})
    strict: _Runs = field(default_factory=lambda: {dictionary: {} for dictionary in DICTIONARIES})
    paths: list[Path] = field(default_factory=list)

    @property
    def before(self) -> dict[str, str]:
        """Row -> the row that it is compared with, where both were run."""
        return {row: facts["before"] for row, facts in self.rows.items() if facts["before"] in self.rows}

    @property
    def n(self) -> int:
        return len(next(iter(self.angel[DICTIONARIES[0]].values()))[0].spans)


def write_results(file: Path, plan: Plan, corpora: Iterable[str]) -> list[Path]:
    """Write the result files of some corpora, and what is pooled over all; returns the files written.

    A row is in them with the seeds that are done; ``not_run`` in the settings names what is missing.
    """
    experiment = Experiment(plan)
    gathered = {corpus: _gather(file, experiment, corpus) for corpus in plan.corpora}
    gathered = {corpus: run for corpus, run in gathered.items() if run.rows}
    written = []
    for corpus in corpora:
        if corpus in gathered:
            written.append(Path(plan.results) / f"{corpus}.json")
            _write_corpus(written[-1], file, corpus, gathered[corpus])
    if any(run.before for run in gathered.values()):
        written.append(Path(plan.results) / "pooled.json")
        _write_pooled(written[-1], file, plan, gathered)
    return written


def _gather(file: Path, experiment: Experiment, corpus: str) -> _Corpus:
    run, plan = _Corpus(), experiment.plan
    spans: dict[Any, Any] = {}  # those of all runs are the same, and held once
    for row in plan.rows:
        if corpus not in plan.corpora_of(row):
            continue
        done: dict[int | None, list[Evaluation]] = {}
        try:
            for seed in plan.seeds_of(row):
                evaluations = experiment.evaluations(row, corpus, seed)
                if all(evaluation.state() == "done" for evaluation in evaluations):
                    done[seed] = evaluations
        except GenLinkError as error:  # a row that cannot be run does not hide the others
            run.not_run.append(f"{row.name} ({error})")
            continue
        if missing := [seed for seed in plan.seeds_of(row) if seed not in done]:
            seeds = ", ".join(str(seed) for seed in missing if seed is not None)
            run.not_run.append(f"{row.name} (seeds {seeds})" if seeds else row.name)
        if not done:
            continue
        for evaluation in (e for evaluations in done.values() for e in evaluations):
            records, dictionary = read_predictions(evaluation.predictions), evaluation.predictions.stem
            for preset, runs in (("angel", run.angel), ("strict", run.strict)):
                scored = score_run(records, PRESETS[preset])
                scored = replace(scored, spans=spans.setdefault(scored.spans, scored.spans))
                runs[dictionary].setdefault(row.name, []).append(scored)
            run.paths.append(evaluation.predictions)
        run.rows[row.name] = _facts(file, row, corpus, done)
    return run


def _facts(file: Path, row: Row, corpus: str, done: dict[int | None, list[Evaluation]]) -> dict[str, Any]:
    command = ["python", "scripts/run_experiment.py", display(file), "--corpus", corpus, "--row", row.name]
    units = with_needs(evaluation for evaluations in done.values() for evaluation in evaluations)
    records = [read_result(unit.result) for unit in units]
    return {
        "before": row.before,
        "seeds": [seed for seed in done if seed is not None],
        "command": shlex.join(command),
        "commits": sorted({f"{r['commit']}{' and changes' if r.get('dirty') else ''}" for r in records}),
    }


def _write_corpus(path: Path, file: Path, corpus: str, run: _Corpus) -> None:
    metrics: dict[str, dict[str, Estimate]] = {}
    for dictionary in DICTIONARIES:
        strict = compare_seeds(run.strict[dictionary], before={})
        for row, measures in compare_seeds(run.angel[dictionary], before=run.before).items():
            metrics[f"{dictionary}: {row}"] = {**measures, "acc@1 strict": strict[row]["acc@1"]}
    settings = {"name": corpus, "dictionaries": DICTIONARIES, "rows": run.rows, "not_run": run.not_run}
    _write(path, file, run.paths, run.n, settings, metrics)


def _write_pooled(path: Path, file: Path, plan: Plan, gathered: dict[str, _Corpus]) -> None:
    rows: dict[str, dict[str, Any]] = {}
    metrics: dict[str, dict[str, Estimate]] = {}
    for row in plan.rows:
        corpora = {name: run for name, run in gathered.items() if row.name in run.before}
        if corpora:
            before = str(row.before)
            pairs = [
                [(run.angel[dictionary][row.name], run.angel[dictionary][before]) for dictionary in DICTIONARIES]
                for run in corpora.values()
            ]
            rows[row.name] = {"before": before, "corpora": list(corpora)}
            metrics[row.name] = {"difference": pool_differences(pairs)}
    paths = [path for run in gathered.values() for path in run.paths]
    _write(path, file, paths, sum(run.n for run in gathered.values()), {"name": "pooled", "rows": rows}, metrics)


def _write(
    path: Path, file: Path, paths: list[Path], n: int, settings: dict[str, Any], metrics: dict[str, dict[str, Estimate]]
) -> None:
    facts = {"experiment": display(file), "preset": "angel", **settings}
    write_result(path, command=sys.argv, data=[file, *paths], seed=0, n=n, settings=facts, metrics=metrics)
