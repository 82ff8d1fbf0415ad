"""Corpora: documents and mentions from the formats in use, and back. Nothing here knows a knowledge base or a model."""

from genlink.corpora.load import FORMATS, Extent, load_corpus, read_corpus, survey
from genlink.corpora.marked import marked_document
from genlink.corpora.offsets import OffsetProblem, offset_problems
from genlink.corpora.predicted import documents_with_predictions
from genlink.corpora.report import CorpusReport, corpus_report
from genlink.corpora.sniff import sniff_format
from genlink.corpora.write import document_record, text_output, write_jsonl, write_pubtator

__all__ = [
    "FORMATS",
    "CorpusReport",
    "Extent",
    "OffsetProblem",
    "corpus_report",
    "document_record",
    "documents_with_predictions",
    "load_corpus",
    "marked_document",
    "offset_problems",
    "read_corpus",
    "sniff_format",
    "survey",
    "text_output",
    "write_jsonl",
    "write_pubtator",
]
