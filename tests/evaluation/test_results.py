"""Result files: complete, and without a trace of somebody's disk."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import pytest

from genlink.data_paths import display, locate
from genlink.errors import DataError, FormatError
from genlink.evaluation import read_result, write_result
from genlink.evaluation.results import command_line
from genlink.metrics import Estimate


def test_a_path_below_data_is_moved_by_the_environment_and_shown_unmoved(data):
    assert locate("data/dev.pubtator") == data / "dev.pubtator"
    assert display(data / "dev.pubtator") == "data/dev.pubtator"
    assert display("data/dev.pubtator") == "data/dev.pubtator"


def test_other_paths_are_left_alone(data):
    assert locate("models/x") == Path("models/x")
    assert locate("database/x") == Path("database/x")
    assert display("models/x") == "models/x"
    assert display(Path.cwd() / "models" / "x") == "models/x"


def test_without_the_variable_data_lies_here(tmp_path, monkeypatch):
    monkeypatch.delenv("GENLINK_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert locate("data/x") == Path("data/x")
    assert display(tmp_path / "data" / "x") == "data/x"


def test_of_a_path_elsewhere_only_the_last_part_is_shown(data):
    assert display("/home/somebody/models/mine") == "mine"
    assert display("../somebody/mine") == "mine"


def test_the_recorded_command_has_no_outside_path(data):
    command = ["/usr/local/bin/genlink", "evaluate", "/home/somebody/mine", str(data / "dev.pubtator")]
    command += ["--kb=../secret/kb", "--name", "my model", "--train", "data/train.pubtator", "--k", "5"]
    assert command_line(command) == (
        "genlink evaluate mine data/dev.pubtator --kb=kb --name 'my model' --train data/train.pubtator --k 5"
    )
    assert command_line(["/x/genlink/__main__.py", "kb"]) == "genlink kb"
    assert command_line(["/x/scripts/bench.py", "--n", "3"]) == "python scripts/bench.py --n 3"


def test_plain_words_of_a_command_are_no_paths_wherever_it_is_run(data, monkeypatch):
    monkeypatch.chdir(data)
    command = ["genlink", "evaluate", "exact", "dev.pubtator", "--order=2"]
    assert command_line(command) == "genlink evaluate exact dev.pubtator --order=2"


def test_a_result_file_holds_all_that_is_needed_to_repeat_it(data, tmp_path):
    path = tmp_path / "results" / "topic" / "name.json"
    write_result(
        path,
        command=["genlink", "evaluate", "exact", str(data / "dev.pubtator")],
        data=[data / "dev.pubtator"],
        seed=7,
        n=3,
        settings={"k": 10},
        metrics={"angel": {"acc@1": Estimate(0.5, 0.25, 0.75, 3)}},
        packages=["scikit-learn", "not-installed"],
    )
    value = read_result(path)
    assert set(value) == {
        "command", "commit", "dirty", "created", "versions", "hardware", "data", "seed", "n", "settings", "metrics",
    }  # fmt: skip
    assert value["command"] == "genlink evaluate exact data/dev.pubtator"
    digest = hashlib.sha256((data / "dev.pubtator").read_bytes()).hexdigest()
    assert value["data"] == [{"path": "data/dev.pubtator", "sha256": digest}]
    assert value["metrics"] == {"angel": {"acc@1": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 3}}}
    assert datetime.fromisoformat(value["created"]).tzinfo == timezone.utc
    assert {"python", "genlink", "numpy", "scipy"} <= set(value["versions"])
    assert value["versions"]["scikit-learn"] == metadata.version("scikit-learn")
    assert "not-installed" not in value["versions"]
    assert set(value["hardware"]) == {"cpu", "cores", "threads", "gpu"}
    assert value["commit"] is None or len(value["commit"]) == 40
    assert str(data.parent) not in path.read_text()


def test_data_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        write_result(tmp_path / "x.json", command=["genlink"], data=["nowhere"], seed=0, n=0, settings={}, metrics={})


def test_another_json_file_is_no_result(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"command": "x"}))
    with pytest.raises(FormatError, match=r"no commit, created, .*Is this a result file"):
        read_result(path)
