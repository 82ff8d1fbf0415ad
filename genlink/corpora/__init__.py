"""Corpora: documents and mentions from the formats in use, and back. Nothing here knows a knowledge base or a model."""

from genlink.corpora.load import FORMATS, load_corpus, read_corpus
from genlink.corpora.offsets import OffsetProblem, offset_problems
from genlink.corpora.predicted import documents_with_predictions
from genlink.corpora.report import CorpusReport, corpus_report
from genlink.corpora.sniff import sniff_format
from genlink.corpora.write import write_jsonl, write_pubtator

__all__ = [
    "FORMATS",
    "CorpusReport",
    "OffsetProblem",
    "corpus_report",
    "documents_with_predictions",
    "load_corpus",
    "offset_problems",
    "read_corpus",
    "sniff_format",
    "write_jsonl",
    "write_pubtator",
]
