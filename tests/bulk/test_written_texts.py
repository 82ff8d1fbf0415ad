"""Plain text that ``genlink link --to same`` has written is read with the same mentions and their answers."""

from __future__ import annotations

from pathlib import Path

from hypothesis import assume, example, given
from hypothesis import strategies as st

from genlink.bulk.forms import write_linked
from genlink.bulk.sources import source_of
from genlink.corpora import read_corpus
from genlink.corpora.marked import document_of_spans, marks
from genlink.kb import KnowledgeBase
from genlink.pipeline.linked import Linked
from genlink.schema import Candidate, Concept, Mention, Prediction

KB = KnowledgeBase.from_concepts([Concept("C1", ("gout",))])
texts = st.text(st.sampled_from("a1 |[]:,+-\u00e9") | st.characters(exclude_characters="\r", exclude_categories=["Cs"]))
# A mention does not close brackets that stand open before it.
words = st.from_regex(r"[a1|:,é][a1 |:,+é]{0,6}", fullmatch=True) | st.sampled_from(["[18F]FDG", "x|D1", "a|-1"])
ids = st.sampled_from(["D001249", "MONDO:0004979", "UBERON:up", "http://x.org/1", "C1(2)"])
golds = st.lists(st.frozensets(ids, max_size=2), min_size=1, max_size=2)
Piece = tuple[str, str, list[frozenset[str]]]


def predictions_of(mention: Mention, gold: list[frozenset[str]]) -> list[Prediction]:
    def answer(part: int | None, concepts: frozenset[str]) -> Prediction:
        found = tuple(Candidate(concept, "x", "x", 0.0, 1) for concept in sorted(concepts))
        asked = Mention(
            mention.context, mention.spans, mention.text, mention.document_id, mention.mention_id, part=part
        )
        return Prediction(asked, found)

    return [answer(i if len(gold) > 1 else None, concepts) for i, concepts in enumerate(gold)]


@given(st.lists(st.tuples(texts, words, golds), max_size=4), texts)
@example([("[", "asthma", [frozenset({"D1"})])], "]")
@example([("", "gout and rash", [frozenset({"D1"}), frozenset()])], "")
@example([("", "A|B", [frozenset({"D1", "D2"})])], "")
@example([("[[ ", "gout", [frozenset()])], "")
def test_written_text_is_read_with_the_same_mentions_and_ids(tmp_path_factory, pieces: list[Piece], end: str) -> None:
    text, spans = "", []
    for before, word, _ in pieces:
        text += before + word
        spans.append((len(text) - len(word), len(text)))
    text += end
    assume(text.strip() and not any(marks(text)))  # what is marked is read, not found
    document = document_of_spans(text, spans)
    answered = zip(document.mentions, (gold for _, _, gold in pieces), strict=True)
    linked = Linked(document, tuple(p for mention, gold in answered for p in predictions_of(mention, gold)))
    path = Path(tmp_path_factory.getbasetemp()) / "written.txt"
    path.write_text("x", encoding="utf-8")
    write_linked(path, "text", source_of(path, "text"), [linked], KB)
    [read] = read_corpus(path, "text")
    assert read.text.removesuffix("\n") == text.removesuffix("\n")
    assert [(m.text, m.spans) for m in read.mentions] == [(m.text, m.spans) for m in document.mentions]
    assert [m.gold for m in read.mentions] == [tuple(gold) for _, _, gold in pieces]
