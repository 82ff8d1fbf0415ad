"""A reader for each corpus format: ``read_*`` functions from a path to an iterator of documents."""

from genlink.corpora.readers.bigbio import read_bigbio
from genlink.corpora.readers.bioc import read_bioc_json, read_bioc_xml
from genlink.corpora.readers.biosyn import read_biosyn
from genlink.corpora.readers.jsonl import read_json_lines
from genlink.corpora.readers.phrases import read_phrases
from genlink.corpora.readers.pubtator import read_pubtator

__all__ = [
    "read_bigbio",
    "read_bioc_json",
    "read_bioc_xml",
    "read_biosyn",
    "read_json_lines",
    "read_phrases",
    "read_pubtator",
]
