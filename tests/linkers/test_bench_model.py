"""scripts/bench_model.py: a model under each precision and search, beside fp32 under the beam."""

from __future__ import annotations

import bench_model

from genlink.corpora import write_jsonl
from genlink.evaluation import read_result
from genlink.schema import Document, Mention

GOLD = {"Silver fever": "D1", "Glass bone disease": "D2", "Moth lung": "D3", "bluish gout": "D6"}


def test_every_row_is_beside_the_first(linker, tmp_path) -> None:
    linker.save(tmp_path / "model")
    documents = [
        Document(str(i), text, (Mention(text, ((0, len(text)),), text, str(i), "0", gold=(frozenset({concept}),)),))
        for i, (text, concept) in enumerate(GOLD.items())
    ]
    write_jsonl(tmp_path / "dev.jsonl", documents)
    path = tmp_path / "drift.json"
    bench_model.main([str(path), str(tmp_path / "model"), str(tmp_path / "dev.jsonl")])
    result = read_result(path)
    rows = {row: {key: cell["value"] for key, cell in cells.items()} for row, cells in result["metrics"].items()}
    assert list(rows) == ["fp32, beam", "fp32, exact", "bf16, beam", "int8, beam"]
    first = rows["fp32, beam"]
    assert (first["same"], first["difference"], result["n"]) == (1, 0, 4)
    assert (rows["fp32, exact"]["proven"], rows["fp32, exact"]["capped"]) == (1, 0)
    answers = [prediction.candidates[0].concept_id for prediction in linker.link(documents, k=1)]
    assert first["accuracy"] == sum(map(str.__eq__, answers, GOLD.values())) / 4
    for cells in rows.values():
        assert cells["difference"] == cells["accuracy"] - first["accuracy"]
        assert cells["rows"] >= cells["passes"] > 0
    assert (result["settings"]["linker"]["precision"], result["settings"]["linker"]["search"]["search"]) == (
        *("fp32", "beam"),
    )
