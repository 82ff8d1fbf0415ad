"""``genlink benchmark``: linkers side by side, measured once, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from calls import Run

from genlink.config.benchmark import BenchmarkConfig, read_benchmark
from genlink.errors import CorpusError, DataError, FormatError, UsageError
from genlink.evaluation import benchmark, measure, read_result
from genlink.evaluation.benchmark import Benchmark
from genlink.evaluation.measure import cpu_milliseconds, draw_sample
from genlink.evaluation.process import in_fresh_process, is_proc
from genlink.evaluation.tables import render_table
from genlink.schema import Mention

FILE = """\
results: results/benchmark/dev.json
runs: runs/benchmark
corpus: data/dev.pubtator
train: [data/train.pubtator]
kb: [data/names.txt]
dictionaries: [kb, kb+train]
sample: 2
repeats: 1
linkers:
  - {name: exact match, system: exact}
  - {name: TF-IDF, system: tfidf}
"""
COMMAND = ["genlink", "benchmark", "dev.yaml"]


def here(work: Any, *arguments: object) -> Any:
    """Instead of a fresh process: the numbers that only that could have are not looked at."""
    return work(*arguments)


def refuse(work: Any, *arguments: object) -> Any:
    raise AssertionError("measured again")


@pytest.fixture
def file(data: Path) -> Path:
    path = Path("dev.yaml")
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture
def bench(file: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    monkeypatch.setattr(benchmark, "in_fresh_process", here)
    return opened(file)


def opened(file: Path, **changes: object) -> Benchmark:
    values = read_benchmark(file).model_dump() | changes
    return Benchmark(file, BenchmarkConfig.model_validate(values), COMMAND)


def states(bench: Benchmark) -> list[str]:
    return [bench.state(unit) for unit in bench.units]


def test_the_table_holds_scores_that_can_be_worked_out_by_hand(file: Path, genlink: Run) -> None:
    # Renal colic, colic: right. Fever: D2 or D3. Podagra: right by a name from training. Plague and zinc do not count.
    code, out, err = genlink("benchmark", file)
    assert code == 0, err
    result = read_result("results/benchmark/dev.json")
    exact, trained = (result["metrics"][f"{dictionary}: exact match"] for dictionary in ("kb", "kb+train"))
    assert [exact[m]["value"] for m in ("acc@1", "acc@5", "acc@1 strict")] == [3 / 4, 3 / 4, 2 / 4]
    assert [trained[m]["value"] for m in ("acc@1", "acc@1 strict")] == [4 / 4, 3 / 4]
    tfidf = result["metrics"]["kb: TF-IDF"]
    assert tfidf["difference"]["value"] == tfidf["acc@1"]["value"] - 3 / 4
    assert "difference" not in exact
    assert exact["index_mb"]["value"] == 0 < tfidf["ms_single"]["value"]
    if is_proc():
        for cells in result["metrics"].values():
            assert 0 < cells["private_mb"]["value"] < cells["resident_mb"]["value"] <= cells["peak_mb"]["value"]
    assert (result["n"], result["settings"]["not_run"]) == (4, [])
    assert "exact match" in out and "75.0" in out and "Wrote results/benchmark/dev.json." in err
    table = render_table(Path("results/benchmark")).splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| exact match", "| TF-IDF"] * 2
    assert table[0].count("|") == table[1].count("|") == table[-1].count("|")


def test_a_fresh_process_is_another_one_and_tells_its_errors() -> None:
    assert in_fresh_process(os.getpid) != os.getpid()
    with pytest.raises(DataError, match=r"^a: broken\. Mend it\.$"):
        in_fresh_process(fail_with_a_format_error)
    with pytest.raises(UsageError, match=r"^not so$"):
        in_fresh_process(fail_with_a_usage_error)


def fail_with_a_format_error() -> None:
    raise FormatError("a", "broken.", advice="Mend it.")


def fail_with_a_usage_error() -> None:
    raise UsageError("not so")


def test_what_is_finished_is_used_again(bench: Benchmark, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(bench) == ["to run"] * 4
    first = bench.run()
    assert states(bench) == ["done"] * 4
    monkeypatch.setattr(benchmark, "in_fresh_process", refuse)
    assert opened(file).run()["metrics"] == first["metrics"]


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"presets": ["angel"], "against": "TF-IDF"}, 0),  # scored anew, and not measured
        ({"k": 6}, 4),
        ({"types": ["Disease"]}, 4),
        ({"linkers": [{"name": "exact match", "system": "tfidf"}]}, 2),
    ],
)
def test_a_setting_that_matters_is_measured_again(
    bench: Benchmark, file: Path, changes: dict[str, Any], stale: int
) -> None:
    bench.run()
    assert states(opened(file, **changes)).count("to run") == stale


def test_another_training_corpus_matters_to_its_dictionary_alone_and_another_corpus_to_both(
    bench: Benchmark, file: Path, data: Path
) -> None:
    bench.run()
    train, dev = data / "train.pubtator", data / "dev.pubtator"
    train.write_text(train.read_text().replace("podagra", "podagrx"))
    assert states(opened(file)) == ["done", "done", "to run", "to run"]
    dev.write_text(dev.read_text().replace("helped", "harmed"))
    assert states(opened(file)) == ["to run"] * 4


def test_an_interrupted_benchmark_goes_on(bench: Benchmark, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def third_is_killed(work: Any, *arguments: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments[0].name)
        return work(*arguments)

    monkeypatch.setattr(benchmark, "in_fresh_process", third_is_killed)
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert states(opened(file)) == ["done", "done", "to run", "to run"]
    assert not Path("results").exists()


def test_predictions_of_a_measurement_that_was_broken_off_are_those_of_nothing(
    bench: Benchmark, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run()

    def killed(*arguments: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "in_fresh_process", here)
    monkeypatch.setattr(measure, "cpu_milliseconds", killed)
    with pytest.raises(KeyboardInterrupt):
        opened(file, linkers=[{"name": "exact match", "system": "tfidf"}]).run()
    assert states(opened(file)) == ["to run", "done", "done", "done"]


def test_the_result_names_what_it_was_made_from(bench: Benchmark) -> None:
    named = [entry["path"] for entry in bench.run()["data"]]
    assert named[:4] == ["dev.yaml", "data/dev.pubtator", "data/train.pubtator", "data/names.txt"]
    assert len(named) == 8  # and the predictions of two linkers over two dictionaries


def test_only_some_linkers_leave_the_others_named_as_not_run(bench: Benchmark) -> None:
    record = bench.run(only=["TF-IDF"])
    assert list(record["metrics"]) == ["kb: TF-IDF", "kb+train: TF-IDF"]
    assert record["settings"]["not_run"] == ["exact match, kb (to run)", "exact match, kb+train (to run)"]
    assert "difference" not in record["metrics"]["kb: TF-IDF"]  # there is nothing to compare it with


def test_minutes_of_training_are_read_and_one_that_cannot_be_read_does_not_hide_others(
    bench: Benchmark, file: Path
) -> None:
    run = {"seconds": 90.0}
    settings = {"run": run, "processes": 2, "recipe": {"stage": "pretrain", "output": "runs/a", "model": {}}}
    bench.run(only=["exact match"])
    record = read_result(bench.units[0].record) | {"settings": settings}
    Path("a.json").write_text(json.dumps(record), encoding="utf-8")
    linkers = [
        {"name": "exact match", "system": "exact", "training": ["a.json"]},
        {"name": "TF-IDF", "system": "tfidf", "training": ["b.json"]},
    ]
    opened(file, linkers=[linkers[0], {**linkers[1], "training": []}]).run()
    result = opened(file, linkers=linkers).run(only=["exact match"])
    assert result["metrics"]["kb: exact match"]["training_minutes"]["value"] == 90 * 2 / 60
    assert [missing.split(" (")[0] for missing in result["settings"]["not_run"]] == ["TF-IDF, kb", "TF-IDF, kb+train"]
    assert "b.json" in result["settings"]["not_run"][0]


def test_a_dry_run_says_what_is_to_be_done_and_does_nothing(bench: Benchmark, file: Path, genlink: Run) -> None:
    bench.run(only=["exact match"])
    file.write_text(FILE + "  - {name: model, system: runs/none/model}\n", encoding="utf-8")
    before = sorted(Path("runs").rglob("*"))
    _, out, _ = genlink("benchmark", file, "--dry-run")
    assert out.splitlines()[:3] == [
        "exact match, kb: done (exact)",
        "TF-IDF, kb: to run (tfidf)",
        "model, kb: no such model (runs/none/model)",
    ]
    assert sorted(Path("runs").rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "arguments", "code", "said"),
    [
        (("", ""), ["--only", "BERT"], 2, "there is no linker `BERT`. It has: exact match, TF-IDF."),
        (("system: tfidf", "system: runs/x/model"), [], 2, "linker `TF-IDF`: runs/x/model: no such model."),
        (("name: TF-IDF", "name: Exact-match"), [], 2, "linker `Exact-match`: has the name of an earlier one"),
        (("sample: 2", "against: BERT"), [], 2, "against: there is no linker `BERT`"),
        (("train: [data/train.pubtator]\n", ""), [], 2, "the dictionary kb+train"),
        (("kb: [", "knowledge_base: ["), [], 2, "unknown key `knowledge_base`. Did you mean `kb`?"),
        (("system: tfidf", "systm: tfidf"), [], 2, "Did you mean `system`?"),
        (("system: tfidf", "system: tfidf, beams: 3"), [], 2, "`tfidf` is no model"),
        (("sample: 2", "presets: [bern]"), [], 2, "Unknown preset `bern`"),
        (("dev.pubtator", "none.pubtator"), [], 1, "none.pubtator: no such file"),
        (("sample: 2", "types: [Gene]"), [], 2, "No mention of type Gene."),
        (("sample: 2", "types: [Chemical]"), [], 1, "no mention has a gold concept in data/names.txt"),
        (("system: tfidf", "system: tfidf, training: [dev.yaml]"), [], 1, "dev.yaml"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_measured(
    file: Path,
    change: tuple[str, str],
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    genlink: Run,
) -> None:
    monkeypatch.setattr(benchmark, "in_fresh_process", here)
    file.write_text(FILE.replace(*change), encoding="utf-8")
    found, _, err = genlink("benchmark", file, *arguments)
    lines = [line for line in err.splitlines() if line.startswith("error")]
    assert found == code and said in lines[0]
    assert not Path("results").exists()


def test_unlabelled_mentions_cannot_be_scored(bench: Benchmark, file: Path, data: Path) -> None:
    (data / "plain.jsonl").write_text(
        '{"id": "1", "text": "gout", "mentions": [{"id": "0", "spans": [[0, 4]], "text": "gout"}]}\n'
    )
    with pytest.raises(CorpusError, match="no mention has a gold concept"):
        opened(file, corpus="data/plain.jsonl").run()


# Time


def mentions(*surfaces: str) -> list[Mention]:
    return [Mention.in_context("", surface) for surface in surfaces]


def test_a_sample_has_no_surface_twice_and_keeps_the_order() -> None:
    some = mentions(*"abacabad")
    assert [mention.surface for mention in draw_sample(some, 10, seed=0)] == ["a", "b", "c", "d"]
    drawn = [[mention.surface for mention in draw_sample(some, 2, seed)] for seed in range(20)]
    assert all(len(set(pair)) == 2 and pair == sorted(pair) for pair in drawn)
    assert len({tuple(pair) for pair in drawn}) > 1
    assert drawn[3] == [mention.surface for mention in draw_sample(some, 2, seed=3)]


def test_the_time_of_a_mention_is_that_of_the_fastest_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 9.0, 10.0, 16.0, 20.0, 27.0])
    monkeypatch.setattr(measure.time, "process_time", lambda: next(clock))
    linked: list[int] = []
    batches = [mentions("a", "b"), mentions("c")]
    assert cpu_milliseconds(lambda batch: linked.append(len(batch)), batches, repeats=3) == 6000 / 3
    assert linked == [2, 1] * 3
