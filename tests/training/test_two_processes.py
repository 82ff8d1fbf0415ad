"""However a stage is started, and by how many processes, it gives the same model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from genlink.cli.app import main
from genlink.evaluation import read_result

pytestmark = pytest.mark.usefixtures("accelerator")


@pytest.fixture
def recipe_file(recipe, write_corpus, tmp_path):
    """A function that writes a recipe with a dev set of five mentions, so that two processes have unequal shares."""
    dev = write_corpus(
        "dev",
        *(("argentine fever", "D1"), ("lung of the moth", "D3"), ("tidal colic", "D4"), ("gouty blue foot", "D6")),
        ("osteovitrosis", "D2"),
    )

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
def train_here(monkeypatch):
    """A function that is ``genlink train FILE ...``."""

    def train(*arguments: object, code: int = 0) -> None:
        monkeypatch.setattr(sys, "argv", ["genlink", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == code

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


def metrics(output: Path) -> list[dict]:
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def test_a_dry_run_goes_where_it_is_told_to(recipe_file, train_here, tmp_path, capsys):
    recipe = recipe_file("real", 0.1)
    train_here(recipe, "--max-steps", 2, "--output", tmp_path / "dry", "--result", tmp_path / "result.json")
    assert "dry/model: 2 steps in" in capsys.readouterr().err
    assert (tmp_path / "dry" / "model" / "manifest.json").is_file()
    assert not (tmp_path / "real").exists()
    assert read_result(tmp_path / "result.json") == read_result(tmp_path / "dry" / "run.json")
    train_here(recipe, "--output", tmp_path / "dry", code=2)
    assert "holds an earlier run" in capsys.readouterr().err
    train_here(recipe, "--output", tmp_path / "dry", "--resume", "--overwrite", code=2)
    assert "give one of them" in capsys.readouterr().err
    train_here(recipe, "--output", tmp_path / "dry", "--overwrite", "--max-steps", 1)


def test_accelerate_launch_gives_the_same_model(recipe_file, train_here, tmp_path):
    train_here(recipe_file("here", 0.1))
    launch = ["accelerate.commands.launch", "--cpu", "--num_processes", 1, "--num_machines", 1]
    start(
        *launch,
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "-m",
        "genlink",
        "train",
        recipe_file("launched", 0.1),
    )
    here, launched = weights(tmp_path / "here"), weights(tmp_path / "launched")
    assert here.keys() == launched.keys()
    assert all(torch.equal(here[name], launched[name]) for name in here)
    assert metrics(tmp_path / "here") == metrics(tmp_path / "launched")


def test_two_processes_equal_one(recipe_file, train_here, tmp_path):
    train_here(recipe_file("one", 0.0))
    train_here(recipe_file("one-trie", 0.0, objective="trie"))
    script = Path(__file__).with_name("two_processes.py")
    recipes = [recipe_file("two", 0.0), recipe_file("two-trie", 0.0, objective="trie")]
    recipes += [recipe_file("dropout", 0.2), recipe_file("resumed", 0.2)]
    start("torch.distributed.run", "--standalone", "--nproc_per_node", 2, script, *recipes)

    # Sums in another order: the same but for rounding, and for the bias of keys, whose gradient is nothing else.
    for objective in ("", "-trie"):
        here, there = tmp_path / f"one{objective}", tmp_path / f"two{objective}"
        one, two = weights(here), weights(there)
        assert one.keys() == two.keys()
        assert all(torch.allclose(one[n], two[n], atol=1e-5) for n in one if not n.endswith("k_proj.bias"))
        for a, b in zip(metrics(here), metrics(there), strict=True):
            assert a == pytest.approx(b, abs=1e-5)
    assert [line["step"] for line in metrics(tmp_path / "two") if "dev_accuracy" in line] == [3, 6, 9]

    # Two processes that were interrupted go on, each with its own dropout, as if they had not been.
    whole, resumed = weights(tmp_path / "dropout"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert metrics(tmp_path / "dropout") == metrics(tmp_path / "resumed")
    manifest = json.loads((tmp_path / "resumed" / "checkpoint" / "manifest.json").read_text())
    assert (manifest["processes"], manifest["progress"]["step"]) == (2, 9)
