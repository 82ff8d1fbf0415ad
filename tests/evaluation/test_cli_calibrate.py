"""``genlink calibrate`` from the outside, on predictions made up here."""

from __future__ import annotations

import json
from functools import partial

import pytest

from genlink.evaluation import read_result, write_predictions
from genlink.files import sha256
from genlink.linkers.calibration import Calibration


@pytest.fixture
def run(genlink):
    """Run ``genlink calibrate``; its exit code, stdout and stderr."""
    return partial(genlink, "calibrate")


@pytest.fixture
def predictions(tmp_path, monkeypatch, record):
    """Thirty mentions of six documents: right and sure, wrong and unsure, NIL and unsure; one unlabelled.

    The records' score is minus their rank, so a sure answer is one alone at rank 1 and an unsure one stands at rank 9.
    """

    def write(name: str = "predictions.jsonl", *, documents: int = 6, nil: bool = True, gold: bool = True):
        records = []
        for i in range(30):
            ids = [["D1"]] if i % 5 < 3 else [[]] if nil and i % 5 == 3 else [["D2"]]
            rank = 1 if i % 5 < 3 and i % 7 else 9
            records.append(
                record(ids if gold else None, ("D1", rank), document_id=str(i % documents), mention_id=str(i))
            )
        records.append(record(None, ("D1", 1), document_id="0", mention_id="unlabelled"))
        write_predictions(tmp_path / name, records)
        return tmp_path / name

    monkeypatch.chdir(tmp_path)
    return write


def test_measures_and_parameters_are_printed(run, predictions):
    code, out, err = run(predictions())
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    assert "30 mentions of 6 documents: 6 are NIL or out of the knowledge base, 30 have a candidate." in words
    assert "Left out: 1 unlabelled." in words
    assert "cross-fitted: 5 folds of whole documents (seed 0)" in words
    assert "An answer is NIL if its probability is below" in words
    assert "That threshold rests on 6 NIL mentions, too few to rely on" in words
    for measure in ("ece [95%]", "brier", "nll", "accuracy", "nil_f1"):
        assert measure in words
    assert "0.933-1.000" in words and "0.000-0.067" in words  # a row for each bin


def test_the_calibration_and_its_result_are_written(run, predictions, tmp_path):
    path = predictions()
    code, out, err = run(path, "--output", "calibration.json", "--result", "result.json", "--json", "--name", "toy")
    assert code == 0
    assert [line.split()[1] for line in err.splitlines()] == ["calibration.json.", "result.json."]
    calibration = Calibration.read("calibration.json")
    assert calibration.ranks == 1 and calibration.nil_threshold is not None
    fitted_on = calibration.fitted_on
    assert fitted_on is not None
    assert (fitted_on.path, fitted_on.sha256) == ("predictions.jsonl", sha256(path))
    assert (fitted_on.n, fitted_on.n_nil, fitted_on.ambiguous) == (30, 6, "lenient")
    result = read_result("result.json")
    assert json.loads(out) == result
    assert result["settings"]["calibration"] == {
        key: value
        for key, value in json.loads((tmp_path / "calibration.json").read_text()).items()
        if key not in ("kind", "format_version")
    }
    assert (result["settings"]["name"], result["settings"]["order"]) == ("toy", 0)
    assert set(result["metrics"]) == {"softmax(score)", "exp(score)", "calibrated"}
    bins = result["settings"]["reliability"]["calibrated"]
    assert (len(bins), sum(b["n"] for b in bins)) == (15, 30)
    assert (result["n"], result["settings"]["folds"], result["settings"]["cross_fitted"]) == (30, 5, True)
    assert str(tmp_path) not in (tmp_path / "result.json").read_text()


def test_a_corpus_without_nil_mentions_gets_no_threshold_and_a_line_that_says_so(run, predictions):
    code, out, _ = run(predictions(nil=False), "--output", "calibration.json")
    assert code == 0
    assert "No mention is NIL or out of the knowledge base, so there is no NIL threshold.\n" in out
    assert "nil_f1" not in out
    assert Calibration.read("calibration.json").nil_threshold is None


def test_one_fold_measures_on_the_mentions_of_the_fit_and_says_so(run, predictions):
    code, out, _ = run(predictions(documents=1), "--folds", "1")
    assert code == 0
    assert "measured on the mentions of the fit, and so flatters it" in out


def test_a_diagram_is_drawn(run, predictions, tmp_path):
    for name in ("first.svg", "second.svg"):
        assert run(predictions(), "--plot", name)[0] == 0
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


@pytest.mark.parametrize(
    ("code", "made", "arguments", "says"),
    [
        (1, {"gold": False}, [], "None of the 31 mentions has gold ids"),
        (1, {"documents": 1}, [], "All mentions are of one document"),
        (2, {}, ["--ambiguous", "lose"], "ambiguous"),
        (2, {}, ["--plot", "plot.pdf"], "plot.pdf: a plot is an SVG or PNG file"),
        (2, {}, ["--folds", "0"], "--folds"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(
    run, predictions, tmp_path, code, made, arguments, says
):
    found, out, err = run(predictions(**made), "--output", "calibration.json", *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert err.startswith("error: ") and says in err
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_a_missing_file_is_named(run, tmp_path):
    code, _, err = run(tmp_path / "none.jsonl")
    assert code == 1 and "none.jsonl: no such file" in err and err.count("\n") == 1


def test_help_shows_examples(run):
    code, out, _ = run("--help")
    assert code == 0 and "genlink calibrate runs/model/predictions.jsonl --output calibration.json" in out
