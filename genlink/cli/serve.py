"""``genlink serve`` and ``genlink explain``: a linker with a page, and a page without a server."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from genlink.cli.options import (
    MODEL_HELP,
    BatchSize,
    Beams,
    Cache,
    Calibrated,
    ConceptTypes,
    Device,
    Dictionary,
    IdPrefixes,
    Index,
    Precision,
    Ranks,
    Search,
    document_of_text,
)
from genlink.default import DEFAULT
from genlink.errors import UsageError

__all__ = ["explain", "serve"]


def serve(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help=MODEL_HELP)] = DEFAULT,
    kb: Dictionary = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets other computers in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 for any that is free.")] = 8000,
    calibration: Calibrated = None,
    max_characters: Annotated[int, typer.Option(min=1, help="Longest text of a request.")] = 50_000,
    max_mentions: Annotated[int, typer.Option(min=1, help="Most mentions of a request.")] = 200,
    queue: Annotated[int, typer.Option(min=1, help="Mentions that may wait; past that, requests are put off.")] = 1_000,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which a request is given up.")] = 60.0,
    search: Search = None,
    beams: Beams = None,
    batch_size: BatchSize = None,
    device: Device = None,
    precision: Precision = None,
    index: Index = None,
    cache: Cache = None,
) -> None:
    """Answer by a linker over HTTP, and show a page at /.

    Needs the extra `serve`. Requests that come at the same time are linked together. POST /link takes a text with its
    mentions in double brackets, or finds names in one without; /explain shows a search, /openapi.json describes all.

    \b
    Examples:
      genlink serve runs/demo/model
      genlink serve tfidf --kb diseases.jsonl --port 8080
    """
    from genlink.pipeline import load
    from genlink.serving.run import bind, require_server, serve_until_told
    from genlink.serving.settings import ServeSettings

    require_server()
    settings = ServeSettings(text_characters=max_characters, mentions=max_mentions, queue=queue, timeout_s=timeout)
    with bind(host, port) as listening:  # before a model is loaded for nothing
        opened = load(
            model,
            kb,
            calibration=calibration,
            search=search,
            beams=beams,
            batch_size=batch_size,
            device=device,
            precision=precision,
            index=index,
            cache=cache,
        )
        from genlink.serving.app import create_app

        def started(address: str) -> None:
            print(f"Serving {len(opened.kb):,} concepts at {address} (Ctrl+C ends it).", file=sys.stderr, flush=True)

        app = create_app(opened.linker, settings, calibration=opened.calibration)
        # An interruption is how it is meant to end.
        with suppress(KeyboardInterrupt):
            serve_until_told(app, listening, timeout_s=timeout, started=started)


def explain(
    text: Annotated[str, typer.Option(help="A text, its mentions in double brackets if not names of the dictionary.")],
    output: Annotated[Path, typer.Option(help="HTML file to write.")],
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL]", help="default (which comes with GenLink), or the directory of a generative model."
        ),
    ] = DEFAULT,
    kb: Dictionary = None,
    k: Ranks = 5,
    calibration: Calibrated = None,
    concept_types: ConceptTypes = None,
    id_prefixes: IdPrefixes = None,
    search: Search = None,
    beams: Beams = None,
    device: Device = None,
    precision: Precision = None,
) -> None:
    """Show how a generative linker searched for the mentions of a text.

    The file needs no server and no other file. It shows the candidates, the branches of the trie of names that the
    search went along, and the probability on each.

    \b
    Examples:
      genlink explain --text "A case of [[asthma]]." --output search.html
      genlink explain runs/demo/model --text "History of [[type C hepatitis]]." --output search.html
    """
    from genlink.files import atomic_file
    from genlink.pipeline import load
    from genlink.preprocessing import prepare
    from genlink.serving.page import standalone_page
    from genlink.serving.render import render_explanation
    from genlink.serving.service import LinkerService, Question

    opened = load(model, kb, calibration=calibration, search=search, beams=beams, device=device, precision=precision)
    calibrated, service = opened.calibration, LinkerService(opened.linker)
    if not service.can_trace:
        raise UsageError(f"{model}: does not search a trie of names. Give the directory of a generative linker.")
    types, prefixes = tuple(concept_types or ()), tuple(id_prefixes or ())
    document = document_of_text(text)
    mentions = prepare([document if document.mentions else service.found(document, types, prefixes)])
    if not mentions:
        raise UsageError(
            "no name of the dictionary stands in --text, and it marks no mention: put each in double brackets, as in "
            "'a history of [[asthma]]'."
        )
    question = Question(calibrated.ranks if calibrated else k, types, prefixes, is_traced=True)
    explained = [
        (calibrated.apply(answer.prediction, k) if calibrated else answer.prediction, answer.trace)
        for answer in service.answer(question, mentions)
        if answer.trace
    ]
    with atomic_file(output) as f:
        f.write(
            standalone_page("How the mentions were linked", render_explanation(document.text, explained, opened.kb))
        )
    print(f"Wrote the search of {len(explained)} mention{'s' * (len(explained) != 1)} to {output}.", file=sys.stderr)
