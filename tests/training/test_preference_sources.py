"""What a preference stage learns from and is compared with: its sources, its reference, what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from preference_runs import DPO, files, record, same, weights

from genlink.config import PreferenceConfig, TrainConfig
from genlink.data.answers import Answer, AnswerList, count_answers, read_answers
from genlink.data.encoding import Prompt
from genlink.data.negatives import nearest_other_names
from genlink.data.tokenizer import train_tokenizer
from genlink.errors import CorpusError, ModelError, UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings
from genlink.schema import Concept
from genlink.templates import Template
from genlink.training import rounds
from genlink.training.lists import LearntCounts, learnable, review_harvest
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
        (lambda line: None, "nearest", r"answers.jsonl: the harvest is empty. Delete the file, to have it made again."),
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
    assert record(tmp_path, 1)["learnt"] == {"lists": 5, "pairs": 0, "given_nearest": 0, "too_long": 0}


# Names that are too long


def test_names_of_more_tokens_than_are_learnt_are_left_out_and_counted(kb, encoding):
    names = ("moth lung", "silver fever", "osteovitrosis", "glass bone disease")
    limit = len(encoding.names(["glass bone disease"])[0])  # no room for its end
    assert [len(tokens) < limit for tokens in encoding.names(names)] == [True, True, True, False]
    lung, fever, bone = Answer("moth lung", True), Answer("silver fever", False), Answer("glass bone disease", True)
    lists = [
        AnswerList(Prompt("glassy bones"), ("D2",), (fever, bone)),
        AnswerList(Prompt("moth"), ("D3",), (replace(bone, right=False), lung)),
        AnswerList(Prompt("lung"), ("D3",), (fever, lung)),
    ]
    kept, learnt = learnable(lists, kb, encoding, limit, PreferenceConfig(no_answer="skip"))
    assert (kept, learnt) == ([lists[2]], LearntCounts(lists=1, pairs=1, given_nearest=0, too_long=2))
    kept, learnt = learnable(lists, kb, encoding, limit, PreferenceConfig(no_answer="nearest"))
    # Of the two names of D2 one alone may be given to the first; the other was counted where it was harvested.
    assert kept == [replace(lists[0], answers=(fever, Answer("osteovitrosis", True))), lists[2]]
    assert learnt == LearntCounts(lists=2, pairs=2, given_nearest=1, too_long=2)
    kept, learnt = learnable(lists, kb, encoding, limit + 1, PreferenceConfig())
    assert (kept, learnt.too_long) == (lists, 0)
    review = review_harvest(lists, kb, encoding, limit, PreferenceConfig())
    assert (review.lists, review.too_long) == ({"skip": 1, "nearest": 2}, 2)


def test_the_nearest_names_are_chosen_among_those_that_are_learnt(encoding):
    long = ("glass bones and teeth", "glass bones and eyes", "glass bones and ears")
    kb = KnowledgeBase.from_concepts([Concept("D2", (*long, "moth lung")), Concept("D1", ("silver fever",))])
    limit = min(len(tokens) for tokens in encoding.names(long))
    assert all(len(tokens) < limit for tokens in encoding.names(["moth lung", "silver fever"]))
    fever = Answer("silver fever", False)
    lists = [AnswerList(Prompt("glass bones"), ("D2",), (fever,))]
    kept, learnt = learnable(lists, kb, encoding, limit, PreferenceConfig(no_answer="nearest"))
    assert kept == [replace(lists[0], answers=(fever, Answer("moth lung", True)))]
    assert learnt == LearntCounts(lists=1, pairs=1, given_nearest=1, too_long=0)


def test_a_stage_learns_whole_names_only(preference, encoding, tmp_path, monkeypatch):
    learnt = []

    def spy(*arguments, original=rounds.preference_examples):
        learnt.extend(original(*arguments))
        return learnt

    monkeypatch.setattr(rounds, "preference_examples", spy)
    limit = len(encoding.names(["glass bone disease"])[0])
    asked = {"source": "tfidf", "queries": 60, "k": 4}
    run_stage(preference(tmp_path, corpus=None, harvest=asked, objective="trie", target_tokens=limit))
    assert record(tmp_path, 1)["learnt"]["too_long"] > 0
    assert all(target[-1] == encoding.end for example in learnt for target in example.targets)


# Review


def test_a_harvest_alone_is_what_the_stage_goes_on_with(preference, kb, tmp_path, start):
    run_stage(preference(tmp_path / "at once"))
    config = preference(tmp_path / "reviewed")
    review = harvest_stage(config)
    assert files(tmp_path / "reviewed") == ["config.json", "round-1", "run.json"]
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
    assert record(tmp_path, 1)["learnt"] == {"lists": 1, "pairs": 2, "given_nearest": 0, "too_long": 0}


def test_only_a_preference_stage_harvests(recipe, tmp_path):
    with pytest.raises(UsageError, match="stage pretrain harvests nothing: give the recipe of a preference stage"):
        harvest_stage(TrainConfig.model_validate(recipe(tmp_path)))


# Other recipes, other runs


def test_a_batch_that_cannot_be_shared_out_is_refused_before_anything_is_written(preference, tmp_path, monkeypatch):
    monkeypatch.setattr(Accelerator, "num_processes", property(lambda self: 5))
    for carry_out in (harvest_stage, run_stage):
        with pytest.raises(UsageError, match=r"batch_size 4 is smaller than the number of processes, 5. Raise"):
            carry_out(preference(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


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


def test_a_run_is_not_resumed_after_what_it_reads_has_changed(preference, write_corpus, start, dictionary, tmp_path):
    dev, files_read = tmp_path / "d.pubtator", {"corpus": tmp_path / "c.pubtator", "kb": tmp_path / "kb.txt"}
    shutil.copy(write_corpus("mine", ("silver fevers", "D1"), ("moth lungs", "D3")), files_read["corpus"])
    shutil.copy(files_read["corpus"], dev)
    shutil.copy(dictionary, files_read["kb"])
    shutil.copytree(start, tmp_path / "start")
    config = preference(
        tmp_path / "run",
        knowledge_base=[str(files_read["kb"])],
        corpus={"train": [str(files_read["corpus"])]},
        dev={"corpus": str(dev)},
        model={"checkpoint": str(tmp_path / "start"), "dropout": 0.1},
    )
    harvest_stage(config)
    begun = (tmp_path / "run" / "run.json").read_bytes()

    def is_refused_after_a_change_of(path: Path) -> None:
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        for carry_out in (harvest_stage, run_stage):
            with pytest.raises(UsageError) as caught:
                carry_out(config, resume=True)
            problem = f"{tmp_path / 'run'}: was begun with other contents of {path}. "
            assert str(caught.value) == problem + "Go back to that, or start anew with --overwrite."
        path.write_bytes(before)

    for path in (*files_read.values(), tmp_path / "start" / "model.safetensors"):
        is_refused_after_a_change_of(path)
    dev.write_bytes(dev.read_bytes() + b"\n")  # there are no scores yet
    assert harvest_stage(config, resume=True).counts.lists == 2
    assert (tmp_path / "run" / "run.json").read_bytes() == begun
    # One that was begun before it was recorded what is read.
    (tmp_path / "run" / "run.json").unlink()
    assert run_stage(config, resume=True).step == 4
    is_refused_after_a_change_of(dev)


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
