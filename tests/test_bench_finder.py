"""The benchmark of the finder, on two documents whose counts are worked out here."""

from __future__ import annotations

from pathlib import Path

import bench_finder
import pytest

from genlink.errors import DataError
from genlink.evaluation import read_result
from genlink.evaluation.tables import render_table

CORPUS = """1|t|Croup and croups.
1|a|The result was COLD, not cold.
1\t0\t5\tCroup\tDisease\tC1
1\t10\t16\tcroups\tDisease\tC1
1\t33\t37\tCOLD\tDisease\tC2
1\t22\t28\tresult\tOther\tC3

2|t|A sore throat.
2|a|Croup.
2\t2\t13\tsore throat\tDisease\tC4

"""
DICTIONARY = "C1||croup\nC2||chronic obstructive lung disease\nC2||cold\nC3||result\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "kb.txt").write_text(DICTIONARY, encoding="utf-8")
    (tmp_path / "corpus.pubtator").write_text(CORPUS, encoding="utf-8")
    return tmp_path / "kb.txt", tmp_path / "corpus.pubtator"


def test_found_mentions_are_counted_with_each_rule_and_without(files: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "finder.json"
    bench_finder.main([str(path), *map(str, files), "--type", "Disease"])
    result = read_result(path)
    assert result["n"] == 4

    def counts(rules: str) -> tuple[int, float, float]:
        row = result["metrics"][rules]
        return row["found"]["value"], row["precision"]["value"], row["recall"]["value"]

    # Croup, croups and COLD; the Croup of the second document is not annotated.
    assert counts("all rules") == (4, 3 / 4, 3 / 4)
    assert counts("small letters for abbreviations too") == (5, 3 / 5, 3 / 4)
    assert counts("common words too") == (5, 3 / 5, 3 / 4)
    assert counts("no plurals") == (3, 2 / 3, 2 / 4)
    assert counts("names alone") == (5, 2 / 5, 2 / 4)
    assert "| all rules | 4 | 75" in render_table(path.with_suffix(""))


def test_a_corpus_without_a_mention_of_the_type_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no mentions of the types"):
        bench_finder.main([str(tmp_path / "finder.json"), *map(str, files), "--type", "disease"])
    assert not (tmp_path / "finder.json").exists()
