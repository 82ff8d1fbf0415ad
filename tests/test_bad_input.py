"""Bad input at the command line: one line that says where and what to do, exit code 1 for data and 2 for usage.

Nothing is written, and no traceback is shown.
"""

from __future__ import annotations

import errno
import gzip
import json
import shutil
import subprocess
import sys
from importlib import metadata

import pytest

DISEASES = "C1||heart attack\nC1||myocardial infarction\nC2||asthma\n"
ABSTRACT = "1|t|Asthma and heart attack.\n1|a|Both are common.\n"
MENTIONS = "1\t0\t6\tAsthma\tDisease\tC2\n1\t11\t23\theart attack\tDisease\tC1\n"


@pytest.fixture
def run(genlink):
    """Run a command line; its exit code and the lines on stderr."""

    def call(*arguments: object) -> tuple[int, list[str]]:
        code, _, err = genlink(*arguments)
        return code, err.strip().splitlines()

    return call


@pytest.fixture
def fails(run):
    """Run a command line that must fail with one line, after what it had to tell till then; that line."""

    def call(code: int, *arguments: object) -> str:
        found, lines = run(*arguments)
        assert found == code, lines
        assert [line.startswith("error: ") for line in lines].index(True) == len(lines) - 1, lines
        return lines[-1]

    return call


@pytest.fixture
def dictionary(tmp_path):
    path = tmp_path / "dictionary.txt"
    path.write_text(DISEASES, encoding="utf-8")
    return path


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.pubtator"
    path.write_text(ABSTRACT + MENTIONS, encoding="utf-8")
    return path


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_good_input_ends_with_zero(run, dictionary, corpus, tmp_path):
    assert run("kb", "build", dictionary, "--output", tmp_path / "kb")[0] == 0
    assert run("evaluate", "exact", corpus, "--kb", tmp_path / "kb", "--dictionary", "kb")[0] == 0


def test_missing_file(fails, tmp_path):
    error = fails(1, "kb", "build", tmp_path / "none.txt", "--output", tmp_path / "kb")
    assert "none.txt: no such file" in error
    assert not (tmp_path / "kb").exists()


def test_wrong_format(fails, dictionary, tmp_path):
    error = fails(1, "kb", "build", dictionary, "--format", "ctd", "--output", tmp_path / "kb")
    assert "dictionary.txt" in error
    error = fails(2, "kb", "build", dictionary, "--format", "owl", "--output", tmp_path / "kb")
    assert "owl" in error and "biosyn" in error


def test_a_corpus_in_no_known_format(fails, tmp_path):
    path = written(tmp_path, "notes.xyz", "just some words\nand more of them\n")
    assert "--format" in fails(1, "corpus", "info", path)


