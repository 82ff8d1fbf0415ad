"""However a stage is started, and by how many processes, it gives the same model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from training_runs import metrics

from genlink.evaluation import read_result

pytestmark = pytest.mark.usefixtures("accelerator")

CONFIGURATIONS = Path(__file__).parents[2] / "configs" / "accelerate"


@pytest.fixture(scope="module")
def dev(write_corpus):
    """Five mentions, so that two processes have unequal shares."""
    mentions = [("argentine fever", "D1"), ("lung of the moth", "D3"), ("tidal colic", "D4"), ("gouty blue foot", "D6")]
    return write_corpus("dev", *mentions, ("osteovitrosis", "D2"))


@pytest.fixture
def recipe_file(recipe, dev, tmp_path):
    """A function that writes the recipe of a pre-training with a dev set."""

    def write(name: str, dropout: float, **objective: object) -> Path:
        optimiser = {"steps": 9, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 2}
        if not objective:
            optimiser["label_smoothing"] = 0.1
        values = recipe(tmp_path / name, dev={"corpus": str(dev), "every": 3}, optimiser=optimiser, **objective)
        values["model"]["dropout"] = dropout
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


@pytest.fixture
def preference_file(recipe, dev, write_corpus, tmp_path):
    """A function that writes the recipe of a preference stage that goes on with the model of the recipe "one"."""
    mentions = [("silver fevers", "D1"), ("glass bones", "D2"), ("moth lungs", "D3"), ("blue gout", "D6")]
    mentions += [("salty fever", "D5"), ("colic of tides", "D4"), ("fancy moth lung", "D3")]
    corpus = {"train": [str(write_corpus("train", *mentions))]}
    optimiser = {"steps": 4, "batch_size": 8, "learning_rate": 0.003, "warmup_steps": 1}

    def write(name: str, source: str, *, dropout: float = 0.0, micro_batch_size: int | None = None, **own: object):
        model = {"checkpoint": str(tmp_path / ("one-trie" if "objective" in own else "one") / "model")}
        sections = {"model": {**model, "dropout": dropout}, "dev": {"corpus": str(dev), "keep": "last"}, **own}
        harvest = {"source": source, "k": 3, "queries": 12}
        if source in ("corpus", "crossfit"):
            sections["corpus"] = corpus
        if source == "crossfit":
            of_folds = {"stage": "finetune", "model": model, "corpus": corpus, "optimiser": {**optimiser, "steps": 2}}
            (tmp_path / "finetune.yaml").write_text(yaml.safe_dump(recipe(tmp_path / "unused", **of_folds)))
            folds = {"folds": 2, "finetune": str(tmp_path / "finetune.yaml"), "fold_models": str(tmp_path / "folds")}
            harvest.update(folds)
        sections["optimiser"] = {**optimiser, "micro_batch_size": micro_batch_size}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe(tmp_path / name, stage="preference", harvest=harvest, **sections)))
        return path

    return write


@pytest.fixture
def train_here(genlink):
    """A function that is ``genlink train FILE ...``; it returns what is said on stderr."""

    def train(*arguments: object, code: int = 0) -> str:
        found, _, err = genlink("train", *arguments)
        assert found == code, err
        return err

    return train


def start(*arguments: object) -> None:
    """Run a module of this python in another process, on one thread as this one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "model" / "model.safetensors")


def test_a_dry_run_goes_where_it_is_told_to(recipe_file, train_here, tmp_path):
    recipe, dry = recipe_file("real", 0.1), ("--output", tmp_path / "dry")
    said = train_here(recipe, "--max-steps", 2, *dry, "--result", tmp_path / "result.json")
    assert "dry/model: 2 steps in" in said
    assert (tmp_path / "dry" / "model" / "manifest.json").is_file()
    assert not (tmp_path / "real").exists()
    assert read_result(tmp_path / "result.json") == read_result(tmp_path / "dry" / "run.json")
    assert "holds an earlier run" in train_here(recipe, *dry, code=2)
    assert "give one of them" in train_here(recipe, *dry, "--resume", "--overwrite", code=2)
    train_here(recipe, *dry, "--overwrite", "--max-steps", 1)


@pytest.mark.parametrize(("keep", "said"), [("best", ""), ("last", ", but the last step is kept")])
def test_what_is_kept_is_said(recipe_file, train_here, keep, said):
    ended = train_here(recipe_file("run", 0.0), "--max-steps", 3, "--set", f"dev.keep={keep}").splitlines()[-1]
    assert re.fullmatch(rf".*run/model: 3 steps in .* minutes, best dev Acc@1 [\d.]+ at step [03]{said}", ended), ended


def launch(configuration: str, *recipes: Path) -> None:
    """Carry out recipes in two processes, in ways that accelerate is told by a file of ours."""
    file = CONFIGURATIONS / f"{configuration}.yaml"
    options = ["--config_file", file, "--num_processes", 2, "--main_process_port", 0]
    start("accelerate.commands.launch", *options, Path(__file__).with_name("two_processes.py"), *recipes)


