"""The stages, from a recipe to a model directory: which model is kept, what is never overwritten, who may resume."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import metrics

from genlink.config import TrainConfig
from genlink.corpora import load_corpus
from genlink.errors import CorpusError, DataError, UsageError
from genlink.evaluation import PRESETS, read_result, score_outcomes, to_record
from genlink.kb.load import load_kb
from genlink.linkers.generative import GenerativeLinker
from genlink.preprocessing import prepare
from genlink.training.materials import trie_of_targets
from genlink.training.stages import run_stage

pytestmark = pytest.mark.usefixtures("accelerator")

TRAIN = [
    ("silver fevers", "D1"),
    ("glass bones", "D2"),
    ("moth lungs", "D3"),
    ("blue gout", "D6"),
    ("salt fever", "D5"),
]
DEV = [("argentine fever", "D1"), ("lung of the moth", "D3"), ("tidal colic", "D4"), ("gouty blue foot", "D6")]


@pytest.fixture(scope="module")
def train_corpus(write_corpus):
    return write_corpus("train", *TRAIN)


@pytest.fixture(scope="module")
def dev_corpus(write_corpus):
    return write_corpus("dev", *DEV)


@pytest.fixture(scope="module")
def pretrained(recipe, tmp_path_factory):
    """The output of a pre-training without a dev set."""
    output = tmp_path_factory.mktemp("pretrain") / "run"
    run_stage(TrainConfig.model_validate(recipe(output)))
    return output


@pytest.fixture
def finetune(recipe, pretrained, train_corpus, dev_corpus):
    """A function that makes the recipe of a fine-tuning of that model."""

    def make(output: Path, **sections: object) -> TrainConfig:
        own = {
            "stage": "finetune",
            "model": {"checkpoint": str(pretrained / "model"), "dropout": 0.1},
            "corpus": {"train": [str(train_corpus)]},
            "dev": {"corpus": str(dev_corpus), "every": 2},
        }
        return TrainConfig.model_validate(recipe(output, **(own | sections)))

    return make


def same_model(a: Path, b: Path) -> bool:
    first, second = (load_file(path / "model" / "model.safetensors") for path in (a, b))
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def dev_accuracy(linker: GenerativeLinker, corpus: Path) -> float:
    mentions = prepare(load_corpus(corpus), PRESETS["angel"].preprocessing)
    outcomes, _ = score_outcomes([to_record(p, linker.kb) for p in linker.link(mentions)], PRESETS["angel"])
    return sum(outcome.rank == 1 for outcome in outcomes) / len(outcomes)


def test_without_a_dev_set_the_last_model_is_kept(pretrained):
    assert sorted(path.name for path in pretrained.iterdir()) == [
        *("checkpoint", "config.json", "metrics.jsonl", "model", "run.json"),
    ]
    kept = load_file(pretrained / "model" / "model.safetensors")
    last = load_file(pretrained / "checkpoint" / "weights.safetensors")
    assert last.keys() <= kept.keys()
    assert all(kept[name].equal(last[name]) for name in last)
    linker = GenerativeLinker.load(pretrained / "model")
    assert (linker.template.source_tokens, linker.normaliser) == (32, "full")


def test_a_run_is_recorded_with_its_recipe_and_its_data(pretrained, dictionary, recipe):
    record = read_result(pretrained / "run.json")
    config = TrainConfig.model_validate(recipe(pretrained)).model_dump()
    assert record["settings"]["recipe"] == json.loads(json.dumps(config))
    assert record["settings"]["run"]["step"] == 6
    assert record["n"] == 48
    assert [entry["path"] for entry in record["data"]] == [dictionary.name]


def test_the_same_recipe_gives_the_same_model(pretrained, recipe, tmp_path):
    run_stage(TrainConfig.model_validate(recipe(tmp_path)))
    assert same_model(pretrained, tmp_path)
    run_stage(TrainConfig.model_validate(recipe(tmp_path / "seed", seed=1)))
    assert not same_model(pretrained, tmp_path / "seed")


def test_fine_tuning_keeps_the_model_of_the_best_score(finetune, dev_corpus, tmp_path):
    run = run_stage(finetune(tmp_path))
    scores = {line["step"]: line["dev_accuracy"] for line in metrics(tmp_path) if "dev_accuracy" in line}
    assert list(scores) == [2, 4, 6]
    assert run.best == max(scores.values())
    assert run.best_step == next(step for step, score in scores.items() if score == run.best)
    linker = GenerativeLinker.load(tmp_path / "model")
    assert dev_accuracy(linker, dev_corpus) == run.best


def test_a_recipe_may_keep_the_last_model_and_a_finished_run_may_change_its_mind(finetune, tmp_path, monkeypatch):
    scores = iter([0.9, 0.8, 0.7])
    monkeypatch.setattr("genlink.training.dev.DevScorer.__call__", lambda self: next(scores))
    config = finetune(tmp_path)
    assert run_stage(config).best_step == 2
    last = load_file(tmp_path / "checkpoint" / "weights.safetensors")
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert not all(saved[name].equal(last[name]) for name in last)
    run_stage(config.model_copy(update={"dev": config.dev.model_copy(update={"keep": "last"})}), resume=True)
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert all(saved[name].equal(last[name]) for name in last)


def test_a_dev_score_over_some_mentions_counts_these_alone(finetune, tmp_path):
    run = run_stage(finetune(tmp_path, dev={"corpus": finetune(tmp_path).dev.corpus, "every": 6, "limit": 1}))
    assert run.best in (0.0, 1.0)
    (line,) = [line for line in metrics(tmp_path) if "dev_accuracy" in line]
    assert line == {"step": 6, "dev_accuracy": run.best}


def test_an_interrupted_stage_is_resumed_to_the_same_end(finetune, tmp_path, monkeypatch):
    whole = run_stage(finetune(tmp_path / "whole", checkpoint_every=2))
    calls = []

    def killed(self, mentions, k=5, *, link=GenerativeLinker.link):
        calls.append(None)
        if len(calls) == 2:  # while the second scoring is under way
            raise KeyboardInterrupt
        return link(self, mentions, k)

    monkeypatch.setattr(GenerativeLinker, "link", killed)
    config = finetune(tmp_path / "parts", checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        run_stage(config)
    resumed = run_stage(config, resume=True)
    assert (resumed.step, resumed.best, resumed.best_step) == (whole.step, whole.best, whole.best_step)
    assert same_model(tmp_path / "whole", tmp_path / "parts")
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")


def test_a_run_is_not_overwritten_unless_it_is_asked_for(recipe, tmp_path):
    config = TrainConfig.model_validate(recipe(tmp_path, optimiser={"steps": 2, "batch_size": 4}))
    run_stage(config)
    before = (tmp_path / "metrics.jsonl").read_text()
    with pytest.raises(UsageError, match=r"holds an earlier run. Add --resume .* or --overwrite") as caught:
        run_stage(config)
    assert caught.value.exit_code == 2
    assert (tmp_path / "metrics.jsonl").read_text() == before
    (tmp_path / "notes.txt").write_text("mine")
    run_stage(config, overwrite=True)
    assert len(metrics(tmp_path)) == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("left", ["model", "checkpoint"])
def test_what_is_left_of_a_run_is_not_overwritten_either(recipe, tmp_path, left):
    (tmp_path / left).mkdir()
    with pytest.raises(UsageError, match="holds an earlier run"):
        run_stage(TrainConfig.model_validate(recipe(tmp_path)))


def test_an_earlier_run_is_deleted_only_when_all_that_is_read_was_found(pretrained, finetune, recipe, tmp_path):
    run_stage(TrainConfig.model_validate(recipe(tmp_path, optimiser={"steps": 2, "batch_size": 4})))
    with pytest.raises(DataError, match="no such file"):
        run_stage(finetune(tmp_path, dev={"corpus": str(tmp_path / "none.pubtator")}), overwrite=True)
    assert GenerativeLinker.load(tmp_path / "model").trie.n_names == 13
    # A run may even start from the model that it replaces.
    run_stage(finetune(tmp_path, model={"checkpoint": str(tmp_path / "model")}), overwrite=True)


def test_a_dry_run_has_a_schedule_of_its_own(recipe, tmp_path):
    run = run_stage(TrainConfig.model_validate(recipe(tmp_path)), max_steps=3)
    assert run.step == 3
    # Two steps of warm-up, and the third is the last one: 1/1 of the full rate is left for it.
    assert metrics(tmp_path)[-1]["learning_rate"] == pytest.approx(0.01)
    assert GenerativeLinker.load(tmp_path / "model").trie.n_names == 13
    # It is no beginning of the whole run.
    with pytest.raises(UsageError, match="was written with steps 3, this run has 6"):
        run_stage(TrainConfig.model_validate(recipe(tmp_path)), resume=True)
    more = run_stage(TrainConfig.model_validate(recipe(tmp_path)), overwrite=True, max_steps=99)
    assert more.step == 6


def test_mentions_without_gold_in_the_dictionary_are_left_out_and_counted(finetune, write_corpus, tmp_path, caplog):
    corpus = write_corpus("foreign", *TRAIN, ("green gout", "D99"), ("red gout", "D98"))
    with caplog.at_level(logging.WARNING):
        run_stage(finetune(tmp_path / "a", corpus={"train": [str(corpus)]}, dev=None), max_steps=1)
    assert "2 of 7 training mentions have no gold concept in the dictionary and are left out" in caplog.text
    foreign = str(write_corpus("foreign only", ("green gout", "D99")))
    with pytest.raises(CorpusError, match="no mention has a gold concept in"):
        run_stage(finetune(tmp_path / "b", corpus={"train": [foreign]}))
    with pytest.raises(CorpusError, match="no dev mention has a gold concept"):
        run_stage(finetune(tmp_path / "c", dev={"corpus": foreign}))
    with pytest.raises(CorpusError, match="no mentions of the types Chemical"):
        run_stage(finetune(tmp_path / "d", corpus={"train": [str(corpus)], "types": ["Chemical"]}))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]  # nothing is left of what did not begin


def test_a_checkpoint_in_half_precision_is_trained_in_full(finetune, pretrained, tmp_path):
    half = GenerativeLinker.load(pretrained / "model").to("cpu", "bf16")
    half.save(tmp_path / "half")
    run_stage(finetune(tmp_path / "run", model={"checkpoint": str(tmp_path / "half")}, dev=None), max_steps=1)
    assert {w.dtype for w in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.bfloat16}
    assert GenerativeLinker.load(tmp_path / "run" / "model").describe()["precision"] == "fp32"


def test_a_fine_tuned_model_reads_what_its_checkpoint_read(finetune, pretrained, tmp_path):
    run_stage(finetune(tmp_path, template=None), max_steps=1)
    templates = [GenerativeLinker.load(path / "model").template for path in (pretrained, tmp_path)]
    assert templates[0] == templates[1]


# The objective over the trie


@pytest.fixture(scope="module")
def other_names(tmp_path_factory):
    """A source of pairs that has names of a known disease and of a new one, one of them long."""
    path = tmp_path_factory.mktemp("other") / "names.txt"
    long = " ".join(first + second for first in "bcdfg" for second in "aeiou")  # at least a token for each of 25 words
    names = ("D1||Fever of silversmiths", "D7||Paper cough", "D7||Librarian lung", f"D7||{long}")
    path.write_text("\n".join(names) + "\n")
    return path


def test_every_target_of_either_stage_is_in_the_trie_of_its_objective(recipe, finetune, other_names, tmp_path, caplog):
    pairs = {"sources": [str(other_names)], "synonym": 0.3, "noise": 0.3, "identity": 0.4}
    # A target that is not in it would be an error; 96 draws of four names miss one of them hardly ever.
    optimiser = {"steps": 6, "batch_size": 16}
    sections = {"objective": "trie", "pairs": pairs, "optimiser": optimiser}
    with caplog.at_level(logging.WARNING):
        run_stage(TrainConfig.model_validate(recipe(tmp_path / "pretrain", **sections)))
    assert "1 names of 24 or more tokens are left out of the trie" in caplog.text
    sections["pairs"] = {**pairs, "training_names": True}
    checkpoint = {"model": {"checkpoint": str(tmp_path / "pretrain" / "model")}}
    run_stage(finetune(tmp_path / "finetune", **sections, **checkpoint))
    # The model links to the dictionary alone, and scores as it was trained.
    linker = GenerativeLinker.load(tmp_path / "finetune" / "model")
    assert (linker.trie.n_names, linker.normaliser) == (13, "trie")


def test_the_trie_of_targets_is_that_of_the_linker_where_the_pairs_have_no_names_of_their_own(pretrained, other_names):
    linker = GenerativeLinker.load(pretrained / "model")
    assert trie_of_targets(linker, linker.kb) is linker.trie
    trie = trie_of_targets(linker, load_kb(other_names))
    names = [tokens for _, tokens in trie]
    assert len(names) == 13 + 3
    for spelled in linker.encoding.names(["paper cough", "librarian lung", "fever of silversmiths", "moth lung"]):
        assert spelled in names


def test_a_run_may_go_on_with_another_dev_set_but_not_with_one_that_has_changed(finetune, dev_corpus, tmp_path):
    def with_dev(path: Path) -> TrainConfig:
        return finetune(tmp_path / "run", dev={"corpus": str(path), "every": 6})

    other = tmp_path / dev_corpus.name  # outside the data directory only this part of either is recorded
    other.write_text("\n".join(dev_corpus.read_text().split("\n\n")[1:]))
    run_stage(with_dev(dev_corpus))
    run_stage(with_dev(other), resume=True)
    run_stage(with_dev(other), resume=True)
    other.write_text(other.read_text().replace("It was seen.", "It was treated."))
    with pytest.raises(UsageError, match=f"was begun with other contents of {other}"):
        run_stage(with_dev(other), resume=True)


def test_a_resumed_run_records_of_the_data_what_it_recorded_when_it_began(finetune, tmp_path):
    config = finetune(tmp_path)
    run_stage(config, max_steps=2)
    path = tmp_path / "run.json"
    begun = json.loads(path.read_text())
    weights = [entry for entry in begun["data"] if entry["path"] == "model.safetensors"]
    assert len(weights) == 1
    data = [entry for entry in begun["data"] if entry not in weights]  # as before weights were recorded
    path.write_text(json.dumps({**begun, "data": data}))
    run_stage(config, max_steps=2, resume=True)
    assert json.loads(path.read_text())["data"] == data


def test_a_run_is_not_resumed_under_another_objective(recipe, tmp_path):
    config = TrainConfig.model_validate(recipe(tmp_path))
    run_stage(config, max_steps=2)
    over_trie = TrainConfig.model_validate(recipe(tmp_path, objective="trie"))
    with pytest.raises(UsageError, match="was begun with objective full, the recipe now has trie"):
        run_stage(over_trie, resume=True)
    # A recipe written before there was a choice is one of the full objective.
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({key: values[key] for key in values if key not in ("objective", "full_weight")}))
    with pytest.raises(UsageError, match="was begun with objective full, the recipe now has trie"):
        run_stage(over_trie, resume=True)
    assert run_stage(config, resume=True, max_steps=2).step == 2
    path.write_text(json.dumps({**values, "colour": "blue"}))
    with pytest.raises(UsageError, match="a recipe that this version cannot read"):
        run_stage(config, resume=True)


def test_a_stage_that_goes_on_with_another_objective_says_so(finetune, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        run_stage(finetune(tmp_path / "same"), max_steps=1)
        assert "trained with objective" not in caplog.text
        run_stage(finetune(tmp_path / "other", objective="trie"), max_steps=1)
    assert "model was trained with objective full; it goes on with trie" in caplog.text
