"""What the answers of a linking follow from: parts that were made from anything else are not gone on with."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from genlink.bulk.linking import Job
from genlink.files import sha256
from genlink.linkers.opening import place_of, systems_of

__all__ = ["facts_of"]


def facts_of(job: Job, model: str, calibration: Path | None) -> dict[str, Any]:
    """The facts of a job by the words that an error names them with; ``model`` is what the user has written."""
    places = [place for place in map(place_of, systems_of(model)) if isinstance(place, Path) and place.is_dir()]
    kinds = (".safetensors", ".json")
    files = [sha256(file) for place in places for file in sorted(place.iterdir()) if file.suffix in kinds]
    facts = {
        "version of GenLink": metadata.version("genlink"),
        "input": None if job.source.path is None else sha256(job.source.path),
        "reading of the input": job.source.facts(),
        "model": [job.linker.describe(), files],
        "knowledge base": job.linker.kb.content_hash,
        "number of ranks": job.k,
        "calibration": None if calibration is None else sha256(calibration),
        "way of finding": None if job.finder is None else asdict(job.finder.rules),
        "preprocessing": asdict(job.preprocessing),
        "size of parts": [job.chunk, job.remembered],
    }
    as_read: dict[str, Any] = json.loads(json.dumps(facts, default=str))  # a file holds lists, not tuples
    return as_read
