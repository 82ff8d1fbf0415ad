"""Encoders of text: names and mentions become vectors. They know no knowledge base."""
