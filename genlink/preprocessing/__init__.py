"""What is done to a mention before it is linked: abbreviations expanded, composite mentions split."""

from genlink.preprocessing.abbreviations import expand_abbreviations, find_abbreviations
from genlink.preprocessing.composites import split_composite
from genlink.preprocessing.prepare import Preprocessing, prepare

__all__ = ["Preprocessing", "expand_abbreviations", "find_abbreviations", "prepare", "split_composite"]
