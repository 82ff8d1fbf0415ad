"""The dense linker ranks concepts by the best inner product of their names, whatever the batch, block and overlay."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pytest
import torch
from small import CONCEPTS, MENTIONS

from genlink.encoders.encoder import TextEncoder
from genlink.encoders.shapes import fresh_bert, train_wordpiece
from genlink.errors import KnowledgeBaseError, ModelError, UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers import vectors
from genlink.linkers.dense import DenseLinker
from genlink.linkers.dense_opening import open_dense, vectors_of
from genlink.linkers.opening import is_dense, open_linker
from genlink.schema import Concept, Mention
from genlink.text import Normalisation, normalise

MORE = [Concept(f"E{i}", (f"fever {i}", f"gout {i}", f"fever gout {i}")) for i in range(40)]
EXTRA = {"D3": ["Moths in the lung"], "D6": ["Bluish gout"]}


def make_encoder(seed: int = 0, **settings) -> TextEncoder:
    tokenizer = train_wordpiece([name.lower() for concept in [*CONCEPTS, *MORE] for name in concept.names], 150)
    model = fresh_bert(tokenizer, width=16, layers=2, heads=2, max_positions=32, seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(12)
    return TextEncoder(model.eval(), tokenizer, **settings)


@pytest.fixture(scope="module")
def encoder():
    return make_encoder()


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.from_concepts([*CONCEPTS, *MORE])


def answers(linker, mentions=MENTIONS, k=5):
    return [
        [(c.rank, c.concept_id, c.name, c.ambiguous) for c in prediction.candidates]
        for prediction in linker.link(mentions, k)
    ]


def by_brute_force(linker, text, k):
    """All concepts by the best score of their keys, the concepts of a key together, equal scores by key index."""
    kb, query = linker.kb, normalise(text)
    keys = [kb.key(i) for i in range(kb.n_keys)]
    scores = (linker.encoder.embed([query]) @ linker.encoder.embed(keys).T)[0].numpy()
    if linker.sparse_weight is not None:
        vectorizer = linker.ngrams.vectorizer
        cosines = (vectorizer.transform([query]) @ vectorizer.transform(keys).T).toarray()[0]
        scores = scores + linker.sparse_weight * cosines
    listed, ranks = set(), []
    for key in sorted(range(len(keys)), key=lambda i: (-scores[i], i)):
        new = [c for c in kb.key_concepts(key) if c not in listed]
        if new:
            ranks.append([(kb.concept_id_at(c), float(scores[key])) for c in new])
            listed.update(new)
    return ranks[:k]


@pytest.mark.parametrize("weight", [None, 0.0, 30.0])
@pytest.mark.parametrize("k", [1, 3, 45, 1000])
def test_candidates_are_those_of_the_whole_product(encoder, kb, weight, k, monkeypatch):
    monkeypatch.setattr(vectors, "_CELLS", 100)
    linker = DenseLinker(encoder, kb, sparse_weight=weight)
    for mention, prediction in zip(MENTIONS, linker.link(MENTIONS, k), strict=True):
        expected = by_brute_force(linker, mention.surface, k)
        flat = [(rank, c, score) for rank, concepts in enumerate(expected, start=1) for c, score in concepts]
        assert [(c.rank, c.concept_id) for c in prediction.candidates] == [(rank, c) for rank, c, _ in flat]
        np.testing.assert_allclose(
            [c.score for c in prediction.candidates], [s for *_, s in flat], rtol=1e-3, atol=1e-3
        )


def test_a_weight_changes_the_answer_and_so_the_sparse_half_counts(encoder, kb):
    assert answers(DenseLinker(encoder, kb)) != answers(DenseLinker(encoder, kb, sparse_weight=1e6))
    first = DenseLinker(encoder, kb, sparse_weight=1e6).link([Mention.in_context("", "tidal colics")], 1)[0]
    assert first.best.name == "Tidal colic"


def test_answers_do_not_depend_on_batch_or_order(encoder, kb):
    whole = answers(DenseLinker(encoder, kb))
    assert [answers(DenseLinker(encoder, kb), [mention])[0] for mention in MENTIONS] == whole
    assert answers(DenseLinker(encoder, kb, batch_size=3), MENTIONS[::-1]) == whole[::-1]


def test_k_may_be_larger_than_the_dictionary_and_not_smaller_than_one(encoder, kb):
    linker = DenseLinker(encoder, kb)
    predictions = linker.link(MENTIONS, 10_000)
    assert {len(prediction.candidates) for prediction in predictions} == {len(kb)}
    with pytest.raises(UsageError, match="k is 0"):
        linker.link(MENTIONS, 0)


def test_a_mention_without_a_letter_has_no_candidates(encoder, kb):
    mentions = [Mention.in_context("", "..."), Mention.in_context("", "gout")]
    empty, other = DenseLinker(encoder, kb, sparse_weight=1.0).link(mentions, 3)
    assert empty.candidates == ()
    assert len({c.rank for c in other.candidates}) == 3
    assert DenseLinker(encoder, kb).link([], 3) == []


def test_a_mention_over_the_limit_is_cropped_and_this_is_said_once(kb, caplog):
    linker = DenseLinker(make_encoder(max_tokens=8), kb)
    linker.link(MENTIONS, 1)  # whatever is said of names is said now
    linker.encoder.cropped = 0
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        linker.link([Mention.in_context("", "gout " * n) for n in (20, 30)], 1)
    assert len(caplog.records) == 1
    assert linker.encoder.cropped == 2


def test_faiss_finds_what_the_blocks_do(encoder, kb):
    extended = kb.overlay(EXTRA)
    linkers = [DenseLinker(encoder, kb, index=index).with_kb(extended) for index in ("blocks", "faiss")]
    first, second = ([[(c.rank, c.concept_id) for c in p.candidates] for p in x.link(MENTIONS, 1000)] for x in linkers)
    assert first == second


def test_what_faiss_keeps_is_counted_in_float32(encoder, kb):
    linker = DenseLinker(encoder, kb, index="faiss", precision="int8")
    assert linker.index_bytes == 4 * kb.n_keys * encoder.width


def test_without_faiss_the_error_says_how_to_install_it(encoder, kb, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ModelError, match=r"pip install 'genlink\[faiss\]'"):
        DenseLinker(encoder, kb, index="faiss")


# Other dictionaries


@pytest.mark.parametrize("weight", [None, 5.0])
def test_names_on_top_are_embedded_alone_and_found(encoder, kb, weight, tmp_path):
    base = DenseLinker(encoder, kb, sparse_weight=weight, cache=tmp_path)
    answers(base)
    extended = kb.overlay(EXTRA)
    linker = base.with_kb(extended)
    embedded = []
    linker.encoder.embed, embed = lambda texts, *rest: embedded.extend(texts) or embed(texts, *rest), encoder.embed
    try:
        found = linker.link([Mention.in_context("", "moths in the lung")], 1)[0]
    finally:
        del linker.encoder.embed
    assert found.best.concept_id == "D3"
    assert sorted(embedded) == ["bluish gout", "moths in the lung", "moths in the lung"]  # names, and the mention
    for mention, prediction in zip(MENTIONS, linker.link(MENTIONS, 7), strict=True):
        expected = by_brute_force(linker, mention.surface, 7)
        assert [c.concept_id for c in prediction.candidates] == [c for concepts in expected for c, _ in concepts]


@pytest.mark.parametrize("weight", [None, 5.0])
@pytest.mark.parametrize("known", [True, False])
def test_a_part_of_the_dictionary_is_linked_to_as_if_it_were_all(encoder, kb, known, weight, tmp_path):
    part = kb.subset(ids=["D1", "D6", "E3", "E5"])
    whole = DenseLinker(encoder, kb, cache=tmp_path, sparse_weight=weight)
    if known:
        answers(whole)
    linker = whole.with_kb(part)
    among_all = answers(whole, k=len(kb))
    kept = [[concept for _, concept, *_ in row if concept in ("D1", "D6", "E3", "E5")] for row in among_all]
    assert [[concept for _, concept, *_ in row] for row in answers(linker)] == kept
    assert {c.concept_id for p in linker.link(MENTIONS, 9) for c in p.candidates} == {"D1", "D6", "E3", "E5"}


def test_names_that_are_normalised_otherwise_are_embedded_as_they_are(encoder):
    base = DenseLinker(encoder, KnowledgeBase.from_concepts([Concept("A", ("blue-gout",))]))
    base.vectors()
    hyphens = Normalisation(punctuation=False)
    moved = base.with_kb(KnowledgeBase.from_concepts([Concept("A", ("blue-gout",))], normalisation=hyphens))
    keys = [moved.kb.key(i) for i in range(moved.kb.n_keys)]
    rows = np.concatenate([part.rows for part in moved.vectors().parts])
    np.testing.assert_allclose(rows, encoder.embed(keys).numpy(), rtol=1e-4, atol=1e-5)


# Saved, loaded and opened


@pytest.mark.parametrize("weight", [None, 0.5])
def test_a_saved_linker_comes_back(encoder, kb, weight, tmp_path):
    linker = DenseLinker(encoder, kb, sparse_weight=weight)
    linker.save(tmp_path / "model")
    loaded = DenseLinker.load(tmp_path / "model")
    assert answers(loaded) == answers(linker)
    assert loaded.describe() == linker.describe()
    assert loaded.describe()["encoder"] == encoder.digest
    assert loaded.describe()["kind"] == ("dense" if weight is None else "dense and sparse")
    smaller = KnowledgeBase.from_concepts(CONCEPTS)
    assert answers(DenseLinker.load(tmp_path / "model", kb=smaller)) == answers(linker.with_kb(smaller))


def test_parts_that_do_not_belong_together_are_refused(encoder, kb, tmp_path):
    DenseLinker(encoder, kb).save(tmp_path / "model")
    settings = tmp_path / "model" / "encoder.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"pooling": "mean"}))
    with pytest.raises(ModelError, match=r"encoder\.json: is not the file that was saved"):
        DenseLinker.load(tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    del manifest["files"]  # as before there were hashes
    (tmp_path / "model" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"weights, tokenizer or encoder.json are not those that were saved"):
        DenseLinker.load(tmp_path / "model")


def test_a_linker_is_opened_by_its_directory_and_an_encoder_over_a_dictionary(encoder, kb, tmp_path):
    expected = answers(DenseLinker(encoder, kb))
    DenseLinker(encoder, kb).save(tmp_path / "run" / "model")
    encoder.save(tmp_path / "encoder")
    cache = tmp_path / "cache"
    opened = open_linker(tmp_path / "run" / "model", None, cache=cache, device="cpu")
    assert answers(opened) == expected
    assert answers(open_linker(tmp_path / "encoder", kb, cache=cache, batch_size=2)) == expected
    half = open_linker(tmp_path / "encoder", kb, cache=cache, precision="fp16")
    for first, second in zip(half.link(MENTIONS, 1), opened.link(MENTIONS, 1), strict=True):
        assert first.best.score == pytest.approx(second.best.score, rel=0.01)
    assert {path.name.split("-")[1] for path in cache.glob("vectors/*/*")} == {"fp32", "fp16"}
    with pytest.raises(UsageError, match="Give a knowledge base with --kb"):
        open_linker(tmp_path / "encoder", None, cache=cache)
    with pytest.raises(UsageError, match="no search and no beams"):
        open_linker(tmp_path / "encoder", kb, beams=5)
    with pytest.raises(UsageError, match="vectors in bf16"):
        open_linker(tmp_path / "encoder", kb, precision="bf16", cache=cache)
    with pytest.raises(UsageError, match=r"Did you mean .*model"):
        open_linker(tmp_path / "run", kb)


def test_names_of_published_models_are_known_without_a_look_at_the_disk(tmp_path):
    assert is_dense("minilm")
    assert is_dense("cambridgeltl/SapBERT-from-PubMedBERT-fulltext")
    assert is_dense("dmis-lab/biosyn-sapbert-ncbi-disease")
    assert not is_dense("runs/nowhere")
    assert not is_dense(tmp_path)


# A published BioSyn


@pytest.mark.parametrize("is_parameter", [True, False])
def test_a_published_biosyn_is_its_encoder_and_its_weight(encoder, kb, tmp_path, is_parameter, caplog, monkeypatch):
    directory = tmp_path / "biosyn"
    encoder.save(directory)
    (directory / "encoder.json").unlink()
    weights = encoder.model.state_dict()
    (directory / "model.safetensors").unlink()
    torch.save(weights, directory / "pytorch_model.bin")
    weight = torch.tensor([0.75])
    torch.save(torch.nn.Parameter(weight) if is_parameter else weight, directory / "sparse_weight.pt")
    (directory / "sparse_encoder.pk").write_bytes(b"\x80\x04cos\nsystem\n.")  # nobody opens it
    with caplog.at_level(logging.WARNING):
        linker = open_dense(directory, kb)
    assert "n-grams of the checkpoint are pickled and not read; they are fitted to the dictionary" in caplog.text
    assert linker.sparse_weight == 0.75
    assert answers(linker) == answers(DenseLinker(encoder, kb, sparse_weight=0.75))

    (directory / "sparse_weight.pt").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(ModelError, match="does not hold one number"):
        open_dense(directory, kb)


def test_vectors_are_shown_with_their_ngrams_where_there_is_a_dictionary(encoder, kb, tmp_path):
    DenseLinker(encoder, kb, sparse_weight=2.0).save(tmp_path / "biosyn")
    DenseLinker(encoder, kb).save(tmp_path / "sapbert")
    [shown] = vectors_of(tmp_path / "biosyn", ["Gout, BLUE!"], None)
    assert (shown["text"], shown["read"]) == ("Gout, BLUE!", "gout blue")
    np.testing.assert_allclose(shown["dense"], encoder.embed(["gout blue"])[0].numpy(), rtol=1e-5)
    letters = "gout blue"
    assert set(shown["sparse"]) <= {*letters, *(letters[i : i + 2] for i in range(len(letters) - 1))}
    assert {"g", "go", "t ", " b"} <= set(shown["sparse"])
    assert sum(weight**2 for weight in shown["sparse"].values()) == pytest.approx(1.0, abs=1e-5)
    assert list(shown["sparse"].values()) == sorted(shown["sparse"].values(), reverse=True)
    assert next(vectors_of(tmp_path / "sapbert", ["gout"], None))["sparse"] is None
    other = KnowledgeBase.from_concepts([Concept("X", ("gout", "gout of the toe"))])
    assert next(vectors_of(tmp_path / "sapbert", ["gout"], other))["sparse"] is not None
    # The weight was learnt with the n-grams of the saved dictionary: they stay.
    [over_other] = vectors_of(tmp_path / "biosyn", ["Gout, BLUE!"], other)
    assert over_other == shown
    spelled = KnowledgeBase.from_concepts(CONCEPTS, normalisation=Normalisation(case=False))
    with pytest.raises(KnowledgeBaseError, match="Build the knowledge base with the same steps"):
        list(vectors_of(tmp_path / "biosyn", ["gout"], spelled))
    DenseLinker(encoder, spelled).save(tmp_path / "spelled")
    assert next(vectors_of(tmp_path / "spelled", ["Gout"], None))["read"] == "Gout"
