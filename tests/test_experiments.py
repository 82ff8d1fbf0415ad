"""Experiments: a plan becomes units of work, which are done once, in order, and collected with their statistics."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import run_experiment
import yaml
from experiment_units import Unit

from genlink.config import read_train_config
from genlink.evaluation import PRESETS, PredictionRecord, read_predictions, read_result, write_predictions, write_result
from genlink.evaluation.seeds import compare_seeds, pool_differences, score_run
from genlink.evaluation.tables import render_table
from genlink.files import write_json
from genlink.schema import Candidate

SCRIPT = Path(run_experiment.__file__)
RECIPE = """\
stage: pretrain
output: runs/toy
knowledge_base: [data/toy.txt]
model: {shape: {width: 16, heads: 2, max_positions: 128}}
optimiser: {steps: 3}
"""
START = {"recipe": "recipe.yaml"}
FURTHER = {"recipe": "recipe.yaml", "set": ["model.shape=null", "optimiser.steps=5"]}
CORPUS = {"corpus": "dev.txt", "train": ["train.txt"], "kb": ["kb.txt"]}
PLAN: dict[str, Any] = {
    "results": "results/toy",
    "runs": "runs",
    "seeds": [0, 1],
    "corpora": {"one": CORPUS, "two": {**CORPUS, "types": ["Disease"], "kb": ["a.txt", "b.txt"]}},
    "rows": [
        {"name": "exact match", "system": "exact"},
        {"name": "a model", "before": "exact match", "train": [START], "corpora": ["one"]},
        {"name": "+ more", "before": "a model", "start": "before", "train": [FURTHER], "corpora": ["one"]},
    ],
}

Run = Callable[..., int]


class Ended(NamedTuple):
    """A process that has ended."""

    returncode: int

    def poll(self) -> int:
        return self.returncode


def begin(unit: Unit, environment: dict[str, str], lock: int) -> Ended:
    """In place of a process: write what a unit is known by, in no time; a file `broken` holds the outputs that fail.

    The answer to mention i is right where i is below a number that stages, seed and dictionary make.
    """
    words = unit.command()
    with Path("calls").open("a") as written:
        written.write(json.dumps(words) + "\n")
    output = value(words, "--output" if words[0] == "train" else "--predictions")
    unit.log.parent.mkdir(parents=True, exist_ok=True)
    if Path("broken").exists() and output in Path("broken").read_text().split():
        unit.log.write_text("at work\n 10%\r 20%\rerror: the disk is full\n\n")
        return Ended(1)
    facts: dict[str, Any] = {"command": ["genlink", *words], "settings": {}, "metrics": {}}
    if words[0] == "train":
        config = read_train_config(words[1], [b for a, b in itertools.pairwise(words) if a == "--set"])
        start = Path(config.model.checkpoint) / "model.safetensors" if config.model.checkpoint else None
        weights = f"{start.read_text() if start else 'fresh'}, {config.seed}, {config.optimiser.steps}"
        (Path(output) / "model").mkdir(parents=True, exist_ok=True)
        (Path(output) / "model" / "model.safetensors").write_text(weights)
        write_json(Path(output) / "config.json", config.model_dump())
        write_json(Path(output) / "skill.json", 2 * config.seed + config.optimiser.steps)
        write_result(Path(output) / "run.json", seed=config.seed, n=1, data=[start] if start else [], **facts)
    else:
        skill = Path(words[1]).parent / "skill.json"
        right = (json.loads(skill.read_text()) if skill.exists() else 1) + (value(words, "--dictionary") == "kb+train")
        gold = (frozenset(["A"]),)
        answers = [Candidate("A" if i < right else "B", "a", "a", -1.0, 1) for i in range(12)]
        records = [
            PredictionRecord(str(i // 2), str(i), "a", "a", gold, gold, (answer,)) for i, answer in enumerate(answers)
        ]
        write_predictions(output, records)
        models = [words[1]] if Path(words[1]).exists() else []
        write_result(value(words, "--result"), seed=0, n=12, data=models, **facts)
    return Ended(0)


def value(words: Sequence[str], option: str) -> str:
    return words[words.index(option) + 1]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a recipe, where processes end at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_experiment, "begin", begin)
    monkeypatch.setattr(run_experiment, "POLL_SECONDS", 0)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def run(work: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs a plan, and returns the exit code."""

    def run_plan(*options: str, plan: dict[str, Any] = PLAN) -> int:
        (work / "plan.yaml").write_text(yaml.safe_dump(plan))
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "plan.yaml", *options])
        with pytest.raises(SystemExit) as exit_:
            run_experiment.run_command(run_experiment.main)
            sys.exit(0)  # --dry-run returns
        return int(str(exit_.value.code))

    return run_plan


