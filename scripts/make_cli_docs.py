"""Make docs/cli.md anew from what the program says of itself: the --help of every command.

python scripts/make_cli_docs.py            write it
python scripts/make_cli_docs.py --check    write nothing, exit 1 if it would change
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from genlink.files import atomic_file

# Fixed, so that the page does not depend on the window it was made in.
WIDTH = 100
PREAMBLE = """\
# Command line

What every command says of itself with `--help`. This page is written by `make docs`; a test holds it to the program.
"""


def command_paths(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that lead from ``command``, at ``path``, to itself and to each group and command below it."""
    yield path
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            if not child.hidden:
                yield from command_paths(child, (*path, name))


def cli_page(app: typer.Typer, program: str = "genlink") -> str:
    """The page: a heading and the help text of each command, in the order in which --help lists them."""
    runner = CliRunner()
    parts = [PREAMBLE]
    for path in command_paths(typer.main.get_command(app)):
        result = runner.invoke(
            app, [*path, "--help"], prog_name=program, terminal_width=WIDTH, color=False, catch_exceptions=False
        )
        text = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
        parts.append(f"## {' '.join([program, *path])}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code. ``arguments`` are those of the command line if left out."""
    from genlink.cli.app import app

    parser = argparse.ArgumentParser(description="Make docs/cli.md from the --help of every command.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if docs/cli.md would change")
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent, help="the repository")
    options = parser.parse_args(arguments)
    path = options.root / "docs" / "cli.md"
    page = cli_page(app)
    if path.exists() and path.read_text(encoding="utf-8") == page:
        return 0
    if options.check:
        print("docs/cli.md: differs from --help. Run `make docs`.")
        return 1
    with atomic_file(path) as f:
        f.write(page)
    print("docs/cli.md: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
