"""Where the names of a knowledge base are from, and whether their licence lets them be passed on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Provenance", "restricted_vocabularies"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """A source of names: its file (the last part of its path), its format, and its licence as the user has put it."""

    source: str
    format: str
    licence: str | None = None


# Vocabularies whose names may not be passed on without an agreement with their owner, and what tells them: the prefix
# of an id, a bare id, or their name in that of a file or of a licence. UMLS: https://www.nlm.nih.gov/research/umls/
# knowledge_sources/metathesaurus/release/license_agreement.html; SNOMED CT ids have the partition 00 or 10 before their
# check digit (SNOMED CT Identifiers, section 5.4); MedDRA codes have eight digits, the first of them 1.
_RESTRICTED: dict[str, tuple[frozenset[str], str, str]] = {
    "UMLS": (frozenset({"UMLS", "CUI", "UMLS_CUI"}), r"C\d{7}", "umls|metathesaurus"),
    "SNOMED CT": (
        frozenset({"SNOMEDCT", "SNOMEDCT_US", "SNOMED", "SCTID", "SNOMED_CT", "SCT"}),
        r"\d{3,15}[01]0\d",
        "snomed",
    ),
    "MedDRA": (frozenset({"MEDDRA", "MDR"}), r"1\d{7}", "meddra"),
    "CPT": (frozenset({"CPT", "HCPT"}), r"(?!)", r"\bcpt\b"),
}
_TELLING = 0.1  # Of numbers at random one in fifty looks like an id of SNOMED CT.


def restricted_vocabularies(provenance: Iterable[Provenance], ids: Iterable[str]) -> list[str]:
    """The vocabularies of restricted licence that names seem to be from, by name.

    ``ids``: the primary ids of the concepts. A prefix or an address tells the vocabulary; a bare id only where more
    than a tenth of the bare ids look the same. It is a guess for files whose origin nobody has recorded, and no legal
    advice.
    """
    sources = list(provenance)
    told = " ".join(f"{source.source} {source.licence or ''}" for source in sources)
    found = {name for name, (_, _, words) in _RESTRICTED.items() if re.search(words, told, re.IGNORECASE)}
    if any(source.format == "umls" for source in sources):
        found.add("UMLS")
    n, bare = 0, dict.fromkeys(_RESTRICTED, 0)
    for concept_id in ids:
        prefix, _, local = concept_id.rpartition(":")
        n += not prefix
        for name, (prefixes, pattern, words) in _RESTRICTED.items():
            if prefix.upper() in prefixes or ("//" in local and re.search(words, local, re.IGNORECASE)):
                found.add(name)
            elif not prefix and re.fullmatch(pattern, local):
                bare[name] += 1
    return sorted(found | {name for name, count in bare.items() if count > n * _TELLING})
