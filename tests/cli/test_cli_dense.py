"""A dense model at the command line: linked with, scored, and its vectors shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from calls import Run

from genlink.encoders.encoder import TextEncoder
from genlink.encoders.shapes import fresh_bert, train_wordpiece
from genlink.kb import load_kb
from genlink.linkers.dense import DenseLinker

CORPUS = (
    "1|t|Asthma and heart attack.\n1|a|Both are common.\n"
    "1\t0\t6\tAsthma\tDisease\tC2\n"
    "1\t11\t23\theart attack\tDisease\tC1\n"
    "\n"
)


@pytest.fixture
def run(genlink: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("GENLINK_CACHE", str(tmp_path / "cache"))
    return genlink


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.pubtator"
    path.write_text(CORPUS, encoding="utf-8")
    return path


@pytest.fixture
def encoder() -> TextEncoder:
    tokenizer = train_wordpiece(["heart attack", "myocardial infarction", "asthma", "gout"], 80)
    model = fresh_bert(tokenizer, width=16, layers=1, heads=2, max_positions=32, seed=0)
    # Of random weights, only the cosine is sure to be largest for equal texts.
    return TextEncoder(model.eval(), tokenizer, unit_length=True)


@pytest.fixture
def model(encoder: TextEncoder, dictionary: Path, tmp_path: Path) -> Path:
    DenseLinker(encoder, load_kb(dictionary), sparse_weight=0.5).save(tmp_path / "model")
    return tmp_path / "model"


def test_a_dense_model_links_to_its_own_dictionary_and_an_encoder_to_the_one_given(
    run: Run, encoder: TextEncoder, model: Path, dictionary: Path, tmp_path: Path
) -> None:
    encoder.save(tmp_path / "encoder")
    for arguments in (["link", model], ["link", tmp_path / "encoder", "--kb", dictionary, "--precision", "int8"]):
        code, out, err = run(*arguments, "--text", "A history of [[Heart attack]].", "--k", "1")
        assert (code, err) == (0, "")
        assert "C1" in out
    assert len(list(tmp_path.glob("cache/vectors/*/*/manifest.json"))) == 2


def test_on_a_terminal_a_bar_counts_names_however_few_mentions_there_are(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for is_new in (True, False):  # the second time the vectors are there
        code, _, err = run("link", model, "--text", "[[gout]]")
        assert (code, "Embedding" in err) == (0, is_new)


def test_a_dense_model_is_scored_like_any_other(run: Run, model: Path, corpus: Path, tmp_path: Path) -> None:
    result, cache = tmp_path / "result.json", tmp_path / "elsewhere"
    arguments = ["--train", corpus, "--precision", "fp16", "--cache", cache, "--result", result]
    code, _, err = run("evaluate", model, corpus, *arguments)
    assert code == 0, err
    record = json.loads(result.read_text())
    assert record["metrics"]["angel"]["acc@1"]["value"] == 1.0
    described = record["settings"]["linker"]
    assert (described["kind"], described["precision"], described["sparse_weight"]) == ("dense and sparse", "fp16", 0.5)
    assert list(cache.glob("vectors/*/*-fp16/manifest.json"))
    assert not (tmp_path / "cache").exists()


def test_vectors_are_shown_as_json_lines(run: Run, encoder: TextEncoder, model: Path, tmp_path: Path) -> None:
    mentions = tmp_path / "mentions.txt"
    mentions.write_text("Asthma!\n\nheart-attack\n", encoding="utf-8")
    code, out, _ = run("embed", model, "--file", mentions)
    shown = [json.loads(line) for line in out.splitlines()]
    assert (code, [record["read"] for record in shown]) == (0, ["asthma", "heart attack"])
    assert shown[0]["dense"] == pytest.approx(encoder.embed(["asthma"])[0].tolist(), abs=1e-5)
    assert set(shown[0]["sparse"]) == {"a", "s", "t", "h", "m", "as", "st", "th", "hm", "ma"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["embed", "exact", "--text", "gout"], 2, "is no encoder and no dense linker"),
        (["embed", "minilm"], 2, "Give either --text or --file."),
        (["embed", "minilm", "--text", "gout", "--text", " "], 2, "--text is empty"),
        (["link", "{model}", "--text", "a [[ ]] and [[gout]]"], 2, "marks a mention that is empty"),
        (["link", "{model}", "--text", "a [[]] and [[gout]]"], 2, "marks a mention that is empty"),
        (["link", "minilm", "--text", "[[gout]]"], 2, "minilm: an encoder without a dictionary"),
        (["link", "{model}", "--text", "[[gout]]", "--beams", "3"], 2, "no search and no beams"),
        (["link", "{model}", "--text", "[[gout]]", "--precision", "bf16"], 2, "vectors in bf16"),
        (["link", "{model}", "--text", "[[gout]]", "--index", "faiss"], 2, "the model has a sparse weight"),
        (["link", "runs/nowhere", "--text", "[[gout]]"], 2, "runs/nowhere: no such model"),
    ],
)
def test_what_a_dense_model_cannot_do_is_said_in_one_line(
    run: Run, model: Path, arguments: list[str], code: int, said: str
) -> None:
    found, _, err = run(*(argument.format(model=model) for argument in arguments))
    assert (found, len(err.splitlines())) == (code, 1)
    assert said in err
