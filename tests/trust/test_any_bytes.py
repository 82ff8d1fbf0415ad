"""Whatever bytes come in, the answer is a result or an error that a user can mend: no traceback, hang or growth.

GENLINK_FUZZ=100000 in the environment makes the rounds that are led by coverage so many.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from damage import damaged, explored
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from genlink.bulk.forms import FORMS, form_for, write_linked
from genlink.bulk.linking import Job, link_in_parts, linked_documents
from genlink.bulk.parts import Parts
from genlink.bulk.sources import Source, source_of
from genlink.bulk.table import Columns
from genlink.corpora import FORMATS, corpus_report, marked_document, read_corpus, sniff_format, survey
from genlink.errors import FormatError, GenLinkError
from genlink.evaluation.process import MB, forget_peak, is_proc, peak
from genlink.kb import KnowledgeBase
from genlink.kb.readers import FORMATS as KB_FORMATS
from genlink.kb.readers import read_concepts
from genlink.linkers import ExactLinker
from genlink.preprocessing import NameFinder, Preprocessing, expand_abbreviations, find_abbreviations, prepare
from genlink.schema import Concept

ROUNDS = int(os.environ.get("GENLINK_FUZZ", "100"))
KB_FIXTURES = Path(__file__).parents[1] / "kb" / "fixtures"
ANNOTATION = {
    "id": "T1",
    "infons": {"type": "D", "identifier": "C1"},
    "text": "Gout",
    "locations": [{"offset": 0, "length": 4}],
}
PASSAGE = {
    "offset": 0,
    "infons": {"type": "title"},
    "text": "Gout (GT).",
    "sentences": [],
    "annotations": [ANNOTATION],
    "relations": [],
}
BIGBIO = {
    "document_id": "1",
    "passages": [{"type": "title", "text": ["Gout."], "offsets": [[0, 5]]}],
    "entities": [
        {"id": "T1", "type": "D", "text": ["Gout"], "offsets": [[0, 4]], "normalized": [{"db_name": "M", "db_id": "1"}]}
    ],
}
MENTION = {"id": "0", "spans": [[0, 4]], "text": "Gout", "type": "D", "gold": [["C1"]], "part_texts": []}
WHOLE = {
    "pubtator": "1|t|Gout (GT).\n1|a|Gout and rash.\n1\t0\t4\tGout\tD\tC1\n1\tCID\tC1\tC2\n\n2|t|Gout\n",
    "bioc-xml": '<?xml version="1.0" encoding="UTF-8"?>\n<collection><source/><date/><key/><document><id>1</id>'
    '<passage><infon key="type">t</infon><offset>0</offset><text>Gout (GT).</text>'
    '<annotation id="T1"><infon key="type">D</infon>'
    '<location offset="0" length="4"/><text>Gout</text></annotation></passage></document></collection>',
    "bioc-json": json.dumps(
        {"documents": [{"id": "1", "infons": {}, "passages": [PASSAGE], "annotations": [], "relations": []}]}
    ),
    "bigbio": json.dumps(BIGBIO) + "\n",
    "phrases": "C1\tGout\tbad toe\n",
    "jsonl": json.dumps({"id": "1", "text": "Gout.", "passages": [], "mentions": [MENTION]}) + "\n",
    "spacy": '{"text": "Gout.", "ents": [{"start": 0, "end": 4, "label": "D", "kb_id": "C1"}]}\n',
    "bio": "-DOCSTART- O\n\nGout B-D C1\ntoe I-D _\n\nRash O _\n",
    "text": "No [[gout (GT)]], but [[GT]].\n",
    "lines": "No [[gout]].\nNone.\n",
}


@pytest.fixture(autouse=True)
def _no_hang_and_no_growth() -> Iterator[None]:
    """No test of small files may take ten minutes, where the system has a clock for it, or 300 MB."""

    def hangs(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, hangs) if hasattr(signal, "SIGALRM") else None
    if before is not None:
        signal.alarm(600 + ROUNDS)
    if is_proc():
        forget_peak()
    at_first = peak() if is_proc() else 0
    try:
        yield
    finally:
        if before is not None:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
    assert not is_proc() or peak() - at_first < 300 * MB


def read(source: Source) -> None:
    """All that linking does with a source before a linker sees it."""
    documents = list(source.read())
    corpus_report(documents)
    survey(source.name, documents)
    prepare(documents, Preprocessing(composites=True))


def test_every_format_of_a_file_is_damaged_here() -> None:
    assert {*WHOLE, "biosyn"} == set(FORMATS)


@pytest.mark.parametrize("format", WHOLE)
def test_a_damaged_corpus_is_read_or_refused(tmp_path: Path, format: str) -> None:
    path = tmp_path / "corpus"
    whole = WHOLE[format].encode()
    path.write_bytes(whole)
    read(source_of(path, format))

    @settings(max_examples=60)
    @given(damaged(whole), st.booleans())
    def is_read_or_refused(content: bytes, is_told: bool) -> None:
        path.write_bytes(content)
        try:
            read(source_of(path, "auto" if is_told else format))
        except GenLinkError as error:
            assert str(path) in str(error)

    is_read_or_refused()


def test_what_leads_to_a_new_place_is_damaged_further(tmp_path: Path) -> None:
    code = """
