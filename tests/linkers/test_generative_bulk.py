"""A generative linker in bulk: questions are told apart by what it reads, and parts are the same however it is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import SURFACES

from genlink.bulk.answers import question_of
from genlink.bulk.linking import Job, link_in_parts
from genlink.bulk.parts import Parts
from genlink.bulk.sources import Source
from genlink.linkers.generative import GenerativeLinker
from genlink.schema import Document, Mention

PARTS = 4
sides = st.text("ab β-", max_size=4).map(lambda text: text * 200)


@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_mentions_that_are_one_question_read_alike(linker: GenerativeLinker, first, second) -> None:
    mentions = [Mention.in_context(left, "SF", right) for left, right in (first, second)]
    steps = linker.kb.normalisation
    asked = [question_of(mention, linker.context_characters, steps) for mention in mentions]
    read = linker.encoding.sources([linker.encoding.prompt(mention) for mention in mentions])
    assert asked[0] != asked[1] or read[0] == read[1]


def documents() -> list[Document]:
    """Mentions that come again, and again with another context."""
    found = []
    for i in range(12):
        surface, left = SURFACES[i * i % 5], "Signs of " if i % 3 else "No "
        mention = Mention.in_context(left, surface, ".")
        mention = Mention(mention.context, mention.spans, surface, str(i), "0")
        found.append(Document(str(i), mention.context, (mention,)))
    return found


@pytest.mark.parametrize("killed", range(PARTS))
def test_parts_are_the_same_bytes_after_a_kill(linker: GenerativeLinker, tmp_path: Path, killed: int) -> None:
    job = Job(Source(None, "memory", "jsonl", lambda: iter(documents())), linker, chunk=3, remembered=4000)
    whole, again = Parts(tmp_path / "whole"), Parts(tmp_path / "again")
    for parts in (whole, again):
        parts.begin({}, resume=False)
    link_in_parts(job, whole)
    names = sorted(path.name for path in whole.directory.glob("*.jsonl"))
    assert len(names) == PARTS
    for name in names[:killed]:
        (again.directory / name).write_bytes((whole.directory / name).read_bytes())
    link_in_parts(job, again)
    for name in names:
        assert (again.directory / name).read_bytes() == (whole.directory / name).read_bytes()