def calls(work: Path) -> list[list[str]]:
    """What was called since this was last asked for."""
    path = work / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


def outputs(called: Sequence[Sequence[str]]) -> list[str]:
    """The outputs of calls, without what is the same in all."""
    places = [value(words, "--output" if words[0] == "train" else "--predictions") for words in called]
    return [place.removeprefix("runs/").removesuffix(".jsonl") for place in places]


def of_row(row: str, **keys: Any) -> dict[str, Any]:
    """The plan with other keys in a row."""
    return {**PLAN, "rows": [{**r, **keys} if r["name"] == row else r for r in PLAN["rows"]]}


def seed_outputs(seed: int, row: str) -> list[str]:
    return [f"shared/{row}/seed-{seed}/1", f"one/{row}/seed-{seed}/kb", f"one/{row}/seed-{seed}/kb+train"]


def test_units_are_made_in_order_and_once(work: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--jobs", "1") == 0
    made = calls(work)
    # The recipe speaks of no corpus, so its models would serve both.
    assert outputs(made) == [
        *("one/exact-match/kb", "one/exact-match/kb+train", "two/exact-match/kb", "two/exact-match/kb+train"),
        *seed_outputs(0, "a-model"),
        *seed_outputs(1, "a-model"),
        *seed_outputs(0, "more"),
        *seed_outputs(1, "more"),
    ]
    assert " ".join(made[3]) == (
        "evaluate exact dev.txt --kb a.txt --kb b.txt --train train.txt --type Disease --dictionary kb+train "
        "--preset angel --preset strict --predictions runs/two/exact-match/kb+train.jsonl "
        "--result runs/two/exact-match/kb+train.json"
    )
    assert " ".join(made[13]) == (
        "train recipe.yaml --set model.shape=null --set optimiser.steps=5 "
        "--set model.checkpoint=runs/shared/a-model/seed-1/1/model --set seed=1 --output runs/shared/more/seed-1/1 "
        "--overwrite"
    )
    assert made[14][1] == "runs/shared/more/seed-1/1/model" and "--kb" not in made[14]
    assert run() == 0
    assert calls(work) == []
    capsys.readouterr()
    assert run("--dry-run", "--row", "+ more", "--seeds", "1") == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(": genlink")[0].split(" ", 1)[0] for line in shown] == ["done"] * 4
    assert "all corpora, a model, seed 1, stage 1: genlink train recipe.yaml --set seed=1" in shown[0]