def deep(content):
    if b"NaN" in content:
        if b"&x;" in content:
            if b"||" in content:
                raise KeyError
"""
    file = tmp_path / "deep.py"
    names: dict[str, Any] = {}
    exec(compile(code, str(file), "exec"), names)
    with pytest.raises(KeyError):
        explored(names["deep"], [b"x"], 5000, tmp_path)
    assert explored(names["deep"], [b"x"], 5000, tmp_path / "elsewhere") == []  # nothing leads it


@pytest.mark.parametrize("format", WHOLE)
def test_led_by_coverage_no_corpus_is_found_that_is_neither_read_nor_refused(tmp_path: Path, format: str) -> None:
    path = tmp_path / "corpus"

    def is_read_or_refused(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(source_of(path, format))
        except GenLinkError as error:
            assert str(path) in str(error)

    assert len(explored(is_read_or_refused, [WHOLE[format].encode()], ROUNDS)) > 1


KB = KnowledgeBase.from_concepts([Concept("C1", ("gout",)), Concept("X|1", ("toe",)), Concept("C2", ("rash",))])
FINDER = NameFinder(KB)


def link(path: Path, format: str, to: str, *, is_found: bool) -> None:
    """Link a file and write what came of it, or refuse it and write nothing."""
    output = path.with_name("out")
    output.unlink(missing_ok=True)
    try:
        source = source_of(path, format)
        survey(source.name, source.read())
        job = Job(source, ExactLinker(KB), finder=FINDER if is_found else None)
        parts = Parts(path.with_name("parts"))
        parts.begin({}, resume=False, overwrite=True)
        link_in_parts(job, parts)
        form = form_for(source, to, output)
        n = write_linked(output, form, source, linked_documents(job, parts), KB)
    except GenLinkError:
        assert not output.exists()
    else:
        assert n >= 0 and output.exists()
        if form in FORMATS:
            list(read_corpus(output, form))


@pytest.mark.parametrize("format", WHOLE)
def test_what_is_linked_is_written_in_every_form_or_refused(tmp_path: Path, format: str) -> None:
    path = tmp_path / "corpus"

    @settings(max_examples=60)
    @given(damaged(WHOLE[format].encode()), st.sampled_from(FORMS), st.booleans())
    def is_written_or_refused(content: bytes, to: str, is_found: bool) -> None:
        path.write_bytes(content)
        link(path, format, to, is_found=is_found)

    is_written_or_refused()


@pytest.mark.parametrize("format", WHOLE)
def test_led_by_coverage_no_corpus_is_found_that_cannot_be_linked_or_refused(tmp_path: Path, format: str) -> None:
    path = tmp_path / "corpus"

    def is_written_or_refused(content: bytes) -> None:
        path.write_bytes(content)
        for is_found in (False, True):
            link(path, format, FORMS[len(content) % len(FORMS)], is_found=is_found)

    assert len(explored(is_written_or_refused, [WHOLE[format].encode()], ROUNDS // 5)) > 1


@pytest.mark.parametrize("name", ["1.concept", "1.txt"])
def test_a_damaged_biosyn_directory_is_read_or_refused(tmp_path: Path, name: str) -> None:
    files = {"1.concept": b"1||0|4||D||Gout||C1\n", "1.txt": b"Gout.\n\nRash."}
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)

    @settings(max_examples=40)
    @given(damaged(files[name]))
    def is_read_or_refused(content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        try:
            read(source_of(tmp_path))
        except GenLinkError as error:
            assert str(tmp_path) in str(error)

    is_read_or_refused()


FIXTURES = sorted(path for path in KB_FIXTURES.rglob("*") if path.is_file())


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_a_damaged_knowledge_base_is_read_or_refused(tmp_path: Path, fixture: Path) -> None:
    for other in fixture.parent.glob("*.RRF*") if fixture.parent.name == "umls" else [fixture]:
        (tmp_path / other.name).write_bytes(other.read_bytes())
    path = tmp_path / fixture.name
    source = tmp_path if fixture.parent.name == "umls" else path

    @settings(max_examples=40)
    @given(damaged(fixture.read_bytes()), st.sampled_from(["auto", *KB_FORMATS]))
    def is_read_or_refused(content: bytes, format: str) -> None:
        path.write_bytes(content)
        with suppress(GenLinkError):
            KnowledgeBase.from_concepts(read_concepts(source, format if source == path else "auto"))

    is_read_or_refused()


@pytest.mark.parametrize("format", KB_FORMATS)
def test_led_by_coverage_no_knowledge_base_is_found_that_is_neither_read_nor_refused(
    tmp_path: Path, format: str
) -> None:
    path = tmp_path / "names"

    def is_read_or_refused(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(GenLinkError):
            KnowledgeBase.from_concepts(read_concepts(path, format))

    seeds = [fixture.read_bytes() for fixture in FIXTURES if fixture.stat().st_size < 5000]
    assert len(explored(is_read_or_refused, seeds, ROUNDS)) > 1


def test_a_damaged_table_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    parquet.write_table(pa.table({"what": ["gout", None, "rash"] * 9, "n": range(27)}), path)
    whole = {"parquet": path.read_bytes(), "csv": b'what,n\ngout,1\n"ra,sh",2\n', "tsv": b"what\tn\ngout\t1\n"}

    @settings(max_examples=150)
    @given(st.sampled_from(sorted(whole)).flatmap(lambda form: st.tuples(st.just(form), damaged(whole[form]))))
    def is_read_or_refused(table: tuple[str, bytes]) -> None:
        path.write_bytes(table[1])
        try:
            read(source_of(path, table[0], columns=Columns("what")))
        except GenLinkError as error:
            assert str(path) in str(error)

    is_read_or_refused()


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"text": ' + b"9" * 5000 + b"}", b'{"id": "1", "text": "\\ud800"}'],
    ids=["deep list", "deep object", "long number", "half a character"],
)
def test_json_that_python_cannot_take_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corpus"
    path.write_bytes(content)
    sniff_format(path)
    for format in ("bioc-json", "jsonl", "bigbio", "spacy"):
        with pytest.raises(FormatError, match="corpus"):
            list(read_corpus(path, format))
    for format in ("obographs", "jsonl"):
        with pytest.raises(FormatError, match="corpus"):
            list(read_concepts(path, format))


def test_an_offset_cannot_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "corpus"
    path.write_text(WHOLE["bioc-json"].replace('"offset": 0, "infons"', '"offset": 1000000000000, "infons"'))
    with pytest.raises(FormatError, match="a gap of 1000000000000 characters before a passage"):
        list(read_corpus(path, "bioc-json"))


def test_entities_of_xml_fetch_nothing_and_do_not_grow(tmp_path: Path) -> None:
    path, secret = tmp_path / "corpus", tmp_path / "secret"
    secret.write_text("secret")
    path.write_text(
        WHOLE["bioc-xml"].replace("<collection>", f'<!DOCTYPE c [<!ENTITY x SYSTEM "{secret}">]><collection>')
    )
    path.write_text(path.read_text().replace("Gout (GT)", "&x;"))
    with suppress(FormatError):
        assert "secret" not in next(read_corpus(path, "bioc-xml")).text
    entities = "".join(f'<!ENTITY x{i + 1} "{f"&x{i};" * 10}">' for i in range(12))
    path.write_text(
        WHOLE["bioc-xml"]
        .replace("<collection>", f'<!DOCTYPE c [<!ENTITY x0 "gout">{entities}]><collection>')
        .replace("Gout (GT)", "&x12;")
    )
    with pytest.raises(FormatError, match="not XML"):
        next(read_corpus(path, "bioc-xml"))


def test_a_gzip_of_rubbish_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corpus.gz"
    whole = gzip.compress(WHOLE["pubtator"].encode() * 50)

    @settings(max_examples=40)
    @given(damaged(whole), st.sampled_from(sorted(WHOLE)))
    def is_read_or_refused(content: bytes, format: str) -> None:
        path.write_bytes(content)
        try:
            read(source_of(path, format))
        except GenLinkError as error:
            assert str(path) in str(error)

    is_read_or_refused()


def seconds(work: object, *arguments: object) -> float:
    started = time.process_time()
    work(*arguments)  # type: ignore[operator]
    return time.process_time() - started


@pytest.mark.parametrize(
    "unit", ["[[", "[[]]", "]]", " (", " (A)", " (A", "A (A ", "a a (A) ", "(" * 50 + ")" * 50, "a/b and "]
)
def test_the_time_of_a_text_grows_as_its_length(unit: str) -> None:
    def work(n: int) -> None:
        document = marked_document("[[" + unit * (n // len(unit)) + "]]")
        definitions = find_abbreviations(document.text)
        for mention in document.mentions[:3]:
            expand_abbreviations(mention.surface[:1000], definitions)

    work(1000)
    # Four times as long: a quadratic method would take sixteen times as long, a linear one four.
    once, four_times = (min(seconds(work, n) for _ in range(3)) for n in (4000, 16_000))
    assert four_times < 10 * once + 0.05


def test_definitions_that_double_do_not_grow() -> None:
    definitions = {f"A{i}": f"A{i + 1} A{i + 1} x{i}" for i in range(40)}
    assert len(expand_abbreviations("A0", definitions)) < 1000


def test_ids_that_repeat_take_no_longer_the_more_there_are(tmp_path: Path) -> None:
    path = tmp_path / "corpus"
    path.write_text('{"id": "1", "text": "x"}\n' * 20_000)
    assert [d.document_id for d in read_corpus(path)][::9999] == ["1", "1#10000", "1#19999"]
    path.write_text('{"id": "1", "text": "x"}\n{"id": "1#2", "text": "x"}\n{"id": "1", "text": "x"}\n')
    assert [d.document_id for d in read_corpus(path)] == ["1", "1#2", "1#3"]
