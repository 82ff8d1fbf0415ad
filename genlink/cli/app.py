"""The ``genlink`` command: its verbs, and the one place where errors become exit codes."""

from __future__ import annotations

import logging
import os
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

from genlink.cli import benchmark, calibrate, corpus, embed, evaluate, harvest, info, kb, link, serve, train, union
from genlink.errors import GenLinkError

__all__ = ["app", "main"]

INTERRUPTED = 130  # 128 and the number of SIGINT, as a shell has it
# What typer's parser raises: click's own errors in older releases, those of typer's copy of click in newer ones.
PARSER_ERRORS: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="genlink",
    help="Link mentions in biomedical text to the concepts of a knowledge base.",
    epilog="Exit codes: 0 done, 1 the data, 2 the command or its settings.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(kb.app, name="kb")
app.add_typer(corpus.app, name="corpus")
app.command()(train.train)
app.command()(harvest.harvest)
app.command()(link.link)
app.command()(info.info)
app.command()(serve.explain)
app.command()(serve.serve)
app.command()(evaluate.evaluate)
app.command()(evaluate.score)
app.command()(evaluate.compare)
app.command()(benchmark.benchmark)
app.command()(calibrate.calibrate)
app.command()(union.union)
app.command()(embed.embed)
app.command()(train.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(metadata.version("genlink"))
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line: errors that a user can mend are one line and an exit code, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        code = app(standalone_mode=False)
    except GenLinkError as error:
        _fail(str(error), error.exit_code)
    except typer.Exit as end:
        code = end.exit_code
    except PARSER_ERRORS as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help text, not an error
            print(error.format_message(), file=sys.stderr)
            sys.exit(error.exit_code)
        context = getattr(error, "ctx", None)
        advice = f" See {context.command_path} --help." if context else ""
        _fail(error.format_message().rstrip(".") + "." + advice, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); there is nobody left to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.filename or 'file system'}: {error.strerror or error}", 1)
    if code == INTERRUPTED:  # typer turns the interruption into this exit code, and is silent about it
        _fail("interrupted", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)
