"""The benchmark of bulk linking: what it draws, how it watches a command, and that no finished step is done again."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bench_bulk
import pytest
from calls import Run

from genlink.bulk.parts import Parts
from genlink.errors import DataError, UsageError
from genlink.evaluation import read_result
from genlink.evaluation.tables import render_table
from genlink.files import read_json, write_json

NAMES = [f"fever {i}" for i in range(40)]
MENTION = {
    "spans": [[0, 6]],
    "name": "asthma",
    "gold": [["C1"]],
    "probability": 0.5,
    "scores": [-1.5, -2.5],
    "is_nil": False,
}


def test_mentions_are_drawn_once_each_and_then_again() -> None:
    windows = [("No ", "gout", "."), ("No ", "gout", "."), ("A ", "rash", "")]
    pieces = bench_bulk.drawn(windows, NAMES, 10, random.Random(0))
    assert len(pieces) == len(set(pieces)) == 10
    assert set(windows) < set(pieces) and {text for _, text, _ in pieces} < {"gout", "rash", *NAMES}
    assert bench_bulk.drawn(windows, NAMES, 10, random.Random(0)) == pieces
    assert set(bench_bulk.drawn(windows, [], 10, random.Random(0))) == set(windows)
    many = Counter(bench_bulk.repeated(pieces, 500, random.Random(0)))
    assert set(many) == set(pieces) and sum(many.values()) == 500
    assert many[pieces[0]] > 2 * many[pieces[-1]]
    assert len(set(bench_bulk.repeated(pieces, 4, random.Random(0)))) == 4


def test_lines_that_differ_are_counted(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1\n2\n3\n")
    b.write_text("1\nx\n3\n4\n")
    assert (bench_bulk.lines_different(a, a), bench_bulk.lines_different(a, b)) == (0, 2)


def test_of_lines_that_differ_those_with_other_answers_are_counted(tmp_path: Path) -> None:
    def different(mention: dict[str, Any], *lines: str) -> tuple[int, int]:
        paths = [tmp_path / "a", tmp_path / "b"]
        for path, found in zip(paths, (MENTION, mention), strict=True):
            path.write_text("\n".join(["{}", json.dumps({"id": "1", "mentions": [found]}), *lines]) + "\n")
            lines = ()
        return bench_bulk.lines_different(*paths), bench_bulk.answers_different(*paths)

    assert different(MENTION) == (0, 0)
    assert different({**MENTION, "probability": 0.50009, "scores": [-1.50009, -2.5]}) == (1, 0)
    for change in (
        {"probability": 0.5002},
        {"probability": None},
        {"scores": [-1.5, -2.5002]},
        {"scores": [-1.5]},
        {"spans": [[0, 5]]},
        {"gold": [["C2"]]},
        {"name": "Asthma"},
        {"is_nil": True},
        {"is_nil": 0},
        {"more": None},
    ):
        assert different({**MENTION, **change}) == (1, 1), change
    assert different(MENTION, "null") == different(MENTION, "asthma,C1") == (1, 1)  # the second file ends before


if sys.platform == "linux":  # memory is read from /proc

    def test_a_command_is_watched_with_its_children_and_killed_when_it_is_time(tmp_path: Path) -> None:
        def python(code: str) -> list[str]:
            return [sys.executable, "-c", code]

        started = tmp_path / "started"
        inner = f"x = bytearray(b'1' * 80_000_000); import time; open({str(started)!r}, 'w').close(); time.sleep(600)"
        outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
        seconds, looks, is_killed = bench_bulk.watched(python(outer), until=started.exists)
        assert is_killed and 0 < seconds < 300 and max(looks) > 80
        assert bench_bulk.watched(python("pass"))[2] is False
        with pytest.raises(DataError, match="exit code 3"):
            bench_bulk.watched(python("raise SystemExit(3)"))


@pytest.fixture
def bench(genlink: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """The benchmark of `exact`, its commands carried out in this process: what they were."""
    names = tmp_path / "names.txt"
    names.write_text("".join(f"C{i}||{name}\n" for i, name in enumerate(NAMES)), encoding="utf-8")
    corpus = tmp_path / "corpus.pubtator"
    corpus.write_text("1|t|No gout.\n1\t3\t7\tgout\tDisease\tC1\n\n", encoding="utf-8")
    monkeypatch.setattr(bench_bulk, "in_fresh_process", lambda work, *arguments: work(*arguments))
    write = Parts.write

    def call(*more: object) -> list[list[str]]:
        done = []

        def watched(command: Sequence[str], until: Callable[[], bool] | None = None) -> tuple[float, list[float], bool]:
            def write_until(parts: Parts, number: int, lines: Sequence[str]) -> None:
                write(parts, number, lines)
                if until is not None and until():
                    raise KeyboardInterrupt

            done.append(list(command))
            with monkeypatch.context() as within:
                within.setattr(Parts, "write", write_until)
                code, _, error = genlink(*command[command.index("link") :])
            assert code == (130 if until else 0), error
            return 2.0, [50.0, 60.0], bool(until)

        monkeypatch.setattr(bench_bulk, "watched", watched)
        given = ("exact", "--kb", names, "--names", names, "--corpus", corpus, "--work", tmp_path / "work", *more)
        bench_bulk.main([str(tmp_path / "result.json"), *map(str, given)])
        return done

    return call


def test_a_finished_step_is_not_done_again(bench: Callable[..., list[list[str]]], tmp_path: Path) -> None:
    if sys.platform != "linux":
        with pytest.raises(UsageError, match="Use Linux"):
            bench()
        return
    sizes = ("--mentions", 2100, "--distinct", 30)
    commands = bench(*sizes)
    assert [command[-1] for command in commands] == ["--overwrite", "--overwrite", "--resume", "--overwrite"]
    assert [command[2] for command in commands] == ["genlink", "genlink", "genlink", "torch.distributed.run"]
    result = read_result(tmp_path / "result.json")
    rows = {row: {key: cell["value"] for key, cell in cells.items()} for row, cells in result["metrics"].items()}
    assert list(rows) == ["one process", "killed and resumed", "2 processes"]
    assert rows["one process"] == {"mentions": 2100, "seconds": 2.0, "mentions_per_second": 1050.0, "peak_mb": 60.0}
    assert rows["killed and resumed"]["seconds"] == 4.0
    for row in ("killed and resumed", "2 processes"):
        assert (rows[row]["lines_different"], rows[row]["answers_different"]) == (0, 0)
    header, _, one, *_ = render_table(tmp_path / "result").splitlines()
    assert header.endswith("| lines different | answers different |") and one.endswith("| – | – |")
    settings = result["settings"]
    # 2,100 mentions are three parts, of which two are more than half; gout and 29 names are drawn.
    assert (settings["parts"], settings["parts_left_by_the_kill"], settings["distinct_questions"]) == (3, 2, 30)
    (tmp_path / "work" / "2 processes.json").unlink()
    # A step that was finished before answers were compared has no count of them.
    before = tmp_path / "work" / "killed and resumed.json"
    write_json(before, {key: value for key, value in read_json(before).items() if key != "answers_different"})
    assert [command[2] for command in bench(*sizes)] == ["torch.distributed.run"]
    resumed = render_table(tmp_path / "result").splitlines()[3]
    assert resumed.startswith("| killed and resumed |") and resumed.endswith("| 0 | – |")
    with pytest.raises(UsageError, match="was begun with other arguments"):
        bench("--mentions", 2101, "--distinct", 30)
