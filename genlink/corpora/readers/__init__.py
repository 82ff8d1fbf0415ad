"""A reader for each corpus format: ``read_*`` functions from a path to an iterator of documents."""

from genlink.corpora.readers.bigbio import read_bigbio
from genlink.corpora.readers.bio import read_bio
from genlink.corpora.readers.bioc import read_bioc_json, read_bioc_xml
from genlink.corpora.readers.biosyn import read_biosyn
from genlink.corpora.readers.jsonl import read_json_lines
from genlink.corpora.readers.phrases import read_phrases
from genlink.corpora.readers.pubtator import read_pubtator
from genlink.corpora.readers.spacy import read_spacy
from genlink.corpora.readers.text import read_text, read_text_lines

__all__ = [
    "read_bigbio",
    "read_bio",
    "read_bioc_json",
    "read_bioc_xml",
    "read_biosyn",
    "read_json_lines",
    "read_phrases",
    "read_pubtator",
    "read_spacy",
    "read_text",
    "read_text_lines",
]
