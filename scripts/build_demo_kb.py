"""Writes the demo's knowledge base: some 390 well-known diseases of the Disease Ontology.

    python scripts/build_demo_kb.py data/ontologies/doid.jsonl.gz

Which diseases: those of ``genlink/demo/data/ids.txt`` (id, a tab, the name at the time of choosing), picked by hand
over all areas of medicine, well known, with two synonyms or more where possible, and with families of close siblings
(types of diabetes, cancers and carcinomas by organ, hepatitis A to E, muscular dystrophies, anaemias), so that telling
them apart is work. The order of the list is the order of the result.

Which names: the canonical name and its synonyms as they stand, but for repetitions of a name under normalisation, names
longer than 60 characters, names with broken characters, and a few slips of the source (``SLIPS``). Where more than ten
synonyms remain, the ten shortest stay: the long ones qualify (site, stage, age) rather than rename.

The input is a JSON-lines file with ``id``, ``name`` and ``synonyms`` a line; other fields are ignored.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genlink.errors import DataError, FormatError, GenLinkError
from genlink.files import atomic_file, read_jsonl, read_lines
from genlink.text import normalise

DATA = Path(__file__).resolve().parent.parent / "genlink" / "demo" / "data"
LONGEST_NAME = 60  # characters
MOST_SYNONYMS = 10

# Synonyms of the source that name another disease, or that have lost a letter.
SLIPS = frozenset(
    {
        ("DOID:9778", "IBD"),  # inflammatory, not irritable, bowel
        ("DOID:1921", "Hypogonadotropic Hypogonadism"),  # Klinefelter's is hypergonadotropic
        ("DOID:3310", "Allergic"),
        ("DOID:6543", "Acne varioliformis"),
        ("DOID:11724", "Leyden-Mbius muscular dystrophy"),
        ("DOID:12531", "von Willebrand-Jrgens disease"),
    }
)


def read_ids(path: Path) -> list[str]:
    """The ids of the list, in order; everything after the first tab is for the human reader."""
    ids = [line.split("\t")[0].strip() for _, line in read_lines(path) if line.strip()]
    repeated = {i for i in ids if ids.count(i) > 1}
    if repeated:
        raise DataError(f"{path}: {', '.join(sorted(repeated))} listed twice. Remove one.")
    return ids


def choose_synonyms(concept_id: str, name: str, synonyms: Iterable[str]) -> list[str]:
    """The synonyms that stay, in the order of the source."""
    seen = {normalise(name)}
    kept: list[str] = []
    for synonym in synonyms:
        key = normalise(synonym)
        broken = "\ufffd" in synonym or '"' in synonym or "[" in synonym
        if not key or key in seen or broken or len(synonym) > LONGEST_NAME or (concept_id, synonym) in SLIPS:
            continue
        seen.add(key)
        kept.append(synonym)
    shortest = sorted(range(len(kept)), key=lambda i: (len(kept[i]), i))[:MOST_SYNONYMS]
    return [kept[i] for i in sorted(shortest)]


def build(ontology: Path, ids_file: Path, output: Path) -> int:
    """Write ``output`` and return how many diseases it holds. Raises DataError if an id is not in the ontology."""
    ids = read_ids(ids_file)
    wanted = frozenset(ids)
    records: dict[str, dict[str, Any]] = {}
    for line, record in read_jsonl(ontology):
        if not {"id", "name", "synonyms"} <= record.keys():
            raise FormatError(ontology, "lacks id, name or synonyms.", line=line, advice="Is this the right file?")
        if record["id"] in wanted:
            records[record["id"]] = record
    missing = [i for i in ids if i not in records]
    if missing:
        raise DataError(f"{ontology}: lacks {', '.join(missing)}, listed in {ids_file}. Remove them from the list.")
    with atomic_file(output) as f:
        for concept_id in ids:
            name = records[concept_id]["name"]
            synonyms = choose_synonyms(concept_id, name, records[concept_id]["synonyms"])
            json.dump({"id": concept_id, "name": name, "synonyms": synonyms}, f, ensure_ascii=False)
            f.write("\n")
    return len(ids)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the demo's knowledge base from the Disease Ontology.")
    parser.add_argument("ontology", type=Path, help="JSON-lines file of the Disease Ontology, gzipped or not")
    parser.add_argument("--ids", type=Path, default=DATA / "ids.txt", help="list of the ids to take")
    parser.add_argument("--out", type=Path, default=DATA / "diseases.jsonl", help="file to write")
    arguments = parser.parse_args()
    try:
        count = build(arguments.ontology, arguments.ids, arguments.out)
    except GenLinkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{arguments.out}: {count} diseases")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