def test_what_is_asked_for_is_made_with_what_it_needs(work: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--corpus", "one", "--row", "+ more", "--seeds", "1")
    assert run(*options, "--dry-run") == 0
    assert [line[:6] for line in capsys.readouterr().out.splitlines()] == ["run   ", "waits ", "waits ", "waits "]
    assert calls(work) == []
    assert not (work / "runs").exists()
    assert run(*options) == 0
    made = outputs(calls(work))
    assert made[:2] == ["shared/a-model/seed-1/1", "shared/more/seed-1/1"]
    assert set(made[2:]) == set(seed_outputs(1, "more")[1:])
    # Its own row alone, and its seed alone; the row that it is compared with is not there.
    settings = read_result("results/toy/one.json")["settings"]
    assert {row: facts["seeds"] for row, facts in settings["rows"].items()} == {"+ more": [1]}
    assert settings["not_run"] == ["exact match", "a model (seeds 0, 1)", "+ more (seeds 0)"]
    assert not (work / "results/toy/pooled.json").exists()


def test_what_fails_is_reported_and_made_the_next_time(
    work: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "broken").write_text("runs/shared/a-model/seed-0/1 runs/two/exact-match/kb.jsonl")
    assert run() == 1
    lines = capsys.readouterr().err.splitlines()
    log = "runs/shared/a-model/seed-0/1.log"
    assert f"failed: all corpora, a model, seed 0, stage 1, exit code 1. {log}: error: the disk is full" in lines
    left_out = [line for line in lines if line.startswith("left out: ")]
    assert len(left_out) == 5 and all("seed 0" in line for line in left_out)
    assert set(seed_outputs(1, "more")) < set(outputs(calls(work)))
    (work / "broken").unlink()
    assert run() == 0
    again = {"two/exact-match/kb", *seed_outputs(0, "a-model"), *seed_outputs(0, "more")}
    assert set(outputs(calls(work))) == again


def test_a_run_that_was_broken_off_goes_on_and_one_of_another_recipe_starts_anew(work: Path, run: Run) -> None:
    assert run("--row", "a model", "--seeds", "0") == 0
    calls(work)
    path = work / "runs/shared/a-model/seed-0/1/run.json"
    begun = json.loads(path.read_text())
    path.write_text(json.dumps({**begun, "n": 0}))  # as a run is recorded when it begins
    assert run("--row", "a model", "--seeds", "0") == 0
    [command] = [words for words in calls(work) if words[0] == "train"]
    assert command[-1] == "--resume"
    path.write_text(json.dumps({**begun, "n": 0}))
    plan = of_row("a model", train=[{"recipe": "recipe.yaml", "set": ["optimiser.steps=4"]}])
    assert run("--row", "a model", "--seeds", "0", plan=plan) == 0
    [command] = [words for words in calls(work) if words[0] == "train"]
    assert command[-1] == "--overwrite"


def test_what_was_made_from_a_model_is_made_anew_with_it(work: Path, run: Run) -> None:
    assert run() == 0
    calls(work)
    # Trained once more, to the same weights: nothing else is made anew.
    (work / "runs/shared/a-model/seed-1/1/run.json").unlink()
    assert run() == 0
    assert outputs(calls(work)) == ["shared/a-model/seed-1/1"]
    plan = of_row("a model", train=[{"recipe": "recipe.yaml", "set": ["optimiser.steps=4"]}], seeds=[0, 1])
    assert run("--seeds", "1", plan=plan) == 0
    assert set(outputs(calls(work))) == {*seed_outputs(1, "a-model"), *seed_outputs(1, "more")}
    # A corpus that is read in another way is linked again, and nothing is trained.
    plan = {**plan, "corpora": {**PLAN["corpora"], "one": {**CORPUS, "types": ["Disease"]}}}
    assert run("--row", "a model", "--seeds", "1", plan=plan) == 0
    assert set(outputs(calls(work))) == set(seed_outputs(1, "a-model")[1:])


def test_of_what_does_not_say_which_model_it_was_made_from_the_date_decides(work: Path, run: Run) -> None:
    assert run() == 0
    calls(work)
    for path in (work / "runs").rglob("*.json"):
        record = json.loads(path.read_text())
        if isinstance(record, dict) and "data" in record:
            path.write_text(json.dumps({**record, "data": [], "created": "2000-01-01T00:00:00+00:00"}))
    assert run() == 0
    assert calls(work) == []
    path = work / "runs/shared/a-model/seed-1/1/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "created": "9999-01-01T00:00:00+00:00"}))
    assert run() == 0
    assert set(outputs(calls(work))) == {*seed_outputs(1, "a-model")[1:], *seed_outputs(1, "more")}


def test_a_stage_is_shared_by_all_that_do_not_change_it(work: Path, run: Run) -> None:
    (work / "two.yaml").write_text(RECIPE)
    (work / "one.yaml").write_text(RECIPE)
    of_corpus = {"recipe": "{corpus}.yaml", "set": ["model.shape=null", "template.prefix='{mention} in {corpus} is'"]}
    rows = [
        {"name": "pre-trained", "train": [{**START, "once": True}]},
        {"name": "fine-tuned", "train": [of_corpus], "start": "pre-trained", "before": "pre-trained"},
        {"name": "found", "system": "runs/{corpus}/fine-tuned/seed-{seed}/1/model", "seeds": [1]},
    ]
    assert run("--jobs", "1", plan={**PLAN, "rows": rows}) == 0
    made = calls(work)
    seeds = [f"{corpus}/fine-tuned/seed-{seed}/1" for corpus in ("one", "two") for seed in (0, 1)]
    assert sorted(outputs([words for words in made if words[0] == "train"])) == sorted([*seeds, "shared/pre-trained/1"])
    [command] = [words for words in made if "runs/two/fine-tuned/seed-1/1" in words]
    assert command[1] == "two.yaml"
    assert "model.checkpoint=runs/shared/pre-trained/1/model" in command
    assert "template.prefix='{mention} in two is'" in command
    linked = [words[1] for words in made if words[0] == "evaluate"]
    assert len(linked) == 2 * (1 + 2 + 1) * 2  # dictionaries, runs, corpora
    assert linked.count("runs/one/fine-tuned/seed-1/1/model") == 4  # by both rows


def test_the_collected_statistics_are_those_of_the_comparisons(work: Path, run: Run) -> None:
    rows = [dict(row, corpora=[]) for row in PLAN["rows"]]
    assert run(plan={**PLAN, "rows": rows}) == 0

    def runs(corpus: str, row: str, dictionary: str) -> list[Any]:
        paths = sorted((work / "runs" / corpus).glob(f"{row}/**/{dictionary}.jsonl"))
        return [score_run(read_predictions(path), PRESETS["angel"]) for path in paths]

    result = read_result("results/toy/two.json")
    names = {"exact match": "exact-match", "a model": "a-model", "+ more": "more"}
    before = {"a model": "exact match", "+ more": "a model"}
    for dictionary in ("kb", "kb+train"):
        systems = {row: runs("two", folder, dictionary) for row, folder in names.items()}
        assert [len(found) for found in systems.values()] == [1, 2, 2]
        for row, measures in compare_seeds(systems, before=before).items():
            collected = result["metrics"][f"{dictionary}: {row}"]
            assert collected.pop("acc@1 strict") == collected["acc@1"]  # no name is ambiguous
            assert collected == {measure: estimate.to_dict() for measure, estimate in measures.items()}
    # Right by seed: 3 and 5 of 12 mentions by the model, 5 and 7 by the next row, and one more under kb+train.
    assert result["metrics"]["kb: a model"]["acc@1"]["value"] == 4 / 12
    assert result["metrics"]["kb+train: + more"]["difference"]["value"] == pytest.approx(2 / 12)
    facts = result["settings"]["rows"]["+ more"]
    assert facts["seeds"] == [0, 1]
    assert facts["command"] == "python scripts/run_experiment.py plan.yaml --corpus two --row '+ more'"
    assert [entry["path"] for entry in result["data"]][:2] == ["plan.yaml", "runs/two/exact-match/kb.jsonl"]

    pooled = read_result("results/toy/pooled.json")
    pairs = [
        [(runs(corpus, "more", dictionary), runs(corpus, "a-model", dictionary)) for dictionary in ("kb", "kb+train")]
        for corpus in ("one", "two")
    ]
    assert pooled["metrics"]["+ more"]["difference"] == pool_differences(pairs).to_dict()
    assert pooled["settings"]["rows"]["+ more"] == {"before": "a model", "corpora": ["one", "two"]}


def test_collecting_runs_nothing_and_a_row_that_cannot_be_read_hides_no_other(work: Path, run: Run) -> None:
    assert run("--row", "exact match") == 0
    calls(work)
    (work / "recipe.yaml").unlink()
    for path in (work / "results/toy").iterdir():
        path.unlink()
    assert run("--collect", "--corpus", "two") == 0
    assert calls(work) == []
    assert [path.name for path in (work / "results/toy").iterdir()] == ["two.json"]
    assert run("--collect") == 0
    settings = read_result("results/toy/one.json")["settings"]
    assert list(settings["rows"]) == ["exact match"]
    assert [line.split(" (")[0] for line in settings["not_run"]] == ["a model", "+ more"]
    assert "recipe.yaml: no such file" in settings["not_run"][0]


def test_the_tables_of_an_experiment(work: Path, run: Run) -> None:
    assert run() == 0
    table = render_table(work / "results/toy/one").splitlines()
    assert table[0] == (
        "| system | dictionary | Acc@1 angel [95% interval] | Acc@1 strict | Acc@5 angel | seeds | n "
        "| difference [95% interval] | p | compared with |"
    )
    assert table[2].startswith("| exact match | kb | 8.3 [0.0, 25.0] | 8.3 | 8.3 | – | 12 | – | – | – |")
    measures = read_result("results/toy/one.json")["metrics"]["kb+train: + more"]["difference"]
    low, high, p = 100 * measures["low"], 100 * measures["high"], measures["p"]
    assert table[-1].startswith("| + more | kb+train | 58.3 [")
    assert table[-1].endswith(f" | 58.3 | 58.3 | 2 | 12 | 16.7 [{low:.1f}, {high:.1f}] | {p:.3f} | a model |")
    assert len(table) == 2 + 2 * 3
    pooled = render_table(work / "results/toy/pooled").splitlines()
    assert pooled[0] == "| system | corpora | difference [95% interval] | p | compared with |"
    assert [line.split(" | ")[:2] for line in pooled[2:]] == [["| a model", "one"], ["| + more", "one"]]


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