def test_truncated_gzip(fails, tmp_path):
    whole = gzip.compress((DISEASES * 2000).encode())
    path = tmp_path / "dictionary.txt.gz"
    path.write_bytes(whole[: len(whole) // 2])
    error = fails(1, "kb", "build", path, "--format", "biosyn", "--output", tmp_path / "kb")
    assert "dictionary.txt.gz" in error and "gzip" in error
    assert not (tmp_path / "kb").exists()


def test_wrong_encoding(fails, tmp_path):
    path = tmp_path / "dictionary.txt"
    path.write_bytes("C1||asthma\nC2||Sjögren syndrome\n".encode("latin-1"))
    error = fails(1, "kb", "build", path, "--format", "biosyn", "--output", tmp_path / "kb")
    assert "dictionary.txt" in error and "UTF-8" in error and "--encoding" in error


def test_row_with_a_missing_column(fails, corpus, tmp_path):
    path = written(tmp_path, "dictionary.txt", "C1||asthma\nC2\n")
    assert "dictionary.txt:2:" in fails(1, "kb", "build", path, "--format", "biosyn", "--output", tmp_path / "kb")
    path = written(tmp_path, "short.pubtator", ABSTRACT + "1\t0\t6\n")
    assert "short.pubtator:3:" in fails(1, "corpus", "info", path)


def test_duplicate_concept_id_with_different_names(fails, tmp_path):
    rows = [{"id": "X:1", "name": "asthma", "synonyms": []}, {"id": "X:1", "name": "croup", "synonyms": []}]
    path = written(tmp_path, "kb.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    error = fails(1, "kb", "build", path, "--output", tmp_path / "kb")
    assert all(word in error for word in ("X:1", "asthma", "croup"))


def test_empty_knowledge_base(fails, tmp_path):
    path = written(tmp_path, "empty.txt", "")
    assert "empty.txt" in fails(1, "kb", "build", path, "--output", tmp_path / "kb")
    path = written(tmp_path, "nameless.txt", "C1||!!!\n")
    assert fails(1, "kb", "build", path, "--format", "biosyn", "--output", tmp_path / "kb")
    assert not (tmp_path / "kb").exists()


def test_corpus_without_mentions(fails, dictionary, tmp_path):
    path = written(tmp_path, "bare.pubtator", ABSTRACT)
    error = fails(1, "evaluate", "exact", path, "--kb", dictionary, "--dictionary", "kb")
    assert "bare.pubtator" in error and "mention" in error


def test_offset_out_of_range(fails, run, dictionary, tmp_path):
    path = written(tmp_path, "off.pubtator", ABSTRACT + "1\t0\t600\tAsthma\tDisease\tC2\n")
    error = fails(1, "evaluate", "exact", path, "--kb", dictionary, "--dictionary", "kb")
    assert "off.pubtator" in error and "600" in error
    assert run("corpus", "info", path)[0] == 0  # to look at it is no error


@pytest.mark.parametrize("offset", ["0", None, 0.5])
@pytest.mark.parametrize("place", ["passage", "location"])
def test_bioc_json_with_an_offset_that_is_no_number(fails, tmp_path, offset, place):
    location = {"offset": offset if place == "location" else 0, "length": "6" if offset == "0" else 6}
    annotation = {"id": "a", "infons": {"type": "Disease"}, "text": "Asthma", "locations": [location]}
    passage = {"infons": {}, "text": "Asthma.", "sentences": [], "annotations": [annotation], "relations": []}
    passage["offset"] = offset if place == "passage" else 0
    record = {"id": "7", "infons": {}, "passages": [passage], "relations": []}
    path = written(tmp_path, "corpus.json", json.dumps({"documents": [record]}))
    error = fails(1, "corpus", "info", path, "--format", "bioc-json")
    assert "corpus.json" in error and "document 7" in error


def test_empty_separator(fails, tmp_path):
    path = written(tmp_path, "drugs.csv", "id,name,aka\nC1,aspirin,ASA\n")
    error = fails(2, "kb", "build", path, "--synonym-column", "aka", "--separator", "", "--output", tmp_path / "kb")
    assert "--separator" in error
    assert not (tmp_path / "kb").exists()


def test_an_encoding_that_would_be_ignored(fails, dictionary):
    ask = ("link", "exact", "--kb", dictionary, "--text", "[[asthma]]")
    assert "--encoding" in fails(2, *ask, "--encoding", "cp1252")


def test_a_corpus_in_another_encoding_is_read_when_it_is_named(fails, run, tmp_path):
    dictionary = written(tmp_path, "dictionary.txt", "C1||Sjögren syndrome\n")
    text = "1|t|Sjögren syndrome.\n1|a|It is rare.\n1\t0\t16\tSjögren syndrome\tDisease\tC1\n"
    path, output = tmp_path / "corpus.pubtator", tmp_path / "out.jsonl"
    path.write_bytes(text.encode("cp1252"))
    evaluate = ("evaluate", "exact", path, "--train", path, "--kb", dictionary, "--predictions", output)
    link = ("link", "exact", path, "--kb", dictionary, "--output", output)
    for command in (evaluate, link):
        assert "--encoding" in fails(1, *command)
        assert not output.exists()
        assert run(*command, "--encoding", "cp1252", "--format", "pubtator")[0] == 0
        (record,) = map(json.loads, output.read_text(encoding="utf-8").splitlines())
        assert record["text"] == "Sjögren syndrome" and record["candidates"][0]["concept_id"] == "C1"
        output.unlink()


def test_gold_ids_unknown_to_the_knowledge_base(fails, dictionary, tmp_path):
    path = written(tmp_path, "other.pubtator", ABSTRACT + "1\t0\t6\tAsthma\tDisease\tMONDO:4979\n")
    error = fails(1, "evaluate", "exact", path, "--kb", dictionary, "--dictionary", "kb")
    assert "1 have no gold concept in the knowledge base" in error


RECIPE = """
stage: pretrain
output: {output}
knowledge_base: [{dictionary}]
model: {{shape: {{width: 16, heads: 2, vocab_size: 300}}}}
optimiser: {{steps: 1, batch_size: 4{more}}}
"""


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (", warmup: 5", "unknown key `optimiser.warmup`. Did you mean `warmup_steps`?"),
        (", clip: much", "`optimiser.clip`"),
        (", clip: -1", "`optimiser.clip`"),
    ],
)
def test_recipe_with_an_unknown_key_or_a_wrong_value(fails, dictionary, tmp_path, more, says):
    text = RECIPE.format(output=tmp_path / "run", dictionary=dictionary, more=more)
    error = fails(2, "train", written(tmp_path, "recipe.yaml", text))
    assert "recipe.yaml" in error and says in error
    assert not (tmp_path / "run").exists()


@pytest.fixture
def model(run, dictionary, tmp_path):
    recipe = written(tmp_path, "recipe.yaml", RECIPE.format(output=tmp_path / "run", dictionary=dictionary, more=""))
    assert run("train", recipe)[0] == 0
    return tmp_path / "run" / "model"


def test_model_directory_with_a_changed_tokenizer(fails, model, corpus):
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:-1]
    (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    error = fails(1, "evaluate", model, corpus, "--dictionary", "kb")
    assert "tokenizer" in error and str(model) in error


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_no_such_device(fails, model, corpus, device):
    error = fails(2, "evaluate", model, corpus, "--dictionary", "kb", "--device", device)
    assert f"--device {device}" in error and "cpu" in error


def test_model_directory_whose_manifest_lacks_a_key_or_has_an_unknown_setting(fails, model, corpus):
    path = model / "manifest.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    for key in (
        "tokenizer_hash",
        "parameters",
        "kb_hash",
        "names",
        "template",
        "search",
        "preprocessing",
        "normaliser",
    ):
        path.write_text(json.dumps({k: v for k, v in whole.items() if k != key}), encoding="utf-8")
        error = fails(1, "evaluate", model, corpus, "--dictionary", "kb")
        assert f"{model}: its manifest has no `{key}`" in error
    path.write_text(json.dumps({**whole, "search": {"beam": 5}}), encoding="utf-8")
    error = fails(1, "evaluate", model, corpus, "--dictionary", "kb")
    assert str(model) in error and "`search`" in error and "beam" in error


