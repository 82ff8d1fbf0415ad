"""Result files: a score with everything that is needed to get it again, and nothing about whose computer it was."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from genlink.data_paths import display, locate
from genlink.errors import FormatError
from genlink.files import read_json, sha256, write_json
from genlink.metrics import Estimate

__all__ = ["command_line", "read_result", "result_record", "write_result"]

_PACKAGES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "transformers": "transformers",
    "accelerate": "accelerate",
    "marisa_trie": "marisa-trie",
}
_KEYS = ("command", "commit", "created", "versions", "hardware", "data", "seed", "n", "settings", "metrics")


def result_record(
    *,
    command: Sequence[str],
    data: Iterable[str | Path],
    seed: int,
    n: int,
    settings: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Estimate | float]],
    packages: Sequence[str] = (),
) -> dict[str, Any]:
    """What a result file holds. ``metrics`` is row -> measure -> estimate, shares in [0, 1], or a plain number.

    ``command`` is an argument vector such as ``sys.argv``. ``commit`` is null where this package is not a git checkout,
    and ``dirty`` says whether its files, or the scripts beside it, differed from the commit. Only packages that were in
    use have a version: those that were imported, and ``packages``, of which nothing is but files.
    """
    commit, dirty = _commit()
    return {
        "command": command_line(command),
        "commit": commit,
        "dirty": dirty,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": _versions(packages),
        "hardware": hardware(),
        "data": [{"path": display(path), "sha256": sha256(locate(path))} for path in data],
        "seed": seed,
        "n": n,
        "settings": dict(settings),
        "metrics": {
            row: {measure: _cell(estimate) for measure, estimate in measures.items()}
            for row, measures in metrics.items()
        },
    }


def _cell(measured: Estimate | float) -> dict[str, Any]:
    return measured.to_dict() if isinstance(measured, Estimate) else {"value": measured}


def write_result(path: str | Path, **facts: Any) -> None:
    """Write a result file, atomically; the facts are those of ``result_record``."""
    write_json(path, result_record(**facts))


def read_result(path: str | Path) -> dict[str, Any]:
    """A result file's value. Raises FormatError where a key is missing."""
    value = read_json(path)
    missing = [key for key in _KEYS if not isinstance(value, dict) or key not in value]
    if missing:
        raise FormatError(path, f"no {', '.join(missing)}.", advice="Is this a result file of GenLink?")
    return dict(value)


def command_line(arguments: Sequence[str]) -> str:
    """The command as it can be typed on another computer: no path leads out of the working or the data directory."""
    program, *rest = arguments
    name = Path(program).name
    words = [f"python scripts/{name}"] if name.endswith(".py") and name != "__main__.py" else ["genlink"]
    return " ".join([*words, *(shlex.quote(_without_places(word)) for word in rest)])


def _without_places(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    is_path = len(Path(value).parts) > 1 or Path(value).is_absolute()
    shown = display(value) if is_path else value
    leads_out = Path(value).is_absolute() or ".." in Path(value).parts
    return option + equals + (shown if leads_out or shown.startswith("data/") else value)


def _git(*arguments: str) -> str | None:
    package = Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(["git", *arguments], cwd=package, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> tuple[str | None, bool | None]:
    # An installed copy may lie inside somebody else's checkout, whose commit says nothing about this code.
    if not _git("ls-files", "errors.py"):
        return None, None
    status = _git("status", "--porcelain", "--", ".", "../scripts")  # which measure
    return _git("rev-parse", "HEAD"), None if status is None else bool(status)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in ("genlink", *_PACKAGES, *packages):
        if name in sys.modules or name in packages:
            try:
                versions[name] = metadata.version(_PACKAGES.get(name, name))
            except metadata.PackageNotFoundError:
                continue
    return versions


def hardware() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    gpus = []
    if torch is not None and torch.cuda.is_available():
        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads() if torch is not None else os.cpu_count(),
        "gpu": gpus or None,
    }


def _cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
