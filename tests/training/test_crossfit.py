"""Cross-fitted harvests: models of folds, each trained without what it is asked, kept and used again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock, Timeout
from preference_runs import dies, files, same, weights

from genlink.config import TrainConfig
from genlink.data.answers import read_answers
from genlink.errors import DataError, UsageError
from genlink.linkers.generative import GenerativeLinker
from genlink.training import harvest, outputs, rounds, stages
from genlink.training.harvest import answer_queries
from genlink.training.losses import TargetLoss
from genlink.training.stages import harvest_stage, run_stage

pytestmark = pytest.mark.usefixtures("accelerator", "small_chunks")


@pytest.fixture
def crossfit(preference, recipe, train_corpus, start, tmp_path):
    """A function that makes the recipe of a cross-fitted stage; keywords change the fine-tuning of its folds.

    ``asking`` changes the harvest, ``learning`` other sections of the stage.
    """

    def make(
        output: Path, *, asking: dict | None = None, learning: dict | None = None, **changes: object
    ) -> TrainConfig:
        path = tmp_path / "finetune.yaml"
        sections = {
            "stage": "finetune",
            "model": {"checkpoint": str(start), "dropout": 0.1},
            "corpus": {"train": [str(train_corpus)]},
            "optimiser": {"steps": 3, "batch_size": 4, "learning_rate": 0.01, "warmup_steps": 1},
        }
        path.write_text(yaml.safe_dump(recipe(tmp_path / "not here", **{**sections, **changes})))
        settings = {"source": "crossfit", "finetune": str(path), "folds": 2, "k": 4}
        return preference(
            output, harvest={**settings, "fold_models": str(tmp_path / "folds"), **(asking or {})}, **(learning or {})
        )

    return make


@pytest.fixture
def trained(monkeypatch):
    """The names of the outputs of all runs that are begun."""
    outputs: list[str] = []

    def spy(config, *, original=stages.run_stage, **keywords):
        outputs.append(Path(config.output).name)
        return original(config, **keywords)

    monkeypatch.setattr(stages, "run_stage", spy)
    return outputs


def test_each_mention_is_answered_by_the_model_that_was_trained_without_it(
    crossfit, make_linker, kb, train_corpus, tmp_path
):
    harvest_stage(crossfit(tmp_path / "run"))
    lists = read_answers(tmp_path / "run" / "round-1" / "answers.jsonl", kb)
    # The texts as they come: silver fevers, salt fever, glass bones, moth lungs, blue gout.
    parts = [["silver fevers", "glass bones", "blue gout"], ["salt fever", "moth lungs"]]
    assert [item.prompt.surface for item in lists] == parts[0] + parts[1]
    differences = 0
    for fold, texts in enumerate(parts):
        directory = tmp_path / "folds" / f"{fold}-of-2"
        begun_with = json.loads((directory / "config.json").read_text())
        assert begun_with["corpus"]["leave_out"] == {"fold": fold, "of": 2}
        mine = [item for item in lists if item.prompt.surface in texts]
        queries = [harvest.Query(item.prompt, item.gold, item.count) for item in mine]
        for other in (fold, 1 - fold):
            model = GenerativeLinker.load(tmp_path / "folds" / f"{other}-of-2" / "model").model
            found = answer_queries(make_linker().with_model(model), queries, 4)
            if other == fold:
                assert found == mine
            else:
                differences += found != mine
    assert differences == 2
    assert not (tmp_path / "not here").exists()


def test_mentions_of_other_folds_can_be_names_and_those_of_its_own_cannot(crossfit, kb, tmp_path):
    config = crossfit(tmp_path / "run", asking={"k": 20, "training_names": True})
    harvest_stage(config)
    names = {kb.key(i) for i in range(kb.n_keys)}
    # Of the five texts "salt fever" and "blue gout" are names already. All names there are fit into the lists.
    expected = {
        **dict.fromkeys(["silver fevers", "glass bones", "blue gout"], names | {"moth lungs"}),
        **dict.fromkeys(["salt fever", "moth lungs"], names | {"silver fevers", "glass bones"}),
    }
    lines = [json.loads(line) for line in (tmp_path / "run/round-1/answers.jsonl").read_text().splitlines()]
    assert {line["mention"]: {answer["name"] for answer in line["answers"]} for line in lines} == expected
    meant = {"moth lungs": "D3", "silver fevers": "D1", "glass bones": "D2"}
    for line in lines:
        for answer in line["answers"]:
            ids = [meant[answer["name"]]] if answer["name"] in meant else kb.concept_ids(answer["name"])
            assert answer["right"] == bool(set(ids) & set(line["gold"]))


def test_a_mention_without_a_right_name_is_not_given_its_own_text(crossfit, tmp_path, monkeypatch):
    learnt = []

    def spy(lists, *arguments, original=rounds.preference_examples):
        learnt.extend(lists)
        return original(lists, *arguments)

    monkeypatch.setattr(rounds, "preference_examples", spy)
    asking, learning = {"k": 2, "training_names": True}, {"objective": "trie"}
    config = crossfit(tmp_path / "run", asking=asking, learning=learning, objective="trie")
    harvest_stage(config)
    path = tmp_path / "run" / "round-1" / "answers.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    moth = next(line for line in lines if line["mention"] == "moth lungs")
    moth["answers"] = [{"name": name, "right": False, "score": -1} for name in ("glass bones", "osteovitrosis")]
    path.write_text(json.dumps(moth) + "\n")
    run_stage(config, resume=True)  # over names of both folds
    (item,) = learnt
    assert [a.name for a in item.answers] == ["glass bones", "osteovitrosis", "moth lung", "moth fancier lung"]


def test_models_of_folds_are_used_again_where_their_recipe_is_the_same(crossfit, tmp_path, trained):
    harvest_stage(crossfit(tmp_path / "a"))
    assert trained == ["0-of-2", "1-of-2"]
    harvest_stage(crossfit(tmp_path / "b"))
    stages.run_stage(crossfit(tmp_path / "b"), overwrite=True)
    assert trained == ["0-of-2", "1-of-2", "b"]
    assert same(weights(tmp_path / "b" / "model"), weights(tmp_path / "b" / "round-1" / "model"))


def test_models_of_folds_of_another_recipe_are_refused_unless_they_may_be_overwritten(crossfit, tmp_path, trained):
    harvest_stage(crossfit(tmp_path / "a"))
    changed = crossfit(tmp_path / "b", seed=1)
    with pytest.raises(UsageError, match=r"0-of-2: was begun with seed 0, the recipe now has 1. Go back to that"):
        harvest_stage(changed)
    assert not (tmp_path / "b").exists()
    harvest_stage(changed, overwrite=True)
    assert trained == ["0-of-2", "1-of-2", "0-of-2", "1-of-2"]
    assert json.loads((tmp_path / "folds" / "1-of-2" / "config.json").read_text())["seed"] == 1


def test_models_of_a_dry_run_are_not_taken_for_those_of_the_whole_recipe(crossfit, tmp_path, trained):
    stages.run_stage(crossfit(tmp_path / "dry"), max_steps=1)
    with pytest.raises(UsageError, match=r"0-of-2: was begun with no more than 1 steps. Go back to that"):
        harvest_stage(crossfit(tmp_path / "a"))
    harvest_stage(crossfit(tmp_path / "a"), overwrite=True)
    assert json.loads((tmp_path / "folds/1-of-2/run.json").read_text())["settings"]["run"]["step"] == 3
    stages.run_stage(crossfit(tmp_path / "dry"), max_steps=1, overwrite=True)  # longer ones do
    assert trained == ["dry", "0-of-2", "1-of-2", "0-of-2", "1-of-2", "dry"]


def test_models_of_folds_of_another_start_are_no_longer_those_of_the_recipe(
    crossfit, start, tmp_path, trained, make_linker
):
    shutil.copytree(start, tmp_path / "start")
    begun = {"model": {"checkpoint": str(tmp_path / "start"), "dropout": 0.1}}
    harvest_stage(crossfit(tmp_path / "a", **begun))
    harvest_stage(crossfit(tmp_path / "b", **begun))
    linker = make_linker()
    with torch.no_grad():
        linker.model.lm_head.weight.mul_(1.5)
    linker.save(tmp_path / "start")
    weights_path = tmp_path / "start" / "model.safetensors"
    with pytest.raises(UsageError, match=f"0-of-2: was begun with other contents of {weights_path}. Go back to that"):
        harvest_stage(crossfit(tmp_path / "c", **begun))
    assert trained == ["0-of-2", "1-of-2"]
    stages.run_stage(crossfit(tmp_path / "a", **begun), overwrite=True)
    assert trained[2:] == ["a", "0-of-2", "1-of-2"]
    # What the earlier models of the folds have answered is not taken for the answers of these.
    with pytest.raises(UsageError, match=f"b: was begun with other contents of {tmp_path}/folds/0-of-2/model/"):
        harvest_stage(crossfit(tmp_path / "b", **begun), resume=True)


def test_a_fold_that_another_command_trains_is_waited_for_and_used(crossfit, tmp_path, monkeypatch, trained, capsys):
    harvest_stage(crossfit(tmp_path / "a"))
    folds, elsewhere = tmp_path / "folds", tmp_path / "elsewhere"
    (folds / "1-of-2").rename(elsewhere)
    other = FileLock(folds / ".1-of-2.lock")
    other.acquire()
    slept = []

    def other_works_on(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            elsewhere.rename(folds / "1-of-2")
            other.release()

    monkeypatch.setattr(outputs, "sleep", other_works_on)
    harvest_stage(crossfit(tmp_path / "b"))
    assert trained == ["0-of-2", "1-of-2"]
    assert len(slept) == 3
    assert capsys.readouterr().err.count(f"{folds / '1-of-2'}: another command is at work there, waiting for it") == 1


def test_finished_folds_are_used_where_no_lock_can_be_had(crossfit, tmp_path, monkeypatch, trained):
    harvest_stage(crossfit(tmp_path / "a"))

    def refuse(lock, **keywords):
        raise PermissionError(lock.lock_file)

    monkeypatch.setattr(FileLock, "acquire", refuse)
    harvest_stage(crossfit(tmp_path / "b"))
    assert trained == ["0-of-2", "1-of-2"]
    with pytest.raises(PermissionError):
        harvest_stage(crossfit(tmp_path / "c", seed=1))


def test_a_fold_that_was_trained_anew_since_it_was_looked_at_is_not_asked(crossfit, make_linker, tmp_path, monkeypatch):
    def claim(*arguments, original=stages.claim):
        if Path(arguments[0]).name == "run":
            make_linker().save(tmp_path / "folds" / "1-of-2" / "model")
        original(*arguments)

    monkeypatch.setattr(stages, "claim", claim)
    with pytest.raises(UsageError, match=f"{tmp_path}/folds/1-of-2/model: another command trained this fold anew"):
        harvest_stage(crossfit(tmp_path / "run"))


def test_no_other_command_trains_a_fold_meanwhile(crossfit, tmp_path, monkeypatch):
    free = []

    def run_stage(config, *, original=stages.run_stage, **keywords):
        for fold in range(2):
            lock = FileLock(tmp_path / "folds" / f".{fold}-of-2.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            lock.release()
            free.append((Path(config.output).name, fold))
        return original(config, **keywords)

    monkeypatch.setattr(stages, "run_stage", run_stage)
    harvest_stage(crossfit(tmp_path / "run"))
    assert free == [("0-of-2", 1), ("1-of-2", 0)]


def test_no_fold_is_trained_before_all_that_the_stage_reads_was_found(
    crossfit, dev_corpus, make_linker, tmp_path, trained
):
    linker = make_linker()
    linker.normaliser = "trie"
    linker.save(tmp_path / "other")
    for learning, problem in (
        ({"dev": {"corpus": str(tmp_path / "no such dev")}}, "no such dev: no such file"),
        ({"dev": {"corpus": str(dev_corpus), "types": ["Chemical"]}}, "no mentions of the types Chemical"),
        (
            {"preference": {"loss": "dpo", "reference": str(tmp_path / "other")}},
            "other: was trained with objective trie",
        ),
    ):
        with pytest.raises(DataError, match=problem):
            stages.run_stage(crossfit(tmp_path / "run", learning=learning))
        assert trained.pop() == "run" and not trained
    assert files(tmp_path) == ["finetune.yaml", "other"]


def test_a_fold_whose_training_was_interrupted_goes_on(crossfit, tmp_path, monkeypatch, trained):
    config = crossfit(tmp_path / "run", checkpoint_every=1)
    with monkeypatch.context() as patch:
        dies(patch, TargetLoss, "forward", 5)
        with pytest.raises(KeyboardInterrupt):
            harvest_stage(config)
    harvest_stage(config)
    assert trained == ["0-of-2", "1-of-2", "1-of-2"]
    parts = weights(tmp_path / "folds" / "1-of-2" / "model")
    shutil.rmtree(tmp_path / "folds")
    harvest_stage(config, overwrite=True)
    assert same(weights(tmp_path / "folds" / "1-of-2" / "model"), parts)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"stage": "pretrain", "corpus": None}, "has stage pretrain, harvest.finetune needs finetune."),
        ({"objective": "trie"}, "has objective trie, harvest.finetune needs full."),
    ],
)
def test_a_recipe_of_folds_that_cannot_answer_is_refused_before_it_is_carried_out(crossfit, tmp_path, changes, problem):
    with pytest.raises(UsageError) as caught:
        harvest_stage(crossfit(tmp_path / "run", **changes))
    assert str(caught.value) == f"{tmp_path / 'finetune.yaml'}: {problem}"
    assert files(tmp_path) == ["finetune.yaml"]


def test_a_new_run_in_the_same_place_deletes_rounds_and_keeps_folds(crossfit, tmp_path, trained):
    def recipe(seed: int) -> TrainConfig:
        config = crossfit(tmp_path / "run")
        inside = config.harvest.model_copy(update={"fold_models": None})
        return config.model_copy(update={"harvest": inside, "seed": seed})

    stages.run_stage(recipe(0))
    (tmp_path / "run" / "round-7").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    before = (tmp_path / "run" / "folds" / "0-of-2" / "run.json").read_bytes()
    stages.run_stage(recipe(1), overwrite=True)
    assert trained == ["run", "0-of-2", "1-of-2", "run"]
    assert (tmp_path / "run" / "folds" / "0-of-2" / "run.json").read_bytes() == before
    expected = ["config.json", "folds", "metrics.jsonl", "model", "notes.txt", "round-0", "round-1", "run.json"]
    assert files(tmp_path / "run") == expected