def assert_same_run(one: Path, two: Path) -> None:
    """Sums in another order: the same but for rounding, and for the bias of keys, whose gradient is nothing else."""
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    assert [n for n in first if not torch.allclose(first[n], second[n], atol=1e-5) and "k_proj.bias" not in n] == []
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_two_processes_equal_one(recipe_file, preference_file, train_here, tmp_path, monkeypatch):
    monkeypatch.setattr("genlink.training.harvest.CHUNK", 2)
    train_here(recipe_file("one", 0.0))
    train_here(recipe_file("one-trie", 0.0, objective="trie"))
    recipes = [recipe_file("two", 0.0), recipe_file("two-trie", 0.0, objective="trie")]
    recipes += [recipe_file("dropout", 0.2), recipe_file("resumed", 0.2)]
    of_preference = {
        "corpus": {"preference": {"loss": "dpo", "rounds": 2}},
        "crossfit": {"preference": {"loss": "marginal"}},
        "kb": {"preference": {"loss": "dpo", "refresh_reference": True, "nll": 0.1}, "objective": "trie"},
        "control": {"preference": {"loss": "likelihood"}, "objective": "trie"},
    }
    for name, sections in of_preference.items():
        source = "corpus" if name == "control" else name
        train_here(preference_file(f"one-{name}", source, **sections))
        recipes.append(preference_file(f"two-{name}", source, micro_batch_size=1, **sections))
    launch("two_cpu_processes", *recipes)

    for recipe in ("", "-trie", *(f"-{name}" for name in of_preference)):
        assert_same_run(tmp_path / f"one{recipe}", tmp_path / f"two{recipe}")
    assert [line["step"] for line in metrics(tmp_path / "two") if "dev_accuracy" in line] == [3, 6, 9]

    for name in of_preference:
        one, two = (sorted((tmp_path / f"{n}-{name}").glob("round-[1-9]")) for n in ("one", "two"))
        assert len(one) == len(two) == (2 if name == "corpus" else 1)
        assert (one[0] / "answers.jsonl").read_bytes() == (two[0] / "answers.jsonl").read_bytes()
        assert len((one[0] / "answers.jsonl").read_text().splitlines()) > 4  # more chunks than processes
        for a, b in zip(one, two, strict=True):
            for c, d in zip(metrics(a), metrics(b), strict=True):
                assert c == pytest.approx(d, abs=1e-5)

    # Two processes that were interrupted go on, each with its own dropout, as if they had not been.
    whole, resumed = weights(tmp_path / "dropout"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert metrics(tmp_path / "dropout") == metrics(tmp_path / "resumed")
    manifest = json.loads((tmp_path / "resumed" / "checkpoint" / "manifest.json").read_text())
    assert (manifest["processes"], manifest["progress"]["step"]) == (2, 9)


def test_two_processes_that_share_every_weight_equal_one(recipe_file, preference_file, train_here, tmp_path):
    train_here(recipe_file("one", 0.0))
    settings = {"preference": {"loss": "dpo", "refresh_reference": True, "rounds": 2}}
    train_here(preference_file("one-corpus", "corpus", **settings))
    stages = [recipe_file("two", 0.0), preference_file("two-corpus", "corpus", micro_batch_size=2, **settings)]
    settings["dropout"] = 0.2
    stages += [recipe_file("dropout", 0.2), preference_file("dropout-corpus", "corpus", **settings)]
    stages += [recipe_file("resumed", 0.2), preference_file("resumed-corpus", "corpus", **settings)]
    launch("fsdp", *stages)

    for stage in ("", "-corpus"):
        assert_same_run(tmp_path / f"one{stage}", tmp_path / f"two{stage}")
        whole, resumed = weights(tmp_path / f"dropout{stage}"), weights(tmp_path / f"resumed{stage}")
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)
        assert metrics(tmp_path / f"dropout{stage}") == metrics(tmp_path / f"resumed{stage}")


@pytest.fixture
def encoder_file(encoder_recipe, dev, tmp_path):
    """A function that writes the recipe of an encoder's stage with a dev set."""

    def write(name: str, stage: str, dropout: float = 0.0, **sections: object) -> Path:
        values = encoder_recipe(stage, tmp_path / name, dev={"corpus": str(dev), "every": 3}, **sections)
        values["model"]["dropout"] = dropout
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


def test_two_processes_compare_all_names_of_a_step_and_find_candidates_together(encoder_file, train_here, tmp_path):
    optimiser = {"steps": 5, "batch_size": 3, "learning_rate": 0.003, "warmup_steps": 1}  # unequal shares
    stages = {"sapbert": {}, "random": {"sapbert": {"mining": "random"}}, "biosyn": {}}
    recipes = []
    for name, sections in stages.items():
        stage = "biosyn" if name == "biosyn" else "sapbert"
        train_here(encoder_file(f"one-{name}", stage, optimiser=optimiser, **sections))
        recipes.append(encoder_file(f"two-{name}", stage, optimiser=optimiser, **sections))
    recipes += [encoder_file("dropout", "biosyn", 0.2), encoder_file("resumed", "biosyn", 0.2)]
    launch("two_cpu_processes", *recipes)
    for name in stages:
        one, two = tmp_path / f"one-{name}", tmp_path / f"two-{name}"
        first, second = weights(one), weights(two)
        assert [n for n in first if not torch.allclose(first[n], second[n], atol=1e-5) and "key.bias" not in n] == []
        for a, b in zip(metrics(one), metrics(two), strict=True):
            assert a == pytest.approx(b, abs=1e-5)
    for epoch in (0, 1):
        a, b = (
            load_file(tmp_path / f"{n}-biosyn" / "candidates" / f"epoch-{epoch}.safetensors") for n in ("one", "two")
        )
        assert torch.equal(a["keys"], b["keys"])
    whole, resumed = weights(tmp_path / "dropout"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_an_encoder_is_not_sharded(encoder_file, tmp_path):
    with pytest.raises(AssertionError, match="stage sapbert is not sharded"):
        launch("fsdp", encoder_file("sharded", "sapbert"))
    assert not (tmp_path / "sharded").exists()
