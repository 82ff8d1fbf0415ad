"""What a preference stage learns from and is compared with: its sources, its reference, what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from preference_runs import DPO, dies, files, record, same, weights

from genlink.config import TrainConfig
from genlink.data.answers import count_answers, read_answers
from genlink.data.negatives import nearest_other_names
from genlink.data.tokenizer import train_tokenizer
from genlink.errors import CorpusError, ModelError, UsageError
from genlink.linkers.bart import fresh_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings
from genlink.templates import Template
from genlink.training import harvest, rounds, stages
from genlink.training.harvest import answer_queries
from genlink.training.losses import TargetLoss
from genlink.training.stages import harvest_stage, run_stage

pytestmark = pytest.mark.usefixtures("accelerator", "small_chunks")


@pytest.fixture
def references(monkeypatch):
    """The weights of the reference of each round."""
    used: list[dict[str, torch.Tensor]] = []

    def spy(examples, bart, *arguments, original=rounds.with_reference, **keywords):
        used.append({name: p.detach().clone() for name, p in bart.named_parameters()})
        return original(examples, bart, *arguments, **keywords)

    monkeypatch.setattr(rounds, "with_reference", spy)
    return used


def of_directory(directory: Path) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in GenerativeLinker.load(directory).model.named_parameters()}


def test_the_reference_is_frozen_refreshed_or_given(preference, start, tmp_path, references):
    run_stage(preference(tmp_path / "frozen", preference=DPO))
    run_stage(preference(tmp_path / "one", preference={"loss": "dpo"}))
    run_stage(preference(tmp_path / "refreshed", preference={**DPO, "refresh_reference": True}))
    given = {**DPO, "reference": str(tmp_path / "one" / "model")}
    run_stage(preference(tmp_path / "given", preference=given))
    begun, after_one = of_directory(start), of_directory(tmp_path / "one" / "model")
    assert not same(begun, after_one)
    expected = [*(begun, begun), begun, *(begun, after_one), *(after_one, after_one)]
    assert len(references) == len(expected)
    for number, (found, wanted) in enumerate(zip(references, expected, strict=True)):
        assert same(found, wanted), number


@pytest.mark.parametrize("loss", ["simpo", "marginal", "likelihood"])
def test_other_losses_have_no_reference(preference, tmp_path, references, loss):
    run_stage(preference(tmp_path, preference={"loss": loss}))
    assert not references
    assert "reference.safetensors" not in files(tmp_path / "round-1")


def test_a_reference_of_another_kin_is_refused_before_anything_is_written(
    preference, make_linker, make_model, kb, tmp_path
):
    linker = make_linker()
    tokenizer = train_tokenizer([kb.key(i) for i in range(kb.n_keys)], 290, ["START", "END", "is"])
    shape = {"width": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "max_positions": 64}
    common = {"template": linker.template, "search": SearchSettings(name_tokens=24)}
    others = {
        "spells with another tokenizer": GenerativeLinker(
            fresh_bart(tokenizer, **shape, seed=1), tokenizer, kb, **common
        ),
        "was trained with objective trie, this stage has full": GenerativeLinker(
            linker.model, linker.tokenizer, kb, **common, normaliser="trie"
        ),
        "reads another template": GenerativeLinker(
            linker.model,
            linker.tokenizer,
            kb,
            **{**common, "template": Template(source_tokens=32, prefix_tokens=24, prefix="{mention} means")},
        ),
    }
    for number, (problem, other) in enumerate(others.items()):
        directory = tmp_path / f"other-{number}"
        other.save(directory)
        with pytest.raises(ModelError) as caught:
            run_stage(preference(tmp_path / "run", preference={"loss": "dpo", "reference": str(directory)}))
        assert str(caught.value).startswith(f"{directory}: {problem}")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# Nothing to learn from


def judged(right: bool):
    return lambda line: {**line, "answers": [{**answer, "right": right} for answer in line["answers"]]}


@pytest.mark.parametrize(
    ("change", "no_answer", "problem"),
    [
        (lambda line: None, "nearest", r"answers.jsonl: the harvest is empty. Check the corpus"),
        (judged(True), "nearest", r"none of 5 lists has right and wrong names to learn from. Harvest where the model"),
        (judged(False), "skip", r"none of 5 lists has right and wrong names .* Choose preference.no_answer nearest"),
    ],
)
def test_where_there_is_nothing_to_learn_it_is_said(preference, tmp_path, change, no_answer, problem):
    config = preference(tmp_path, preference={"no_answer": no_answer})
    harvest_stage(config)
    path = tmp_path / "round-1" / "answers.jsonl"
    lines = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines if line is not None))
    with pytest.raises(CorpusError, match=problem) as caught:
        run_stage(config, resume=True)
    assert "\n" not in str(caught.value)


def test_the_control_learns_from_lists_that_are_all_right(preference, tmp_path):
    config = preference(tmp_path, preference={"loss": "likelihood"})
    harvest_stage(config)
    path = tmp_path / "round-1" / "answers.jsonl"
    lines = [judged(True)(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_stage(config, resume=True)
    assert record(tmp_path, 1)["learnt"] == {"lists": 5, "pairs": 0, "given_nearest": 0}


# Review


def test_a_harvest_alone_is_what_the_stage_goes_on_with(preference, kb, tmp_path, start):
    run_stage(preference(tmp_path / "at once"))
    config = preference(tmp_path / "reviewed")
    review = harvest_stage(config)
    assert files(tmp_path / "reviewed") == ["config.json", "round-1"]
    assert files(tmp_path / "reviewed" / "round-1") == ["answers.jsonl"]
    lists = read_answers(tmp_path / "reviewed" / "round-1" / "answers.jsonl", kb)
    assert review.counts == count_answers(lists)
    # Each list has right names above wrong ones or not; the nearest gold names come behind the four that were found.
    assert review.lists == {"skip": 5 - review.counts.none_right, "nearest": 5}
    assert review.pairs["skip"]["hardest"] == review.lists["skip"]
    assert review.pairs["nearest"]["hardest"] == 5
    assert review.pairs["skip"]["misordered"] <= review.pairs["skip"]["all"] < review.pairs["nearest"]["all"]
    with pytest.raises(UsageError, match="holds an earlier run"):
        run_stage(config)
    assert harvest_stage(config, resume=True) == review
    run_stage(config, resume=True)
    assert same(weights(tmp_path / "at once" / "model"), weights(tmp_path / "reviewed" / "model"))


def test_what_was_mended_in_the_file_is_learnt(preference, tmp_path):
    config = preference(tmp_path, preference={"no_answer": "skip"})
    harvest_stage(config)
    path = tmp_path / "round-1" / "answers.jsonl"
    line = json.loads(path.read_text().splitlines()[0])
    for number, answer in enumerate(line["answers"]):
        answer["right"] = number == 2
    path.write_text(json.dumps(line) + "\n")
    run_stage(config, resume=True)
    # The third is right: two wrong names are above it.
    assert record(tmp_path, 1)["learnt"] == {"lists": 1, "pairs": 2, "given_nearest": 0}


def test_only_a_preference_stage_harvests(recipe, tmp_path):
    with pytest.raises(UsageError, match="stage pretrain harvests nothing: give the recipe of a preference stage"):
        harvest_stage(TrainConfig.model_validate(recipe(tmp_path)))


# Other recipes, other runs


@pytest.mark.parametrize(
    ("sections", "change"),
    [
        ({"preference": {"loss": "simpo"}}, "preference.loss marginal, the recipe now has simpo"),
        ({"preference": {"loss": "marginal", "rounds": 2}}, "preference.rounds 1, the recipe now has 2"),
        ({"harvest": {"k": 5}}, "harvest.k 4, the recipe now has 5"),
        ({"objective": "trie"}, "objective full, the recipe now has trie"),
        ({"search": {"beams": 7}}, "search.beams 5, the recipe now has 7"),
        ({"seed": 1}, "seed 0, the recipe now has 1"),
    ],
)
def test_a_run_is_not_resumed_under_another_recipe(preference, tmp_path, sections, change):
    harvest_stage(preference(tmp_path, preference={"loss": "marginal"}))
    with pytest.raises(UsageError) as caught:
        run_stage(preference(tmp_path, **{"preference": {"loss": "marginal"}, **sections}), resume=True)
    message = f"{tmp_path}: was begun with {change}. Go back to that, or start anew with --overwrite."
    assert str(caught.value) == message


def test_how_a_run_is_scored_and_cut_up_may_change(preference, dev_corpus, tmp_path):
    harvest_stage(preference(tmp_path))
    changed = preference(
        tmp_path,
        dev={"corpus": str(dev_corpus)},
        search={"batch_size": 3},
        checkpoint_every=1,
        optimiser={**preference(tmp_path).optimiser.model_dump(), "micro_batch_size": 2},
    )
    assert run_stage(changed, resume=True).step == 4


# Folds


@pytest.fixture
def crossfit(preference, recipe, train_corpus, start, tmp_path):
    """A function that makes the recipe of a cross-fitted stage; keywords change the fine-tuning of its folds."""

    def make(output: Path, **changes: object) -> TrainConfig:
        path = tmp_path / "finetune.yaml"
        sections = {
            "stage": "finetune",
            "model": {"checkpoint": str(start), "dropout": 0.1},
            "corpus": {"train": [str(train_corpus)]},
            "optimiser": {"steps": 3, "batch_size": 4, "learning_rate": 0.01, "warmup_steps": 1},
        }
        path.write_text(yaml.safe_dump(recipe(tmp_path / "not here", **{**sections, **changes})))
        settings = {"source": "crossfit", "finetune": str(path), "folds": 2, "k": 4}
        return preference(output, harvest={**settings, "fold_models": str(tmp_path / "folds")})

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


# Names instead of mentions


def test_names_of_the_knowledge_base_are_asked_anew_in_each_round(preference, kb, tmp_path):
    settings = {"source": "kb", "queries": 40, "k": 3}
    pairs = {"synonym": 1, "noise": 0}  # a disturbed name may by chance be another name
    sections = {"corpus": None, "harvest": settings, "preference": {"rounds": 2}, "objective": "trie", "pairs": pairs}
    run_stage(preference(tmp_path, **sections))
    first, second = (read_answers(tmp_path / f"round-{number}" / "answers.jsonl", kb) for number in (1, 2))
    for lists in (first, second):
        assert sum(item.count for item in lists) == 40
        for item in lists:
            assert len(item.answers) <= 3
            assert kb.key_index(item.prompt.surface) is not None
            assert item.prompt.surface not in [answer.name for answer in item.answers]
    assert [item.prompt for item in first] != [item.prompt for item in second]


def test_a_stage_without_a_model_to_answer_learns_from_the_names_nearest_to_the_right_one(preference, kb, tmp_path):
    settings = {"source": "tfidf", "queries": 30, "k": 3}
    run_stage(preference(tmp_path, corpus=None, harvest=settings, preference={"rounds": 2}))
    for number in (1, 2):
        lists = read_answers(tmp_path / f"round-{number}" / "answers.jsonl", kb)
        assert sum(item.count for item in lists) == 30
        for item in lists:
            right, *wrong = item.answers
            assert right.right and set(kb.concept_ids(right.name)) <= set(item.gold)
            near = nearest_other_names(kb, 2, keys=[kb.key_index(right.name)])[0]
            assert [answer.name for answer in wrong] == [kb.key(key) for key in near if key >= 0]
            assert not any(answer.right for answer in wrong)
        assert any(len(item.answers) == 3 for item in lists)
