"""Tables in documents come from result files, and --check tells when they no longer do."""

from __future__ import annotations

import json
import runpy
from dataclasses import asdict
from pathlib import Path

import pytest

from genlink.errors import DataError, FormatError
from genlink.evaluation import PRESETS
from genlink.evaluation.tables import fill_tables, render_table

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_tables.py"


def write_result(path: Path, name: str | None, order: int, angel: float, strict: float | None, low: float | None = 0.5):
    def estimate(value):
        return {"value": value, "low": low, "high": 0.95, "n": 40}

    path.parent.mkdir(parents=True, exist_ok=True)
    metrics = {"angel": {"acc@1": estimate(angel), "acc@5": estimate(0.9)}}
    if strict is not None:
        metrics["strict"] = {"acc@1": estimate(strict)}
    policies = {preset: asdict(PRESETS[preset]) for preset in metrics}
    keys = ("command", "commit", "created", "versions", "hardware", "data", "seed")
    settings = {"name": name, "order": order, "policies": policies}
    path.write_text(json.dumps({**dict.fromkeys(keys), "n": 40, "settings": settings, "metrics": metrics}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_result(tmp_path / "results" / "toy" / "a.json", "model", 1, 0.876, 0.7)
    write_result(tmp_path / "results" / "toy" / "b.json", None, 0, 0.6, None, low=None)
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("Before\n<!-- table:toy -->\nold\n<!-- /table -->\nAfter\n")
    (tmp_path / "docs" / "plain.md").write_text("No table.\n")
    return tmp_path


TABLE = """\
| system | dictionary | Acc@1 angel [95% interval] | Acc@5 angel | Acc@1 strict | n |
| --- | --- | ---: | ---: | ---: | ---: |
| b | kb+train | 60.0 | 90.0 | – | 40 |
| model | kb+train | 87.6 [50.0, 95.0] | 90.0 | 70.0 | 40 |
"""


def test_a_table_has_a_row_for_each_result_by_order_then_name(root):
    assert render_table(root / "results" / "toy") == TABLE


def test_what_stands_between_the_marks_is_replaced_and_nothing_else(root):
    text = (root / "README.md").read_text()
    filled = fill_tables(text, "README.md", root / "results")
    assert filled == f"Before\n<!-- table:toy -->\n{TABLE}<!-- /table -->\nAfter\n"
    assert fill_tables(filled, "README.md", root / "results") == filled


def test_a_mark_without_its_end_and_a_topic_without_results_are_errors(root):
    with pytest.raises(FormatError, match=r"README\.md: a `<!-- table:\.\.\. -->`"):
        fill_tables("<!-- table:toy -->\n", "README.md", root / "results")
    with pytest.raises(DataError, match="no result files"):
        fill_tables("<!-- table:other -->\n<!-- /table -->\n", "README.md", root / "results")


def write_record(path: Path, settings: dict[str, object], metrics: dict[str, object]) -> None:
    record = dict.fromkeys(("command", "commit", "created", "versions", "hardware", "data", "seed"), "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**record, "n": 1, "settings": settings, "metrics": metrics}), encoding="utf-8")


def test_a_result_file_that_names_its_columns_is_shown_as_it_is(tmp_path):
    metrics = {"a file": {"names": {"value": 1234}, "seconds": {"value": 0.5}, "not shown": {"value": 1}}}
    write_record(tmp_path / "kb" / "build.json", {"columns": ["names", "seconds"]}, metrics)
    header, _, row = render_table(tmp_path / "kb").splitlines()
    assert header == "|  | names | seconds |"
    assert row == "| a file | 1,234 | 0.5 |"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (4_000_000, "4,000,000"),
        (12345.6, "12,345.6"),
        (12345.678, "12,345.7"),
        (91.96, "92.0"),
        (1.234, "1.23"),
        (0.0032, "0.0032"),
        (0.000012, "0.000012"),
        (-0.25, "-0.25"),
        (0.0, "0.0"),
        (None, "–"),
    ],
)
def test_plain_numbers_have_the_digits_that_count(tmp_path, value, shown):
    write_record(tmp_path / "kb" / "build.json", {"columns": ["mb"]}, {"a file": {"mb": {"value": value}}})
    assert render_table(tmp_path / "kb").splitlines()[2] == f"| a file | {shown} |"


def test_a_row_without_a_measure_has_an_empty_cell(tmp_path):
    metrics = {"both": {"mb": {"value": 2}, "seconds": {"value": 0.5}}, "one": {"mb": {"value": 3}}}
    write_record(tmp_path / "kb" / "build.json", {"columns": ["mb", "seconds"]}, metrics)
    assert render_table(tmp_path / "kb").splitlines()[2:] == ["| both | 2 | 0.5 |", "| one | 3 | – |"]


def test_a_result_file_of_plain_numbers_is_not_lost_behind_another(tmp_path):
    for name in ("build", "open"):
        write_record(tmp_path / "kb" / f"{name}.json", {"columns": ["n"]}, {name: {"n": {"value": 1}}})
    with pytest.raises(
        DataError, match="2 result files, but one of plain numbers, an experiment, a benchmark or a union is a table"
    ):
        render_table(tmp_path / "kb")
    assert "| open | 1 |" in render_table(tmp_path / "kb" / "open")


@pytest.mark.parametrize(
    ("preset", "rule", "value"),
    [("angel", "ambiguous", "strict"), ("strict", "composite", "all"), ("angel", "mentions", "raw")],
)
def test_a_score_by_an_overridden_preset_is_not_shown_as_the_preset_s(root, preset, rule, value):
    path = root / "results" / "toy" / "a.json"
    record = json.loads(path.read_text())
    record["settings"]["policies"][preset][rule] = value
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match=f"`model`: its scores under `{preset}` .*{rule} is {value}"):
        render_table(root / "results" / "toy")


