"""What is done before mentions are linked: found in plain text, abbreviations expanded, composite mentions split."""

from genlink.preprocessing.abbreviations import expand_abbreviations, find_abbreviations
from genlink.preprocessing.composites import split_composite
from genlink.preprocessing.finder import FinderRules, NameFinder
from genlink.preprocessing.prepare import Preprocessing, prepare

__all__ = [
    "FinderRules",
    "NameFinder",
    "Preprocessing",
    "expand_abbreviations",
    "find_abbreviations",
    "prepare",
    "split_composite",
]
