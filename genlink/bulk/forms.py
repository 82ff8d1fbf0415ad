"""The forms that linked documents are written in."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from genlink.bulk.page import write_page
from genlink.bulk.sources import Source
from genlink.bulk.table import check_columns, write_table
from genlink.corpora import document_record, documents_with_predictions, text_output, write_pubtator
from genlink.corpora.ids import format_gold
from genlink.corpora.readers.bio import TaggedLine, bio_document, tagged_lines, tagged_sections
from genlink.corpora.readers.bioc import load_bioc
from genlink.corpora.readers.spacy import spacy_records
from genlink.corpora.write_bioc import write_bioc
from genlink.errors import UsageError
from genlink.evaluation import to_record, write_predictions
from genlink.kb import KnowledgeBase
from genlink.pipeline.cells import ADDED, answer_cells, chosen_candidates, least_probability
from genlink.pipeline.linked import Linked
from genlink.schema import Document, Prediction

__all__ = ["FORMS", "check_form", "form_for", "write_linked"]

FORMS = ("same", "predictions", "jsonl", "pubtator", "bioc-xml", "bioc-json", "csv", "tsv", "html")
_SAME = {"bigbio": "jsonl", "biosyn": "pubtator", "phrases": "csv"}
_COLUMNS = ("document_id", "mention_id", "part", "start", "end", "text", "surface", "type", *ADDED)
_NOTHING = "_"  # the empty cell of tagged tokens


def form_for(source: Source, to: str | None, output: Path | None) -> str:
    """The form to write: what was asked for, or else a table for a table, and what the output's name says.

    Raises UsageError for a form that there is not, and for a name that says another one, or none that is known.
    """
    to = _form_by_name(source, output) if to is None else to
    if to == "same":
        return _SAME.get(source.format, source.format)
    if to not in FORMS:
        raise UsageError(f"`{to}` is no form of output: choose {', '.join(FORMS[:-1])} or {FORMS[-1]}.")
    return to


def _form_by_name(source: Source, output: Path | None) -> str:
    ending = "" if output is None else Path(output.name.removesuffix(".gz")).suffix.removeprefix(".")
    known = ("csv", "tsv", "html", "jsonl" if source.columns is None else "parquet")
    if ending not in ("", *known):
        raise UsageError(
            f"{output}: .{ending} says no form of output. Say it with --to, or name it .{', .'.join(known[:-1])} or "
            f".{known[-1]}."
        )
    if source.columns is None:
        return "predictions" if ending in ("", "jsonl") else ending
    if ending in ("", source.format):
        return "same"
    if ending != "html" and not _stays_table(source, ending):
        raise UsageError(
            f"{output}: the table is {source.format}, and so is what comes of it. Name it .{source.format}, or say its "
            "form with --to."
        )
    return ending


def _stays_table(source: Source, form: str) -> bool:
    """Whether the rows of a table come out, and not its mentions."""
    return source.columns is not None and (form == source.format or {form, source.format} == {"csv", "tsv"})


def check_form(source: Source, form: str) -> None:
    """Raise UsageError for what could not be written in this form, before anything is linked."""
    if _stays_table(source, form) and source.path is not None:
        check_columns(source.path, source.format, source.encoding, ADDED)


def write_linked(output: Path, form: str, source: Source, linked: Iterable[Linked], kb: KnowledgeBase) -> int:
    """Write linked documents, atomically; ``form`` is what ``form_for`` said. The number of their predictions."""
    count = 0

    def counted() -> Iterator[Linked]:
        nonlocal count
        for item in linked:
            count += len(item.predictions)
            yield item

    _write(output, form, source, counted(), kb)
    return count


def _write(output: Path, form: str, source: Source, linked: Iterable[Linked], kb: KnowledgeBase) -> None:
    if _stays_table(source, form) and source.path is not None:
        answers = (answer_cells(item.predictions) for item in linked)
        write_table(output, form, source.path, source.format, source.encoding, ADDED, answers)
    elif form == "bio" and source.path is not None:
        _write_tagged(output, tagged_lines(source.path, source.encoding), linked)
    elif form == "spacy" and source.path is not None:
        _write_spacy(output, spacy_records(source.path, source.encoding), linked)
    elif form in ("csv", "tsv"):
        _write_rows(output, form, linked)
    elif form == "html":
        write_page(output, linked)
    elif form == "predictions":
        write_predictions(output, (to_record(p, kb) for item in linked for p in item.predictions))
    elif form == "jsonl":
        _write_jsonl(output, linked)
    elif form == "pubtator":
        write_pubtator(output, map(_annotated, linked))
    elif form in ("text", "lines"):
        _write_text(output, map(_annotated, linked), is_lined=form == "lines")
    else:
        noted = ((_annotated(item), [_infons(answer) for answer in _by_mention(item)]) for item in linked)
        is_bioc = source.format in ("bioc-xml", "bioc-json") and source.path is not None
        collection = load_bioc(source.path, source.format) if is_bioc and source.path is not None else None
        write_bioc(output, form, noted, collection)


def _annotated(item: Linked) -> Document:
    """The document with its answers in the place of gold."""
    return documents_with_predictions([item.document], item.predictions)[0]


def _by_mention(item: Linked) -> list[list[Prediction]]:
    """The predictions of each mention; several where a composite was split."""
    found: dict[str, list[Prediction]] = {mention.mention_id: [] for mention in item.document.mentions}
    for prediction in item.predictions:
        found[prediction.mention.mention_id].append(prediction)
    return list(found.values())


def _write_rows(output: Path, form: str, linked: Iterable[Linked]) -> None:
    with text_output(output) as file:
        writer = csv.writer(file, "excel-tab" if form == "tsv" else "excel", lineterminator="\n")
        writer.writerow(_COLUMNS)
        for item in linked:
            for prediction in item.predictions:
                m = prediction.mention
                facts = (m.document_id, m.mention_id, m.part, m.start, m.end, m.text, m.surface, m.type)
                cells = (*facts, *answer_cells([prediction]))
                writer.writerow([str(cell).lower() if isinstance(cell, bool) else cell for cell in cells])


def _write_jsonl(output: Path, linked: Iterable[Linked]) -> None:
    with text_output(output) as file:
        for item in linked:
            record = document_record(_annotated(item))
            for mention, predictions in zip(record["mentions"], _by_mention(item), strict=True):
                mention["probability"] = least_probability(predictions)
                mention["is_nil"] = not any(map(chosen_candidates, predictions))
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _infons(predictions: list[Prediction]) -> dict[str, str]:
    probability = least_probability(predictions)
    shown = {} if probability is None else {"probability": f"{probability:.6g}"}
    return {**shown, "nil": str(not any(map(chosen_candidates, predictions))).lower()}


def _write_text(output: Path, documents: Iterable[Document], *, is_lined: bool) -> None:
    """Plain text with its mentions marked, each with its id: ``a history of [[asthma|D001249]]``.

    ``genlink.corpora.marked`` reads it: the last bar is the one before the ids, so commas join those of a composite.

    With ``is_lined``, each document stands on the line that its id says; those between are blank.
    """
    line = 0
    with text_output(output) as file:
        for document in documents:
            if is_lined:
                file.write("\n" * (int(document.document_id) - 1 - line))
                line = int(document.document_id)
            pieces, at = [], 0
            for mention in sorted(document.mentions, key=lambda mention: (mention.start, -mention.end)):
                if mention.start < at:
                    continue  # brackets cannot overlap; those of a text never do
                ids = format_gold(mention.gold).replace("|", ",")
                pieces += [document.text[at : mention.start], f"[[{document.text[mention.start : mention.end]}|{ids}]]"]
                at = mention.end
            file.write("".join([*pieces, document.text[at:]]) + "\n")


def _write_tagged(output: Path, lines: Iterable[TaggedLine], linked: Iterable[Linked]) -> None:
    """The lines as they were up to the tag; behind it the id and, of a calibrated answer, the probability."""
    items = iter(linked)
    number = 0
    with text_output(output) as file:
        for section in tagged_sections(lines):
            starts: dict[int, int] = {}
            answers: list[tuple[str, str]] = []
            if any(line.is_token for line in section):
                number += 1
                starts = bio_document(section, str(number))[1]
                item = next(items)
                document, grouped = _annotated(item), _by_mention(item)
                answers = [
                    (format_gold(mention.gold) or _NOTHING, _shown(least_probability(predictions)))
                    for mention, predictions in zip(document.mentions, grouped, strict=True)
                ]
            for line in section:
                file.write(f"{_tagged(line, answers[starts[line.number]] if line.number in starts else None)}\n")


def _write_spacy(output: Path, records: Iterable[tuple[int | None, dict[str, Any]]], linked: Iterable[Linked]) -> None:
    """The objects as they were, one a line, each of ``ents`` with its id; a mention that is none of them is added."""
    with text_output(output) as file:
        for (_, record), item in zip(records, linked, strict=True):
            ents: dict[tuple[int, int], list[dict[str, Any]]] = {}  # several may have one span
            for ent in record.setdefault("ents", []):
                ents.setdefault((ent["start"], ent["end"]), []).append(ent)
            for mention, predictions in zip(_annotated(item).mentions, _by_mention(item), strict=True):
                if mention.spans[0] not in ents:
                    added = {"start": mention.start, "end": mention.end, "label": mention.type or ""}
                    ents[mention.spans[0]] = [added]
                    record["ents"].append(added)
                for ent in ents[mention.spans[0]]:
                    ent.update(kb_id=format_gold(mention.gold), probability=least_probability(predictions))
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _tagged(line: TaggedLine, answer: tuple[str, str] | None) -> str:
    if not line.is_token:
        return line.text
    return line.separator.join([*line.columns[: line.tag_column + 1], *(answer or (_NOTHING, _NOTHING))])


def _shown(probability: float | None) -> str:
    return _NOTHING if probability is None else f"{probability:.6g}"
