"""Systems trained with several seeds: means over runs, differences mention by mention, intervals over documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from genlink.errors import DataError
from genlink.evaluation import Policy, read_result, write_predictions
from genlink.evaluation.seeds import ScoredRun, compare_seeds, pool_differences, score_run
from genlink.evaluation.tables import render_table

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_seeds.py"


def records_of(record, ranks: list[int]):
    """Predictions of one run: the right answer to the mention of each document stands at its rank."""
    answers = [[(f"X{j}", j) for j in range(1, rank)] + [("A", rank)] for rank in ranks]
    return [record([["A"]], *wrong, document_id=str(i)) for i, wrong in enumerate(answers)]


def run_of(record, ranks: list[int]) -> ScoredRun:
    return score_run(records_of(record, ranks), Policy())


def test_accuracies_are_means_over_runs_and_the_difference_is_to_the_first(record):
    base = [run_of(record, [1, 2, 6, 1]), run_of(record, [1, 2, 2, 2])]
    better = [run_of(record, [1, 1, 6, 1])]
    rows = compare_seeds({"base": base, "better": better})
    assert rows["base"]["acc@1"].value == (2 / 4 + 1 / 4) / 2
    assert rows["base"]["acc@5"].value == (3 / 4 + 4 / 4) / 2
    assert (rows["base"]["lowest"].value, rows["base"]["highest"].value) == (1 / 4, 2 / 4)
    assert "difference" not in rows["base"]
    difference = rows["better"]["difference"]
    assert difference.value == 3 / 4 - 3 / 8
    assert difference.low < difference.value < difference.high
    assert rows["better"]["lowest"] == rows["better"]["highest"]


def test_a_difference_that_every_document_shares_has_no_width(record):
    rows = compare_seeds({"wrong": [run_of(record, [2, 2, 2])], "right": [run_of(record, [1, 1, 1])]})
    difference = rows["right"]["difference"]
    assert (difference.value, difference.low, difference.high) == (1, 1, 1)


def test_runs_over_other_mentions_or_other_gold_are_refused(record):
    base, shorter = run_of(record, [1, 1]), run_of(record, [1])
    of_other_gold = [*records_of(record, [1]), record([["B"]], ("B", 1), document_id="1")]
    with pytest.raises(DataError, match="other: a run has 1 mentions that count, and they are not the 2"):
        compare_seeds({"base": [base], "other": [shorter]})
    with pytest.raises(DataError, match="are not the 2"):
        compare_seeds({"base": [base, score_run(of_other_gold, Policy())]})
    with pytest.raises(DataError, match="none: no predictions"):
        compare_seeds({"none": []})


def test_a_system_may_be_compared_with_any_other_and_has_a_p_value(record):
    systems = {
        "last": [run_of(record, [1, 1, 1, 1])],
        "first": [run_of(record, [2, 2, 2, 2])],
        "same": [run_of(record, [2, 2, 2, 2])],
    }
    rows = compare_seeds(systems, before={"last": "first", "same": "first"}, resamples=999)
    assert "difference" not in rows["first"]
    # Every document gains, so no resample is on the other side of zero: 2 * (0 + 1) / (999 + 1).
    assert (rows["last"]["difference"].value, rows["last"]["difference"].p) == (1, 0.002)
    assert (rows["same"]["difference"].value, rows["same"]["difference"].p) == (0, 1)
    to_the_first = compare_seeds(systems)
    assert to_the_first["same"]["difference"].value == -1
    assert "difference" not in to_the_first["last"]


def test_a_pooled_difference_is_the_mean_over_corpora_and_their_dictionaries(record):
    wrong, right, half = ([run_of(record, ranks)] for ranks in ([2, 2, 2, 2], [1, 1, 1, 1], [1, 1, 2, 2]))
    small = ([run_of(record, [2, 2])], [run_of(record, [1, 1])])
    # 1 and 1/2 under the dictionaries of the first corpus, -1 in the second; its two mentions weigh as much as four.
    pooled = pool_differences([[(right, wrong), (half, wrong)], [small]])
    assert pooled.value == pytest.approx(((1 + 1 / 2) / 2 - 1) / 2)
    assert pooled.n == 4 + 2
    # What is resampled is the document under both dictionaries: the second alone is unsure.
    assert pooled.low < pooled.value < pooled.high
    alone = compare_seeds({"wrong": wrong, "half": half})["half"]["difference"]
    assert pool_differences([[(half, wrong)]]) == alone
    with pytest.raises(DataError, match="dictionary 2, system 1: a run has 2 mentions"):
        pool_differences([[(right, wrong), small]])


def test_the_script_writes_a_result_that_a_table_is_made_from(record, tmp_path):
    for name, ranks in {"a-0": [1, 2], "a-1": [2, 2], "b-0": [1, 1]}.items():
        write_predictions(tmp_path / f"{name}.jsonl", records_of(record, ranks))
    topic = tmp_path / "seeds"
    command = [sys.executable, str(SCRIPT), str(topic / "toy.json"), "slow=a-*.jsonl", "fast, b=b-*.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    result = read_result(topic / "toy.json")
    assert result["settings"]["runs"] == {"slow": 2, "fast, b": 1}
    assert len(result["data"]) == 3
    lines = render_table(topic).splitlines()
    assert lines[2].startswith("| toy | slow | 2 | angel | 25.0 [0.0, 50.0] | 0.0 to 50.0 | 100.0 | – | 2 |")
    assert lines[3].startswith(
        "| toy | fast, b | 1 | angel | 100.0 [100.0, 100.0] | 100.0 to 100.0 | 100.0 | 75.0 [50.0, 100.0]"
    )


@pytest.mark.parametrize(
    ("system", "problem", "code"),
    [
        ("a", "expected NAME=PATTERN", 2),
        ("a=", "expected NAME=PATTERN", 2),
        ("a=no-*.jsonl", "no such predictions", 1),
        ("a=/no/such-*/kb.jsonl", "no such predictions", 1),
    ],
)
def test_what_the_script_cannot_read_is_one_line(tmp_path, system, problem, code):
    command = [sys.executable, str(SCRIPT), "out.json", system]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


def test_a_system_is_named_once(record, tmp_path):
    write_predictions(tmp_path / "a.jsonl", records_of(record, [1, 2]))
    command = [sys.executable, str(SCRIPT), "out.json", "a=a.jsonl", f"a={tmp_path}/*.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: a: named twice. Give each system a name of its own.\n")
