"""The model card of a bundle: what its manifest, the records of its training and result files tell, no more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from genlink.bundle.kept import FIRST_CARD, section
from genlink.data_paths import display, locate
from genlink.default import DEFAULT
from genlink.evaluation.cells import cell, markdown, with_interval
from genlink.files import read_json
from genlink.linkers.model_directory import KIND

__all__ = ["data_of", "model_card", "training_records"]

Record = Mapping[str, Any]
_MEASURES = {"acc@1": "Acc@1", "acc@5": "Acc@5", "mrr": "MRR"}


def model_card(
    name: str,
    facts: Record,
    *,
    runs: Sequence[Record] = (),
    results: Sequence[Record] = (),
    terms: str | None = None,
    sources: Mapping[str, str] | None = None,
    limits: Sequence[str] = (),
    first_card: str | None = None,
) -> str:
    """A card in Markdown, with the header that the Hub reads. Where something is not known it says so.

    ``facts`` are those of ``model_facts``, ``runs`` the values of the ``run.json`` of each stage, the first stage
    first, ``results`` those of the result files of ``genlink evaluate``. ``terms``: on which terms the weights are
    given, in words; ``sources``: what the data that was read is, and its licence, by its path; ``limits``: what else
    its user should know, in sentences. ``first_card`` is the card that the weights came with, whose terms and
    training are repeated; see :mod:`genlink.bundle.kept`.
    """
    return "\n".join(_lines(name, facts, runs, results, terms, sources or {}, limits, first_card)) + "\n"


def training_records(model: Path) -> list[dict[str, Any]]:
    """The values of the ``run.json`` of a model and of the stages that it started from, the first stage first.

    One lies beside each model directory; the list begins where there is none any more.
    """
    records: list[dict[str, Any]] = []
    seen: set[Path] = set()
    path = model.parent / "run.json"
    while path.is_file() and path not in seen:
        seen.add(path)
        records.insert(0, read_json(path))
        checkpoint = _recipe(records[0]).get("model", {}).get("checkpoint")
        if checkpoint is None:
            break
        path = locate(checkpoint).parent / "run.json"
    return records


def data_of(runs: Iterable[Record]) -> dict[str, str]:
    """Path -> SHA-256 of the data that stages read, each once; the weights that a stage starts from are none."""
    return {
        entry["path"]: entry["sha256"]
        for run in runs
        for entry in run.get("data", ())
        if not entry["path"].startswith(f"{(_recipe(run).get('model') or {}).get('checkpoint')}/")
    }


def _lines(
    name: str,
    facts: Record,
    runs: Sequence[Record],
    results: Sequence[Record],
    terms: str | None,
    sources: Mapping[str, str],
    limits: Sequence[str],
    first_card: str | None,
) -> Iterator[str]:
    is_generative = facts["kind"] == KIND
    yield from ("---", "library_name: genlink", "tags:", "- entity-linking", "- biomedical", "---", "")
    yield from (f"# {name}", "")
    what = "It generates names under a prefix trie" if is_generative else "It compares vectors of names and mentions"
    yield f"A {facts['kind']} for mentions in biomedical text, made with GenLink {metadata.version('genlink')}. {what}."
    opening = "genlink.load()" if name == DEFAULT else f'genlink.Pipeline.from_pretrained("{name}")'
    yield from ("", "```python", "import genlink", "", f"pipeline = {opening}")
    yield from ('predictions = pipeline.link("History of [[asthma]].")', "```", "", "## What it links to", "")
    yield f"- {facts['concepts']:,} concepts with {facts['names']:,} names ({facts['distinct_names']:,} distinct ones)."
    if facts["vocabularies"]:
        counts = [f"{prefix or 'ids without a prefix'} {count:,}" for prefix, count in facts["vocabularies"].items()]
        yield f"- Concepts by vocabulary: {', '.join(counts)}."
    for source in facts["sources_of_names"]:
        licence = source["licence"] or "licence not recorded; ask the owner"
        yield f"- Names from `{source['source']}` ({source['format']}): {licence}."
    if not facts["sources_of_names"]:
        yield "- Sources and licence of the names: not recorded; ask their owners."
    if restricted := facts["restricted_vocabularies"]:
        yield f"- **Restricted**: the names seem to be from {', '.join(restricted)}. Who uses them needs that licence."
    if terms is not None:
        yield from ("", "## Terms", "", terms.strip())
    elif first_terms := section(first_card or "", "Terms"):
        yield from ("", "## Terms", "", f"Of the model that this was saved from, its [card]({FIRST_CARD}) says:")
        yield from ("", *(f"> {line}".rstrip() for line in first_terms.splitlines()))
    yield from ("", "## Training", "")
    if first_training := section(first_card or "", "Training"):
        yield from (f"As the [card]({FIRST_CARD}) that the weights came with has it:", "", first_training)
    if runs and first_training:
        yield ""
    if runs or not first_training:
        yield from _training(runs, sources)
    yield from ("", "## Scores", "")
    yield from _scores(results)
    yield from ("", "## Limits", "", *(f"- {limit}" for limit in limits))
    if first_card is not None:
        yield f"- Scores, settings and further limits of the model that this was saved from: [its card]({FIRST_CARD})."
    yield "- It answers with concepts of its own names alone; what is missing there it cannot find."
    yield "- It finds no mentions but the dictionary's own spellings: bring those of a tagger for recall."
    if facts["calibrated"]:
        yield "- Its calibration was fitted to corpora: on other text, or over other names, probabilities may be wrong."
    else:
        yield "- Scores are no probabilities, and it never answers NIL, unless it is given a calibration."
    yield "- It is made for research. Have a person check what decisions about patients rest on."
    yield from ("", "## Settings", "", "```json")
    settings = ("parameters", "weights", "template", "search", "normaliser", "preprocessing", "sparse_weight")
    yield json.dumps({key: facts[key] for key in settings if key in facts}, indent=2)
    yield "```"


def _training(runs: Sequence[Record], sources: Mapping[str, str]) -> Iterator[str]:
    if not runs:
        yield "Data and recipe are not recorded."
        return
    for path, digest in data_of(runs).items():
        known = f": {sources[path]}" if path in sources else ""
        yield f"- Read `{path}` (SHA-256 `{digest[:16]}`){known}."
    for i, run in enumerate(runs, start=1):
        recipe = _recipe(run)
        stage = recipe.get("stage", "unknown")
        yield from ("", f"Stage {i} of {len(runs)}: `{stage}`, seed {run.get('seed')}, commit `{run.get('commit')}`.")
        yield from ("", "```json", json.dumps(_without_places(recipe), indent=2), "```")


def _scores(results: Sequence[Record]) -> Iterator[str]:
    rows = [row for result in results for row in _score_rows(result)]
    if not rows:
        yield "None were given."
        return
    header = ("Scored on", "Rules", *_MEASURES.values(), "Mentions")
    yield markdown([header, ["---"] * len(header), *rows])
    yield "In per cent, with 95 % intervals. Each row is of one result file:"
    yield ""
    for result in results:
        yield f"- `{result['command']}`, at commit `{result['commit']}`"


def _score_rows(result: Record) -> Iterator[list[str]]:
    """A row for each preset of rules, over everything that counts by it."""
    data, settings = (entry["path"] for entry in result["data"]), result["settings"]
    types = f" ({', '.join(settings['types'])})" if settings.get("types") else ""
    scored = f"{settings.get('name') or 'model'}: {', '.join(data)}{types}"
    for preset, measures in result["metrics"].items():
        if ":" not in preset and "acc@1" in measures:
            names = settings.get("policies", {}).get(preset, {}).get("dictionary")
            rules = f"{preset}, {names}" if names else preset
            shown = [with_interval(measures.get(measure)) for measure in _MEASURES]
            yield [cell(scored), cell(rules), *shown, f"{measures['acc@1']['n']:,}"]


def _recipe(run: Record) -> dict[str, Any]:
    recipe: dict[str, Any] = run.get("settings", {}).get("recipe", {})
    return recipe


def _without_places(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as others may see it: where a run was written to is nobody's business."""
    shown = {key: value for key, value in recipe.items() if key != "output"}
    if (shown.get("model") or {}).get("checkpoint") is not None:
        shown["model"] = {**shown["model"], "checkpoint": display(shown["model"]["checkpoint"])}
    return shown
