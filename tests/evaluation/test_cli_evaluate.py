"""``genlink evaluate``, ``score`` and ``compare`` from the outside, on a corpus of five mentions."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from genlink.cli import evaluate as verbs
from genlink.errors import DataError, UsageError

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
for verb in (verbs.evaluate, verbs.score, verbs.compare):
    app.command()(verb)

RUN = ["data/dev.pubtator", "--kb", "data/names.txt", "--train", "data/train.pubtator"]


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_exact_scores_what_can_be_worked_out_by_hand(data):
    # Renal colic, colic: right. Podagra: right by a name from training. Fever: D2 or D3. Plague and zinc are dropped.
    done = run("evaluate", "exact", *RUN, "--preset", "angel", "--preset", "strict", "--json")
    result = json.loads(done.stdout)
    metrics = result["metrics"]
    assert metrics["angel"]["acc@1"]["value"] == 4 / 4
    assert metrics["strict"]["acc@1"]["value"] == 3 / 4
    assert metrics["strict: ambiguous mention"]["acc@1"] == {"value": 0, "low": None, "high": None, "n": 1}
    assert metrics["angel: concept unseen"]["acc@1"]["n"] == 1
    assert result["settings"]["dropped"]["angel"] == {"unlabelled": 0, "nil": 1, "out_of_kb": 1}
    assert result["settings"]["names_added"] == 2
    assert [entry["path"] for entry in result["data"]] == ["data/dev.pubtator", "data/train.pubtator", "data/names.txt"]


def test_the_dictionary_as_published_does_not_know_the_names_of_training(data):
    done = run("evaluate", "exact", *RUN, "--dictionary", "kb", "--json")
    assert json.loads(done.stdout)["metrics"]["angel"]["acc@1"]["value"] == 3 / 4


def test_nil_and_out_of_kb_mentions_can_count(data):
    done = run("evaluate", "exact", *RUN, "--nil", "count", "--json")
    # Zinc is NIL and nothing is predicted: right. Plague is not in the knowledge base: wrong.
    assert json.loads(done.stdout)["metrics"]["angel"]["acc@1"] == pytest.approx(
        {"value": 5 / 6, "low": 2 / 3, "high": 1.0, "n": 6}
    )


def test_a_directory_receives_predictions_and_result(data, tmp_path):
    run("evaluate", "tfidf", *RUN, "--output", str(tmp_path / "run"), "--name", "TF-IDF", "--order", "3")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["settings"]["name"], result["settings"]["order"]) == ("TF-IDF", 3)
    assert len((tmp_path / "run" / "predictions.jsonl").read_text().splitlines()) == 6
    assert str(tmp_path) not in (tmp_path / "run" / "result.json").read_text()


def test_the_policy_is_printed_with_every_score(data):
    done = run("evaluate", "exact", *RUN, "--preset", "angel", "--preset", "biosyn")
    assert "angel: lenient / any / drop / kb+train / preprocessed" in done.stdout
    assert "biosyn: lenient / all / drop / kb+train / preprocessed" in done.stdout
    assert "4 mentions count. Left out: 0 unlabelled, 1 NIL, 1 out of the knowledge base." in done.stdout
    assert "Linking 6 mentions" in done.stderr


def test_types_and_limit_choose_mentions(data):
    only = run("evaluate", "exact", *RUN, "--type", "Disease", "--limit", "1", "--json")
    assert json.loads(only.stdout)["n"] == 3


def test_predictions_are_scored_again_without_the_knowledge_base(data, tmp_path):
    path = str(tmp_path / "predictions.jsonl")
    run("evaluate", "tfidf", *RUN, "--predictions", path)
    again = json.loads(run("score", path, "--preset", "strict", "--json").stdout)
    assert again["policies"] == {"strict": "strict / any / drop"}
    assert again["metrics"]["strict"]["acc@1"]["value"] == 3 / 4
    printed = run("score", path, "--ambiguous", "std").stdout
    assert "angel: std / any / drop" in printed


def test_two_systems_are_compared(data, tmp_path):
    paths = [str(tmp_path / f"{dictionary}.jsonl") for dictionary in ("kb", "kb+train")]
    for dictionary, path in zip(("kb", "kb+train"), paths, strict=True):
        run("evaluate", "exact", *RUN, "--dictionary", dictionary, "--predictions", path)
    compared = json.loads(run("compare", *paths, "--json").stdout)
    assert (compared["first"], compared["second"]) == (3 / 4, 4 / 4)
    assert (compared["only_first"], compared["only_second"], compared["p"]) == (0, 1, 1.0)
    assert (compared["A"], compared["B"]) == ("kb.jsonl", "kb+train.jsonl")
    assert "McNemar" in run("compare", *paths).stdout


def test_predictions_over_other_mentions_cannot_be_compared(data, tmp_path):
    paths = [str(tmp_path / f"{i}.jsonl") for i in range(2)]
    run("evaluate", "exact", *RUN, "--predictions", paths[0])
    run("evaluate", "exact", *RUN, "--limit", "1", "--predictions", paths[1])
    with pytest.raises(DataError, match="1 count in the first file only, 0 in the second only"):
        run("compare", *paths)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["exact", "data/dev.pubtator"], "--kb"),
        (["exact", "data/dev.pubtator", "--kb", "data/names.txt"], "--train"),
        (["exakt", *RUN], "no such model"),
        (["exact", *RUN, "--preset", "angle"], "Did you mean `angel`"),
        (["exact", *RUN, "--type", "Gene"], "The corpus has: Chemical, Disease"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(data, arguments, advice):
    with pytest.raises(UsageError, match=advice):
        run("evaluate", *arguments)


@pytest.mark.parametrize("verb", ["evaluate", "score", "compare"])
def test_help_shows_examples(verb):
    assert f"genlink {verb} " in run(verb, "--help").stdout