def test_no_such_model(fails, corpus, tmp_path):
    assert "no such model" in fails(2, "evaluate", tmp_path / "nothing", corpus, "--dictionary", "kb")


def test_the_directory_of_a_run_is_not_its_model(fails, model, corpus, tmp_path):
    run = tmp_path / "other"
    shutil.copytree(model, run / "model")
    assert f"Did you mean {run / 'model'}?" in fails(2, "evaluate", run, corpus, "--dictionary", "kb")
    assert "no model that genlink train has written" in fails(2, "evaluate", tmp_path, corpus, "--dictionary", "kb")


def test_a_recipe_whose_checkpoint_was_never_trained(fails, tmp_path, dictionary, corpus):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"stage: finetune\noutput: {tmp_path / 'out'}\nknowledge_base: [{dictionary}]\ncorpus: {{train: [{corpus}]}}\n"
        f"model: {{checkpoint: {tmp_path / 'never' / 'trained' / 'model'}}}\noptimiser: {{steps: 1}}\n"
    )
    error = fails(2, "train", recipe)
    assert "no such model. Carry out the recipe that trains it first." in error
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_is_told_in_a_sentence(fails):
    assert "No such option: --wrong. See " in fails(2, "link", "exact", "--wrong")


def test_the_version_is_told(genlink):
    code, out, _ = genlink("--version")
    assert (code, out.strip()) == (0, metadata.version("genlink"))


def test_full_disk_while_saving_leaves_the_old_directory(fails, run, dictionary, tmp_path, monkeypatch):
    kb = tmp_path / "kb"
    assert run("kb", "build", dictionary, "--output", kb)[0] == 0
    before = {path.name: path.read_bytes() for path in kb.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(kb))

    monkeypatch.setattr("genlink.kb.store.write_manifest", full)
    error = fails(1, "kb", "add", kb, "--id", "C2", "--name", "wheezy lungs", "--output", kb)
    assert "No space left on device" in error
    assert {path.name: path.read_bytes() for path in kb.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_interruption_while_saving_leaves_the_old_directory(fails, run, dictionary, tmp_path, monkeypatch):
    kb = tmp_path / "kb"
    assert run("kb", "build", dictionary, "--output", kb)[0] == 0
    before = {path.name: path.read_bytes() for path in kb.iterdir()}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genlink.kb.store.write_manifest", interrupt)
    assert "interrupted" in fails(130, "kb", "add", kb, "--id", "C2", "--name", "wheezy lungs", "--output", kb)
    assert {path.name: path.read_bytes() for path in kb.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["kb", "build", "x", "--frobnicate"], "--frobnicate"),
        (["nonsense"], "nonsense"),
        (["train"], "FILE"),
        (["evaluate", "exact"], "CORPUS"),
    ],
)
def test_unknown_options_commands_and_missing_arguments_are_usage(fails, arguments, says):
    error = fails(2, *arguments)
    assert says in error and "--help" in error


def test_the_program_itself_prints_one_line_and_exits_with_one(tmp_path):
    command = [sys.executable, "-m", "genlink", "corpus", "info", str(tmp_path / "none.pubtator")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and "none.pubtator" in done.stderr
