"""Encoders of text: names and mentions become vectors. They know no knowledge base."""

__all__ = ["MINILM"]

MINILM = "minilm"  # what a user writes for the encoder that the extra of this name installs