def test_the_dictionary_may_be_another_for_it_has_a_column(root):
    path = root / "results" / "toy" / "a.json"
    record = json.loads(path.read_text())
    for policy in record["settings"]["policies"].values():
        policy["dictionary"] = "kb"
    path.write_text(json.dumps(record))
    assert "| model | kb | 87.6" in render_table(root / "results" / "toy")


def test_training_runs_have_a_table_of_their_own(tmp_path):
    run = {"step": 10, "examples": 1920, "seconds": 150.0, "best": 0.5}
    settings = {"recipe": {"stage": "pretrain"}, "linker": {"parameters": 6414848}, "processes": 2, "run": run}
    write_record(tmp_path / "training" / "1.json", {"name": "runs/x", **settings}, {})
    assert render_table(tmp_path / "training").splitlines()[2] == (
        "| runs/x | pretrain | 6,414,848 | 10 | 1,920 | 2 | 2 | 50.0 |"
    )


def test_a_calibration_has_a_row_for_each_way_to_a_probability(tmp_path):
    def result(name: str, order: int, n_nil: int, metrics: dict[str, object]) -> None:
        settings = {"name": name, "order": order, "calibration": {"fitted_on": {"n_nil": n_nil}}}
        write_record(tmp_path / "calibration" / f"{order}.json", settings, metrics)

    def estimate(value: float, low: float | None = None, high: float | None = None) -> dict[str, object]:
        return {"value": value, "low": low, "high": high, "n": 40}

    before = {"ece": estimate(0.25, 0.2, 0.5), "brier": estimate(0.125), "nll": estimate(1.5), "accuracy": estimate(1)}
    shown = "0.250 [0.200, 0.500] | 0.125 | 1.500 | 1.000"
    nil = {"nil_precision": estimate(0.75), "nil_recall": estimate(0.6), "nil_f1": estimate(0.6666, 0.5, 0.875)}
    result("b | c", 2, 0, {"softmax(score)": {**before, "ece": estimate(0.5)}})
    result("a", 1, 4, {"softmax(score)": before, "calibrated": {**before, **nil}})
    header, _, *rows = render_table(tmp_path / "calibration").splitlines()
    assert header.count("|") == rows[0].count("|") == 12
    assert rows == [
        f"| a | softmax(score) | {shown} | – | – | – | 1 | 4 |",
        f"| a | calibrated | {shown} | 0.750 | 0.600 | 0.667 [0.500, 0.875] | 1 | 4 |",
        r"| b \| c | softmax(score) | 0.500 | 0.125 | 1.500 | 1.000 | – | – | – | 1 | 0 |",
    ]


def test_what_a_command_printed_is_shown_as_a_block(tmp_path):
    write_record(tmp_path / "demo" / "demo.json", {"output": "line one\nline two\n"}, {})
    filled = fill_tables("<!-- output:demo/demo.json -->\nold\n<!-- /output -->\n", "README.md", tmp_path)
    assert filled == "<!-- output:demo/demo.json -->\n```text\nline one\nline two\n```\n<!-- /output -->\n"
    with pytest.raises(FormatError, match="no `<!-- /output -->`"):
        fill_tables("<!-- output:demo/demo.json -->\n", "README.md", tmp_path)


def run(root: Path, *options: str) -> int:
    return runpy.run_path(str(SCRIPT))["main"](["--root", str(root), *options])


def test_check_fails_until_the_tables_are_made(root, capsys):
    stale = (root / "README.md").read_text()
    assert run(root, "--check") == 1
    assert capsys.readouterr().out == "README.md: differs from results/\n"
    assert (root / "README.md").read_text() == stale
    assert run(root) == 0
    assert capsys.readouterr().out == "README.md: written\n"
    assert TABLE in (root / "README.md").read_text()
    assert run(root, "--check") == 0


def test_the_script_names_what_is_wrong_in_one_line(root, capsys):
    (root / "README.md").write_text("<!-- table:toy -->\n")
    assert run(root) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_the_tables_of_this_repository_are_up_to_date():
    assert run(SCRIPT.parents[1], "--check") == 0


def test_a_union_has_a_row_for_each_way_to_rank(tmp_path: Path) -> None:
    def estimate(value: float, **more: float) -> dict[str, float | int]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 8, **more}

    rows = {
        "weight 0": {"acc@1": estimate(0.5), "acc@5": estimate(0.75)},
        "cross-fitted": {"acc@1": estimate(0.625), "acc@5": estimate(0.75), "difference": estimate(0.125, p=0.25)},
    }
    write_record(tmp_path / "fused.json", {"union": {}}, rows)
    assert render_table(tmp_path / "fused").splitlines()[2:] == [
        "| weight 0 | 50.0 [40.0, 60.0] | 75.0 | – | – | 8 |",
        "| cross-fitted | 62.5 [52.5, 72.5] | 75.0 | 12.5 [2.5, 22.5] | 0.250 | 8 |",
    ]
