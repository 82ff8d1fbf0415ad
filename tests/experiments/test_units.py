"""Experiments: a plan becomes units of work, which are done once, in order, and anew where they have to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_experiment import (
    CORPUS,
    ENCODER_RECIPE,
    PLAN,
    RECIPE,
    START,
    Run,
    calls,
    of_row,
    outputs,
    seed_outputs,
)

from genlink.evaluation import read_result


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


def test_options_of_a_row_are_words_of_its_evaluations_and_other_ones_make_them_anew(work: Path, run: Run) -> None:
    chosen = ("--row", "exact match", "--corpus", "two")
    assert run(*chosen, plan=of_row("exact match", options=["--cache", "runs/{corpus}-{seed}"])) == 0
    made = calls(work)
    assert len(made) == 2
    assert all("--type Disease --cache runs/two-0 --dictionary kb" in " ".join(words) for words in made)
    assert run(*chosen, plan=of_row("exact match", options=["--cache", "runs/{corpus}-{seed}"])) == 0
    assert calls(work) == []
    assert run(*chosen) == 0
    assert len(calls(work)) == 2


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


def test_encoders_are_trained_and_minilm_is_given_the_dictionary(work: Path, run: Run) -> None:
    (work / "encoder.yaml").write_text(ENCODER_RECIPE)
    rows = [
        {"name": "MiniLM", "system": "minilm"},
        {"name": "an encoder", "before": "MiniLM", "train": [{"recipe": "encoder.yaml"}]},
    ]
    plan = {**PLAN, "seeds": [0], "corpora": {"one": CORPUS}, "rows": rows}
    assert run("--jobs", "1", plan=plan) == 0
    made = calls(work)
    assert outputs(made) == ["one/MiniLM/kb", "one/MiniLM/kb+train", *seed_outputs(0, "an-encoder")]
    assert made[0][:5] == ["evaluate", "minilm", "dev.txt", "--kb", "kb.txt"]
    assert run("--jobs", "1", plan=plan) == 0
    assert calls(work) == []
    rows[1]["train"] = [{"recipe": "encoder.yaml", "set": ["optimiser.steps=4"]}]
    assert run("--jobs", "1", plan=plan) == 0
    assert outputs(calls(work)) == seed_outputs(0, "an-encoder")
