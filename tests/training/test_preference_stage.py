"""The preference stage from a recipe to a model: its rounds, which model is kept, going on after an interruption."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from preference_runs import DPO, dies, files, record, same, scored, weights

from genlink.data.answers import count_answers, read_answers
from genlink.errors import UsageError
from genlink.evaluation import read_result
from genlink.linkers.generative import GenerativeLinker
from genlink.training import harvest, rounds, sources
from genlink.training.dev import DevScorer
from genlink.training.preferences import PreferenceLoss
from genlink.training.stages import run_stage

pytestmark = pytest.mark.usefixtures("accelerator", "small_chunks")


@pytest.fixture
def scores(monkeypatch):
    """A function that sets the dev scores of the model before any round, of the first round, and so on."""

    def give(*values: float) -> None:
        left = iter(values)
        monkeypatch.setattr(DevScorer, "__call__", lambda self: next(left))

    return give


def test_a_run_leaves_its_rounds_and_the_best_model(preference, dev_corpus, kb, start, tmp_path, scores):
    scores(0.1, 0.3, 0.2)
    run = run_stage(preference(tmp_path, preference=DPO, dev={"corpus": str(dev_corpus)}))
    assert files(tmp_path) == ["config.json", "metrics.jsonl", "model", "round-0", "round-1", "round-2", "run.json"]
    assert files(tmp_path / "round-0") == ["round.json"]
    assert files(tmp_path / "round-1") == ["answers.jsonl", "metrics.jsonl", "reference.safetensors", "round.json"]
    # The last round's model is what a resumed run goes on from; what led to it is not needed any more.
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    listed = page.partition("directory=round-1\n")[2].partition("```")[0]
    assert files(tmp_path / "round-2") == sorted(line.split()[0] for line in listed.splitlines())
    assert "model" in files(tmp_path / "round-2")
    assert (run.best, run.best_step, run.without_gain, run.step, run.examples) == (0.3, 4, 1, 8, 32)
    assert scored(tmp_path) == [
        {"round": 0, "step": 0, "dev_accuracy": 0.1},
        {"round": 1, "step": 4, "dev_accuracy": 0.3},
        {"round": 2, "step": 8, "dev_accuracy": 0.2},
    ]
    assert not same(weights(tmp_path / "model"), weights(tmp_path / "round-2" / "model"))
    assert not same(weights(tmp_path / "model"), weights(start))


def test_the_record_has_the_counts_of_each_round(preference, kb, tmp_path):
    run_stage(preference(tmp_path, preference={"loss": "marginal", "rounds": 2, "pairs": "all"}))
    result = read_result(tmp_path / "run.json")
    before, *done = result["settings"]["rounds"]
    assert before["dev_accuracy"] is None and before["run"]["step"] == 0
    assert len(done) == 2
    for number, found in enumerate(done, start=1):
        assert found == json.loads((tmp_path / f"round-{number}" / "round.json").read_text())
        lists = read_answers(tmp_path / f"round-{number}" / "answers.jsonl", kb)
        counts = count_answers(lists)
        assert found["harvest"] == {field: getattr(counts, field) for field in counts.__dataclass_fields__}
        assert (counts.lists, counts.mentions) == (5, 7)
        assert found["run"]["step"] == 4
        # No list of four names is all right, so all are learnt from, those without a right name with nearest ones.
        assert found["learnt"]["lists"] == 5
        assert found["learnt"]["given_nearest"] == counts.none_right
        gold_names = {
            gold: min(3, len(kb.concept_keys(kb.concept_index(gold)))) for item in lists for gold in item.gold
        }
        rights = [sum(a.right for a in item.answers) for item in lists]
        wrongs = [len(item.answers) - right for item, right in zip(lists, rights, strict=True)]
        pairs = [
            (right or gold_names[item.gold[0]]) * wrong
            for item, right, wrong in zip(lists, rights, wrongs, strict=True)
        ]
        assert found["learnt"]["pairs"] == sum(pairs)
    assert result["settings"]["run"]["step"] == 8
    assert result["n"] == 32


def test_the_steps_of_a_round_read_its_lists_so_often(preference, tmp_path):
    optimiser = {"batch_size": 4, "learning_rate": 0.01, "warmup_steps": 1}
    # Two of the five mentions occur twice: with repetition 1 an epoch is of 7 lists, with 0 of 5.
    for repetition, epochs, steps in ((1.0, 1.0, 2), (1.0, 2.0, 4), (0.0, 1.0, 2), (0.0, 3.1, 4)):
        config = preference(
            tmp_path / f"{repetition}-{epochs}",
            optimiser=optimiser,
            preference={"repetition": repetition, "epochs": epochs},
        )
        assert run_stage(config).step == steps
    assert run_stage(config.model_copy(update={"output": str(tmp_path / "dry")}), max_steps=1).step == 1


def test_the_same_recipe_gives_the_same_model_and_another_seed_another_one(preference, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run_stage(preference(tmp_path / name, seed=seed))
    a, b, c = (weights(tmp_path / name / "model") for name in "abc")
    assert same(a, b) and not same(a, c)
    assert (tmp_path / "a/round-1/answers.jsonl").read_bytes() == (tmp_path / "c/round-1/answers.jsonl").read_bytes()


# Going on


@pytest.fixture(scope="module")
def whole(preference, dev_corpus, tmp_path_factory):
    """The recipe of two rounds, and the output of a run that was not interrupted."""
    output = tmp_path_factory.mktemp("whole")
    config = preference(output, preference=DPO, dev={"corpus": str(dev_corpus)}, checkpoint_every=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harvest, "CHUNK", 2)
        run_stage(config)
    return config, output


# Two rounds of five questions in three chunks, four steps each, and three scorings.
@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (sources, "answer_queries", 2),
        (PreferenceLoss, "forward", 4),
        (DevScorer, "__call__", 2),
        (rounds, "write_json", 2),
        (sources, "answer_queries", 6),
        (rounds, "with_reference", 2),
        (PreferenceLoss, "forward", 8),
        (DevScorer, "__call__", 3),
        (GenerativeLinker, "save", 3),
    ],
    ids=[
        *("first harvest", "first training", "first scoring", "first record"),
        *("second harvest", "second reference", "second training", "second scoring", "third save"),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_end(whole, tmp_path, monkeypatch, owner, name, at):
    config, output = whole
    config = config.model_copy(update={"output": str(tmp_path)})
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at)
        with pytest.raises(KeyboardInterrupt):
            run_stage(config)
    with pytest.raises(UsageError, match=r"holds an earlier run. Add --resume"):
        run_stage(config)
    run_stage(config, resume=True)
    assert files(tmp_path) == files(output)
    for number in (1, 2):
        parts = [folder / f"round-{number}" for folder in (tmp_path, output)]
        assert files(parts[0]) == files(parts[1])
        assert (parts[0] / "answers.jsonl").read_bytes() == (parts[1] / "answers.jsonl").read_bytes()
        assert record(tmp_path, number) == record(output, number)
    assert scored(tmp_path) == scored(output)
    for model in ("model", "round-2/model"):
        assert same(weights(tmp_path / model), weights(output / model))


@pytest.mark.parametrize("change", ["names", "judgements"])
def test_a_round_does_not_go_on_with_other_examples(preference, tmp_path, monkeypatch, change):
    config = preference(tmp_path, preference={"loss": "marginal"}, checkpoint_every=1)
    with monkeypatch.context() as patch:
        dies(patch, PreferenceLoss, "forward", 3)
        with pytest.raises(KeyboardInterrupt):
            run_stage(config)
    path = tmp_path / "round-1" / "answers.jsonl"
    before = path.read_text()
    lines = [json.loads(line) for line in before.splitlines()]
    answers = next(line["answers"] for line in lines if any(answer["right"] for answer in line["answers"]))
    if change == "names":
        answers.reverse()
    else:
        for answer in answers:
            answer["right"] = not answer["right"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UsageError, match=r"checkpoint: was written with examples [0-9a-f]{64}, this run has [0-9a-f]"):
        run_stage(config, resume=True)
    path.write_text(before)
    assert run_stage(config, resume=True).step == 4


def test_a_finished_run_is_resumed_by_doing_nothing(whole, tmp_path, monkeypatch):
    config, output = whole
    shutil.copytree(output, tmp_path / "run")
    before = weights(tmp_path / "run" / "model")
    dies(monkeypatch, rounds, "train", 1)
    dies(monkeypatch, DevScorer, "__call__", 1)
    run = run_stage(config.model_copy(update={"output": str(tmp_path / "run")}), resume=True)
    assert same(weights(tmp_path / "run" / "model"), before)
    assert (run.step, run.examples) == (8, 32)
    assert scored(tmp_path / "run") == scored(output)


def test_rounds_of_a_dry_run_are_not_taken_for_those_of_the_whole_recipe(preference, tmp_path):
    config = preference(tmp_path)
    run_stage(config, max_steps=1)
    assert run_stage(config, max_steps=1, resume=True).step == 1
    problem = r"round-1: was carried out with --max-steps 1, this run has None. Go back to that, or start anew"
    with pytest.raises(UsageError, match=problem):
        run_stage(config, resume=True)
    assert run_stage(config, overwrite=True).step == 4


def test_rounds_that_do_not_say_how_long_they_were_to_take_are_gone_on_with(preference, tmp_path):
    config = preference(tmp_path)
    run_stage(config)
    path = tmp_path / "round-1" / "round.json"
    done = json.loads(path.read_text())
    del done["max_steps"]
    path.write_text(json.dumps(done))
    assert run_stage(config, resume=True).step == 4


def test_finished_rounds_are_not_gone_on_with_under_another_dev_set(preference, dev_corpus, tmp_path):
    dev = {"corpus": str(dev_corpus), "patience": 2}
    config = preference(tmp_path, dev=dev)
    run_stage(config)
    before = {name: (tmp_path / name).read_bytes() for name in ("config.json", "run.json", "metrics.jsonl")}
    for change, problem in (
        ({"limit": 2}, "dev.limit None, the recipe now has 2"),
        ({"types": ["Disease"]}, r"dev.types \[\], the recipe now has \['Disease'\]"),
        ({"corpus": "other.txt"}, f"dev.corpus {dev_corpus}, the recipe now has other.txt"),
        (None, f"dev.corpus {dev_corpus}, the recipe now has None"),
    ):
        with pytest.raises(UsageError, match=f"^{tmp_path}: was begun with {problem}. Go back to that"):
            run_stage(preference(tmp_path, dev=change and {**dev, **change}), resume=True)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert run_stage(preference(tmp_path, dev={**dev, "patience": 1, "keep": "last"}), resume=True).step == 4


def test_the_best_model_is_not_asked_for_where_it_may_not_have_been_saved(
    preference, dev_corpus, tmp_path, monkeypatch, scores
):
    last, best = (preference(tmp_path, dev={"corpus": str(dev_corpus), "keep": keep}) for keep in ("last", "best"))
    scores(0.9, 0.1)
    with monkeypatch.context() as patch:
        dies(patch, rounds, "train", 1)
        with pytest.raises(KeyboardInterrupt):
            run_stage(last)
    with pytest.raises(UsageError, match=f"^{tmp_path}: was begun with dev.keep last, the recipe now has best. Go"):
        run_stage(best, resume=True)
    run_stage(last, resume=True)
    assert same(weights(tmp_path / "model"), weights(tmp_path / "round-1" / "model"))


def test_the_best_model_survives_a_resumed_run_that_cannot_make_it_again(
    preference, dev_corpus, tmp_path, monkeypatch, scores
):
    config = preference(tmp_path, preference={"rounds": 3}, dev={"corpus": str(dev_corpus)})
    scores(0.1, 0.9, 0.2, 0.3)
    with monkeypatch.context() as patch:
        dies(patch, rounds, "train", 3)
        with pytest.raises(KeyboardInterrupt):
            run_stage(config)
    best = weights(tmp_path / "model")
    assert not (tmp_path / "round-1" / "model").exists()
    scores(0.3)
    assert run_stage(config, resume=True).best == 0.9
    assert same(weights(tmp_path / "model"), best)
    assert [line["dev_accuracy"] for line in scored(tmp_path)] == [0.1, 0.9, 0.2, 0.3]


# Which model is kept


@pytest.mark.parametrize(
    ("values", "keep", "kept"),
    [
        ((0.1, 0.3, 0.2), "best", 1),
        ((0.1, 0.2, 0.3), "best", 2),
        ((0.1, 0.1, 0.1), "best", 0),  # no better is not better
        ((0.3, 0.2, 0.1), "best", 0),
        ((0.3, 0.2, 0.1), "last", 2),
    ],
)
def test_the_model_of_the_best_score_is_kept_as_it_was_scored(
    preference, dev_corpus, tmp_path, monkeypatch, values, keep, kept
):
    left, then = iter(values), []

    def score(self) -> float:
        then.append({k: v.clone() for k, v in self._linker.model.named_parameters()})
        return next(left)

    monkeypatch.setattr(DevScorer, "__call__", score)
    run = run_stage(preference(tmp_path, preference={"rounds": 2}, dev={"corpus": str(dev_corpus), "keep": keep}))
    assert run.best == max(values)
    found = dict(GenerativeLinker.load(tmp_path / "model").model.named_parameters())
    assert [all(found[name].equal(p) for name, p in weights.items()) for weights in then] == [
        number == kept for number in range(3)
    ]


def test_where_the_last_model_is_kept_it_is_saved_once(preference, dev_corpus, tmp_path, monkeypatch, scores):
    scores(0.1, 0.2, 0.3)
    saved = []

    def save(self, directory, original=GenerativeLinker.save):
        saved.append(directory.relative_to(tmp_path).as_posix())
        original(self, directory)

    monkeypatch.setattr(GenerativeLinker, "save", save)
    dev = {"corpus": str(dev_corpus), "keep": "last"}
    run_stage(preference(tmp_path, preference={"rounds": 2}, dev=dev))
    assert saved == ["round-1/model", "round-2/model", "model"]


def test_rounds_end_when_none_has_been_better_for_so_long(preference, dev_corpus, tmp_path, scores):
    scores(0.5, 0.4, 0.3)
    config = preference(tmp_path, preference={"rounds": 5}, dev={"corpus": str(dev_corpus), "patience": 2})
    assert run_stage(config).without_gain == 2
    assert [line["round"] for line in scored(tmp_path)] == [0, 1, 2]
    assert run_stage(config, resume=True).step == 8  # a finished run stays finished


def test_without_a_dev_set_the_last_model_is_kept(preference, tmp_path):
    assert run_stage(preference(tmp_path, preference={"rounds": 2})).best is None
    assert same(weights(tmp_path / "model"), weights(tmp_path / "round-2" / "model"))


# The reference
