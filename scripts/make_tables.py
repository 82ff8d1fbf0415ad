"""Make the tables in README.md and docs/*.md anew from results/**/*.json.

python scripts/make_tables.py            write them
python scripts/make_tables.py --check    write nothing, exit 1 if a document would change
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from genlink.errors import GenLinkError
from genlink.evaluation.tables import fill_tables
from genlink.files import atomic_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code. ``arguments`` are those of the command line if left out."""
    parser = argparse.ArgumentParser(description="Make the tables of README.md and docs/*.md from results/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a document would change")
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent, help="the repository")
    options = parser.parse_args(arguments)
    stale = []
    for document in [options.root / "README.md", *sorted((options.root / "docs").glob("*.md"))]:
        if not document.exists():
            continue
        text = document.read_text(encoding="utf-8")
        try:
            filled = fill_tables(text, document, options.root / "results")
        except GenLinkError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        if filled == text:
            continue
        stale.append(document)
        if not options.check:
            with atomic_file(document) as f:
                f.write(filled)
    for document in stale:
        print(f"{document.relative_to(options.root)}: {'differs from results/' if options.check else 'written'}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
