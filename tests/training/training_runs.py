"""How runs end, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path


class PulledPlugError(Exception):
    """Somebody pulled the plug."""


def metrics(output: Path) -> list[dict]:
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]
