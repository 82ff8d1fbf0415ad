"""``genlink harvest``: a table of what there is to learn from, and the file that ``genlink train --resume`` reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from accelerate import PartialState
from typer.testing import CliRunner

from genlink.cli.app import app
from genlink.data.tokenizer import train_tokenizer
from genlink.errors import UsageError
from genlink.kb import load_kb
from genlink.linkers.bart import fresh_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings
from genlink.templates import Template

NAMES = ["D1||Silver fever", "D1||Argentine fever", "D2||Osteovitrosis", "D3||Moth lung", "D4||Blue gout"]
MENTIONS = [("silver fevers", "D1"), ("osteovitroses", "D2"), ("silver fevers", "D1")]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A preference recipe, with the model, names and mentions that it wants."""
    dictionary, corpus, path = tmp_path / "names.txt", tmp_path / "train.pubtator", tmp_path / "preference.yaml"
    dictionary.write_text("\n".join(NAMES) + "\n")
    with corpus.open("w") as f:
        for i, (text, gold) in enumerate(MENTIONS):
            f.write(f"{i}|t|{text}\n{i}|a|\n{i}\t0\t{len(text)}\t{text}\tDisease\t{gold}\n\n")
    kb = load_kb(dictionary)
    tokenizer = train_tokenizer((kb.key(i) for i in range(kb.n_keys)), 290, ["START", "END", "is"])
    shape = {"width": 8, "encoder_layers": 1, "decoder_layers": 1, "heads": 1, "max_positions": 64}
    template = Template(source_tokens=32, prefix_tokens=24)
    search = SearchSettings(name_tokens=24)
    GenerativeLinker(fresh_bart(tokenizer, **shape, seed=0), tokenizer, kb, template=template, search=search).save(
        tmp_path / "model"
    )
    values = {
        "stage": "preference",
        "output": str(tmp_path / "run"),
        "knowledge_base": [str(dictionary)],
        "model": {"checkpoint": str(tmp_path / "model")},
        "corpus": {"train": [str(corpus)]},
        "harvest": {"k": 3},
        "optimiser": {"batch_size": 2, "steps": 1, "learning_rate": 0.001},
        "target_tokens": 24,
        "precision": "fp32",
    }
    path.write_text(yaml.safe_dump(values))
    return path


def table(text: str) -> dict[str, list[str]]:
    """The rows of the tables by their first word or words; numbers follow two spaces or more."""
    rows = [[cell for cell in line.split("  ") if cell.strip()] for line in text.splitlines() if line.strip()]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


def test_the_harvest_is_carried_out_and_counted_and_training_goes_on_with_it(recipe: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["harvest", str(recipe)], catch_exceptions=False)
    answers = tmp_path / "run" / "round-1" / "answers.jsonl"
    lists = [[a["right"] for a in json.loads(line)["answers"]] for line in answers.read_text().splitlines()]
    assert [len(right) for right in lists] == [3, 3]
    rows = table(run.stdout)
    assert rows["lists"] == ["2"]
    assert rows["questions"] == ["3"]
    assert rows["first name right"] == [str(sum(right[0] for right in lists))]
    assert rows["no name right"] == [str(sum(not any(right) for right in lists))]
    assert rows["no name wrong"] == ["0"]
    assert rows["names too long"] == ["0"]
    assert rows["no_answer"] == ["lists left", "pairs: misordered", "pairs: all", "pairs: hardest"]
    with_right = [right for right in lists if any(right)]
    every = sum(sum(right) * (3 - sum(right)) for right in with_right)
    assert [rows["skip"][0], *rows["skip"][2:]] == [str(len(with_right)), str(every), str(len(with_right))]
    assert [rows["nearest"][0], rows["nearest"][3]] == ["2", "2"]
    assert "go on with genlink train" in run.stderr
    assert not (tmp_path / "run" / "model").exists()

    before = answers.read_bytes()
    again = CliRunner().invoke(app, ["harvest", str(recipe), "--resume"], catch_exceptions=False)
    assert again.stdout == run.stdout
    CliRunner().invoke(app, ["train", str(recipe), "--resume"], catch_exceptions=False)
    assert (tmp_path / "run" / "model" / "manifest.json").exists()
    assert answers.read_bytes() == before


def test_of_several_processes_one_says_what_was_found(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke(app, ["harvest", str(recipe)], catch_exceptions=False)
    monkeypatch.setattr(PartialState, "is_main_process", property(lambda self: False))
    again = CliRunner().invoke(app, ["harvest", str(recipe), "--resume"], catch_exceptions=False)
    assert run.stdout and not again.stdout
    assert "go on with" in run.stderr and "go on with" not in again.stderr


def test_the_options_are_those_of_training(recipe: Path, tmp_path: Path) -> None:
    def harvest(*options: str) -> None:
        CliRunner().invoke(app, ["harvest", str(recipe), *options], catch_exceptions=False)

    elsewhere = tmp_path / "elsewhere"
    harvest("--output", str(elsewhere), "--set", "harvest.k=2")
    line = json.loads((elsewhere / "round-1" / "answers.jsonl").read_text().splitlines()[0])
    assert len(line["answers"]) == 2
    assert not (tmp_path / "run").exists()
    for options, problem in (
        ([], "holds an earlier run"),
        (["--resume"], "was begun with harvest.k 2, the recipe now has 3"),
        (["--resume", "--overwrite"], "give one of them"),
        (["--set", "stage=pretrain", "--set", "corpus="], "harvest and preference are not of stage pretrain"),
    ):
        with pytest.raises(UsageError, match=problem):
            harvest("--output", str(elsewhere), *options)
    harvest("--output", str(elsewhere), "--overwrite")
    line = json.loads((elsewhere / "round-1" / "answers.jsonl").read_text().splitlines()[0])
    assert len(line["answers"]) == 3
