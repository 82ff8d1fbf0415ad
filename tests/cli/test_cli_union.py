"""Unions and benchmarks of models at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calls import MakeLinker, Run

from genlink.evaluation import benchmark
from genlink.files import sha256
from genlink.kb import KnowledgeBase, load_kb
from genlink.linkers.model_directory import UnionSettings, read_union, write_union
from genlink.schema import Concept

DICTIONARY = "C1||heart attack\nC1||myocardial infarction\nC2||asthma\nC3||gout\n"
DOCUMENT = (
    "{i}|t|Asthma and gout.\n{i}|a|Both are common.\n{i}\t0\t6\tAsthma\tDisease\tC2\n{i}\t11\t15\tgout\tDisease\tC3\n\n"
)
FILE = """\
results: result.json
runs: runs
corpus: dev.pubtator
kb: [names.txt]
presets: [angel]
sample: 1
repeats: 1
linkers:
  - {name: exact match, system: exact}
  - {name: choosing, system: choosing}
"""


@pytest.fixture
def place(tiny_generator: MakeLinker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a dictionary, a corpus and a generator of random weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENLINK_CACHE", str(tmp_path / "cache"))
    Path("names.txt").write_text(DICTIONARY, encoding="utf-8")
    Path("dev.pubtator").write_text("".join(DOCUMENT.format(i=i) for i in (1, 2)), encoding="utf-8")
    tiny_generator(load_kb("names.txt")).save("model")
    return tmp_path


def test_a_union_is_made_scored_and_measured_like_any_linker(
    place: Path, tiny_generator: MakeLinker, genlink: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert genlink("union", "model", "exact", "--output", "choosing")[0] == 0
    assert read_union("choosing") == UnionSettings("model", "exact")
    fused = ["union", "model", "tfidf", "dev.pubtator", "--dictionary", "kb", "--folds", "2", "--output", "fused"]
    code, out, _ = genlink(*fused, "--result", "fit.json")
    assert code == 0
    weight = read_union("fused").weight
    fit = json.loads(Path("fit.json").read_text())
    assert fit["settings"]["union"]["weight"] == weight and weight in fit["settings"]["grid"]
    assert list(fit["metrics"]) == ["weight 0", "cross-fitted", "fitted"]
    assert "cross-fitted" in out
    # Exact match gives the generator the right concept and no other to choose from.
    evaluate = ["evaluate", "choosing", "dev.pubtator", "--dictionary", "kb", "--result", "score.json"]
    assert genlink(*evaluate)[0] == 0
    assert json.loads(Path("score.json").read_text())["metrics"]["angel"]["acc@1"]["value"] == 1.0

    monkeypatch.setattr(benchmark, "in_fresh_process", lambda work, *arguments: work(*arguments))
    Path("file.yaml").write_text(FILE, encoding="utf-8")
    assert genlink("benchmark", "file.yaml")[0] == 0
    result = json.loads(Path("result.json").read_text())
    assert [row["acc@1"]["value"] for row in result["metrics"].values()] == [1.0, 1.0]
    assert result["metrics"]["kb: choosing"]["difference"]["value"] == 0
    assert result["settings"]["rows"]["choosing"]["dictionaries"]["kb"]["linker"]["kind"] == "union"
    # A union is another one when a linker that it names is.
    tiny_generator(load_kb("names.txt")).save("model")
    done = "exact match, kb: done (exact)\nchoosing, kb: done (choosing)\n"
    assert genlink("benchmark", "file.yaml", "--dry-run")[:2] == (0, done)
    manifest = Path("model", "generation_config.json")
    manifest.write_text(manifest.read_text() + "\n")
    code, out, _ = genlink("benchmark", "file.yaml", "--dry-run")
    assert code == 0 and "choosing, kb: to run" in out


def test_what_may_not_be_replaced_is_told_before_anything_is_fitted(
    place: Path, genlink: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genlink.linkers.opening.open_union", None)  # so that nothing can be opened
    code, _, err = genlink("union", "model", "tfidf", "dev.pubtator", "--output", "model")
    assert code == 1 and "model: holds other files" in err


def test_the_score_of_a_union_names_the_content_of_all_that_it_is_made_of(place: Path, genlink: Run) -> None:
    write_union(Path("u"), UnionSettings("model", "tfidf"))
    assert genlink("evaluate", "u", "dev.pubtator", "--dictionary", "kb", "--result", "score.json")[0] == 0
    recorded = {entry["path"]: entry["sha256"] for entry in json.loads(Path("score.json").read_text())["data"]}
    assert recorded == {name: sha256(name) for name in ("dev.pubtator", "u", "model")}


def test_a_model_of_another_dictionary_is_not_set_beside_the_others(
    place: Path, tiny_generator: MakeLinker, genlink: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_generator(KnowledgeBase.from_concepts([Concept("C2", ("asthma",))])).save("other")
    monkeypatch.setattr(benchmark, "in_fresh_process", lambda work, *arguments: work(*arguments))
    Path("file.yaml").write_text(FILE.replace("system: choosing", "system: other"), encoding="utf-8")
    code, _, err = genlink("benchmark", "file.yaml")
    assert code == 1 and "linker `choosing`: other links to other concepts or names" in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["tfidf", "exact", "--output", "u"], 2, "tfidf: is no generative linker"),
        (["gone", "exact", "--output", "u"], 2, "gone: no such model"),
        (["model", "exact", "--output", "u", "--result", "r.json"], 2, "Without DEV nothing is fitted"),
        (["model", "exact", "dev.pubtator", "--output", "u"], 2, "Give one with --train"),
        (["model", "exact", "--output", "model"], 1, "holds other files"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    place: Path,
    arguments: list[str],
    code: int,
    said: str,
    genlink: Run,
) -> None:
    found, _, err = genlink("union", *arguments)
    error = err.strip().splitlines()[-1]
    assert found == code and error.startswith("error: ") and said in error
    assert not Path("u").exists() and not Path("r.json").exists() and Path("model", "model.safetensors").exists()
