"""Knowledge bases: reading them, compiling them, looking names and ids up in them."""

from __future__ import annotations

from genlink.kb.knowledge_base import KnowledgeBase
from genlink.kb.load import load_kb
from genlink.kb.readers import read_concepts
from genlink.kb.report import BuildReport

__all__ = ["BuildReport", "KnowledgeBase", "load_kb", "read_concepts"]
