"""From scores to probabilities at the command line: evaluate, calibrate, and link with what was fitted."""

from __future__ import annotations

import json
import math
from importlib import resources
from pathlib import Path

import pytest
from calls import Run

from genlink import Calibration, load_corpus
from genlink.evaluation import read_predictions

DICTIONARY = "C1||ague\nC2||gout\nC3||gout\nC4||asthma\n"
TEXT = "[[Ague]], [[gout]] and [[plague]]"
CORPUS = "1|t|Ague and plague.\n1\t0\t4\tAgue\tDisease\n1\t9\t15\tplague\tDisease\n\n"


@pytest.fixture
def run(genlink: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `genlink` in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text(DICTIONARY, encoding="utf-8")
    Path("corpus.pubtator").write_text(CORPUS, encoding="utf-8")
    return genlink


def save(threshold: float | None) -> str:
    """A calibration under which the exact linker, whose score is 1, gives e / (e + e) = 0.5."""
    Calibration(1.0, 1.0, ranks=1, nil_threshold=threshold).save("calibration.json")
    return "calibration.json"


def exact(run: Run, *arguments: object) -> str:
    code, out, _ = run("link", "exact", *arguments, "--kb", "names.txt")
    assert code == 0
    return out


def cells(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def test_a_probability_is_printed_for_each_concept(run: Run) -> None:
    heading, *rows = cells(exact(run, "--text", TEXT, "--calibration", save(0.4)))
    assert heading[-2:] == ["score", "probability"]
    assert [(row[0], row[-2:]) for row in rows[:3]] == [
        ("Ague", ["1.00", "0.500"]),
        ("gout", ["1.00", "0.500"]),  # an ambiguous name: one rank, one probability
        ("C3", ["1.00", "0.500"]),
    ]
    assert rows[3] == ["plague", "NIL", "nothing", "found"]


def test_a_nil_answer_is_printed_above_its_candidates(run: Run) -> None:
    _, first, second, *_ = cells(exact(run, "--text", TEXT, "--calibration", save(0.6)))
    assert first == ["Ague", "NIL", "not", "in", "the", "knowledge", "base"]
    assert second == ["C1", "ague", "ague", "1.00", "0.500"]


def test_without_a_calibration_nothing_is_said_of_probabilities(run: Run) -> None:
    heading, *rows = cells(exact(run, "--text", TEXT))
    assert heading[-1] == "score" and rows[-1] == ["plague", "-", "nothing", "found"]
    exact(run, "corpus.pubtator", "--output", "plain.jsonl")
    for record in read_predictions("plain.jsonl"):
        assert record.is_nil is None and {c.probability for c in record.candidates} <= {None}


@pytest.mark.parametrize(("threshold", "answer"), [(0.4, "C1"), (0.6, "-1"), (None, "C1")])
def test_a_nil_answer_is_no_concept_id_in_a_corpus(run: Run, threshold: float | None, answer: str) -> None:
    exact(run, "corpus.pubtator", "--to", "pubtator", "--output", "a.pubtator", "--calibration", save(threshold))
    linked = CORPUS.replace("Ague\tDisease", f"Ague\tDisease\t{answer}")
    linked = linked.replace("plague\tDisease", "plague\tDisease\t-1")
    assert Path("a.pubtator").read_text(encoding="utf-8") == linked
    exact(run, "corpus.pubtator", "--to", "jsonl", "--output", "a.jsonl", "--calibration", "calibration.json")
    [document] = load_corpus("a.jsonl")
    assert [m.gold for m in document.mentions] == [
        (frozenset() if answer == "-1" else frozenset({answer}),),
        (frozenset(),),
    ]


def test_what_was_fitted_on_a_corpus_is_what_it_is_linked_with(run: Run) -> None:
    data = resources.files("genlink.demo") / "data"
    # Every third disease is not in the dictionary: mentions of these are NIL.
    diseases = (data / "diseases.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("kb.jsonl").write_text("".join(line for i, line in enumerate(diseases) if i % 3), encoding="utf-8")
    corpus, fit = str(data / "heldout.jsonl"), "calibration.json"
    common = (corpus, "--kb", "kb.jsonl")
    assert run("evaluate", "tfidf", *common, "--dictionary", "kb", "--predictions", "dev.jsonl")[0] == 0
    assert run("calibrate", "dev.jsonl", "--output", fit)[0] == 0
    linked = ("link", "tfidf", *common, "--calibration", fit, "--k", 2)
    assert run(*linked, "--output", "linked.jsonl")[0] == 0

    calibration = Calibration.read(fit)
    assert calibration.ranks == 10 and calibration.nil_threshold is not None
    assert run("calibrate", "dev.jsonl", "--no-nil", "--output", "without.json")[0] == 0
    without, fitted_on = Calibration.read("without.json"), calibration.fitted_on
    assert without.nil_threshold is None and fitted_on is not None and without.fitted_on is not None
    assert (without.fitted_on.n, without.fitted_on.n_nil) == (fitted_on.n - fitted_on.n_nil, 0)
    dev = {record.key: record for record in read_predictions("dev.jsonl") if record.part is None}
    met = [record for record in read_predictions("linked.jsonl") if record.key in dev]
    assert len(met) > 250
    for record in met:
        scores = {c.rank: c.score for c in dev[record.key].candidates}
        weights = [math.exp(score / calibration.temperature - calibration.rest_logit) for score in scores.values()]
        for candidate in record.candidates:
            assert candidate.rank <= 2
            assert candidate.probability == pytest.approx(weights[candidate.rank - 1] / (1 + sum(weights)))
        best = record.candidates[0].probability
        assert best is not None and record.is_nil == (best < calibration.nil_threshold)
    # The threshold is of some use: it tells NIL from the rest better than a coin.
    nil = [record.is_nil for record in met if not any(record.concepts)]
    others = [record.is_nil for record in met if any(record.concepts)]
    assert sum(map(bool, nil)) / len(nil) > 0.5 > sum(map(bool, others)) / len(others)

    assert run(*linked, "--to", "jsonl", "--output", "corpus.jsonl")[0] == 0
    answers = {m.key: m.is_nil for document in load_corpus("corpus.jsonl") for m in document.mentions}
    assert {record.key: record.is_nil for record in met}.items() <= answers.items()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "calibration.json: no such file"),
        ("not JSON", "calibration.json"),
        ("[1]", "is no calibration"),
        (json.dumps({"kind": "calibration", "format_version": 9}), "format version 9"),
        (json.dumps({"kind": "calibration", "format_version": 1}), "no 'temperature' field"),
    ],
)
def test_what_is_no_calibration_is_refused_in_one_line_and_nothing_is_written(
    run: Run, text: str | None, says: str
) -> None:
    if text is not None:
        Path("calibration.json").write_text(text)
    command = ("link", "exact", "corpus.pubtator", "--kb", "names.txt", "--output", "out.jsonl")
    code, out, err = run(*command, "--calibration", "calibration.json")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: ") and says in err
    assert not Path("out.jsonl").exists()


def test_a_list_has_a_first_rank_and_help_an_example(run: Run) -> None:
    code, _, err = run("link", "exact", "--text", TEXT, "--kb", "names.txt", "--calibration", save(None), "--k", 0)
    assert code == 2 and err.startswith("error: ") and "--k" in err
    assert "--calibration calibration.json" in run("link", "--help")[1]
