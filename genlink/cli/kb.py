"""``genlink kb``: build, look into and edit knowledge bases, and find the negatives of their names."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genlink.cli.kb_negatives import KB_HELP, negatives
from genlink.cli.kb_output import print_concept, print_name, print_report
from genlink.data_paths import locate
from genlink.errors import FormatError, ModelError, UsageError

if TYPE_CHECKING:
    from genlink.kb import KnowledgeBase
    from genlink.kb.readers import TableColumns, UmlsFilter
    from genlink.schema import Concept

__all__ = ["app"]

app = typer.Typer(
    help="Build, look into and edit knowledge bases.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


class OnDuplicate(str, Enum):
    """What to do with one id given twice with different names."""

    ERROR = "error"
    MERGE = "merge"


Kb = Annotated[Path, typer.Argument(metavar="KB", help=KB_HELP)]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Where to save the knowledge base; replaced if it is there."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def build(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Files, UMLS directories, saved knowledge bases, models.")
    ],
    output: Output,
    format: Annotated[
        str,
        typer.Option(help="auto, biosyn, medic, ctd, obo, obographs, jsonl, table or umls."),
    ] = "auto",
    on_duplicate: Annotated[
        OnDuplicate | None,
        typer.Option(help="One id twice, with different names [default: error for one source, merge for several]."),
    ] = None,
    max_name_length: Annotated[int | None, typer.Option(min=1, help="Drop names of more characters.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Drop names that this tokenizer cannot spell.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of text files [default: utf-8].")] = None,
    unicode: Annotated[bool, typer.Option("--unicode/--no-unicode", help="Fold accents and forms in keys.")] = True,
    case: Annotated[bool, typer.Option("--case/--no-case", help="Fold case in keys.")] = True,
    punctuation: Annotated[
        bool, typer.Option("--punctuation/--no-punctuation", help="Punctuation becomes a space in keys.")
    ] = True,
    id_column: Annotated[str | None, typer.Option(help="Tables: column of the id.")] = None,
    name_column: Annotated[str | None, typer.Option(help="Tables: column of the canonical name.")] = None,
    synonym_column: Annotated[str | None, typer.Option(help="Tables: column of synonyms.")] = None,
    definition_column: Annotated[str | None, typer.Option(help="Tables: column of the definition.")] = None,
    type_column: Annotated[str | None, typer.Option(help="Tables: column of semantic types.")] = None,
    alternative_id_column: Annotated[str | None, typer.Option(help="Tables: column of alternative ids.")] = None,
    xref_column: Annotated[str | None, typer.Option(help="Tables: column of cross references.")] = None,
    separator: Annotated[str | None, typer.Option(help="Tables: between the values of a field [default: |].")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="OBO: synonym scope to keep, repeatable [default: EXACT, RELATED].")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="UMLS: language (LAT), repeatable, `all` for all [default: ENG].")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="UMLS: source vocabulary (SAB), repeatable.")] = None,
    term_type: Annotated[list[str] | None, typer.Option(help="UMLS: term type (TTY), repeatable.")] = None,
    semantic_type: Annotated[list[str] | None, typer.Option(help="UMLS: semantic type (TUI), repeatable.")] = None,
    suppressed: Annotated[bool, typer.Option("--suppressed", help="UMLS: with suppressed names.")] = False,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the names, to be kept with them (`genlink info` shows it).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compile sources into one knowledge base, and print what was kept and dropped.

    \b
    Examples:
      genlink kb build MEDIC.tsv.gz --output kb/medic
      genlink kb build mondo.obo hp.obo --output kb/disease --max-name-length 200
      genlink kb build 2024AB/META --source SNOMEDCT_US --semantic-type T047 --output kb/snomed
      genlink kb build drugs.csv --id-column code --name-column label --synonym-column aka --output kb/drugs
    """
    from genlink.kb import KnowledgeBase
    from genlink.kb.load import place_of_kb
    from genlink.kb.provenance import Provenance
    from genlink.kb.readers import read_concepts, sniff
    from genlink.kb.store import is_saved
    from genlink.text import Normalisation

    table = _table_columns(
        id_column,
        name_column,
        synonym_column,
        definition_column,
        type_column,
        alternative_id_column,
        xref_column,
        separator,
    )
    umls = _umls_filter(language, source, term_type, semantic_type, suppressed)

    places = [place_of_kb(locate(path)) for path in sources]
    provenance: list[Provenance] = []
    for path in places:
        if format == "auto" and is_saved(path):
            provenance += KnowledgeBase.open(path).provenance
        else:
            kind = format if format != "auto" else "table" if table is not None else sniff(path, encoding or "utf-8")
            provenance.append(Provenance(path.name, kind, licence))

    def concepts() -> Iterator[Concept]:
        for path in places:
            if format == "auto" and is_saved(path):
                yield from KnowledgeBase.open(path)
            else:
                yield from read_concepts(path, format, encoding=encoding, table=table, umls=umls, scopes=scope)

    duplicates = on_duplicate or (OnDuplicate.ERROR if len(sources) == 1 else OnDuplicate.MERGE)
    kb = KnowledgeBase.from_concepts(
        _with_progress(concepts()),
        normalisation=Normalisation(unicode=unicode, case=case, punctuation=punctuation),
        max_name_length=max_name_length,
        on_duplicate="merge" if duplicates is OnDuplicate.MERGE else "error",
        provenance=provenance,
    )
    if tokenizer is not None:
        kb = _without_unspellable(kb, locate(tokenizer))
    _save(kb, output, as_json)


@app.command()
def info(
    kb: Kb,
    name: Annotated[str | None, typer.Option(help="Look up the concepts with this name.")] = None,
    concept_id: Annotated[str | None, typer.Option("--id", help="Look up the concept with this id.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every part with its hash first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the build report, or look up a name or an id. Exit code 1 where nothing is found.

    \b
    Examples:
      genlink kb info default
      genlink kb info kb/medic
      genlink kb info kb/medic --name "heart attack"
      genlink kb info kb/medic --id OMIM:125853 --json
    """
    from genlink.kb import load_kb
    from genlink.kb.load import place_of_kb
    from genlink.kb.store import verify as verify_parts

    if name is not None and concept_id is not None:
        raise UsageError("--name and --id are two questions. Ask one at a time.")
    if verify:
        verify_parts(place_of_kb(locate(kb)))
    opened = load_kb(locate(kb))
    if name is not None:
        print_name(opened, name, as_json)
    elif concept_id is not None:
        print_concept(opened, concept_id, as_json)
    else:
        print_report(opened, kb, as_json)


@app.command()
def add(
    kb: Kb,
    output: Output,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Lines of id<TAB>name, gzipped or not.")
    ] = None,
    concept_id: Annotated[str | None, typer.Option("--id", help="The concept to add --name to.")] = None,
    name: Annotated[list[str] | None, typer.Option(help="A name to add to --id, repeatable.")] = None,
    new: Annotated[
        bool, typer.Option("--new", help="An unknown id makes a new concept, its first name canonical.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add names to concepts, or new concepts.

    \b
    Examples:
      genlink kb add kb/medic --id MESH:D009203 --name "heart attack" --output kb/medic
      genlink kb add kb/medic --from names.tsv --new --output kb/medic-extended
    """
    from genlink.kb import load_kb
    from genlink.schema import Concept

    opened = load_kb(locate(kb))
    names = _given_names(from_file, concept_id, name, names_required=True)
    unknown = opened.missing(names) if new else frozenset()
    known = {i: values for i, values in names.items() if i not in unknown}
    if known:
        opened = opened.add_names(known)
    if unknown:
        opened = opened.add_concepts(Concept(i, tuple(names[i])) for i in names if i in unknown)
    _save(opened, output, as_json)


@app.command()
def remove(
    kb: Kb,
    output: Output,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Lines of id<TAB>name, or of an id alone.")
    ] = None,
    concept_id: Annotated[str | None, typer.Option("--id", help="The concept to remove, or that of --name.")] = None,
    name: Annotated[list[str] | None, typer.Option(help="A name to remove from --id, repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove names from concepts (every spelling with the same key), or whole concepts where no name is given.

    \b
    Examples:
      genlink kb remove kb/medic --id MESH:D009203 --name MI --output kb/medic
      genlink kb remove kb/medic --from unwanted.tsv --output kb/medic-small
    """
    from genlink.kb import load_kb

    opened = load_kb(locate(kb))
    names = _given_names(from_file, concept_id, name, names_required=False)
    if some := {i: values for i, values in names.items() if values}:
        opened = opened.remove_names(some)
    if whole := [i for i, values in names.items() if not values]:
        opened = opened.remove_concepts(whole)
    _save(opened, output, as_json)


@app.command()
def subset(
    kb: Kb,
    output: Output,
    type: Annotated[list[str] | None, typer.Option(help="Semantic type to keep, repeatable.")] = None,
    prefix: Annotated[list[str] | None, typer.Option(help="Vocabulary prefix to keep, repeatable.")] = None,
    ids: Annotated[Path | None, typer.Option(metavar="FILE", help="Ids to keep, one a line.")] = None,
    as_json: AsJson = False,
) -> None:
    """Keep the concepts that pass every filter given.

    \b
    Examples:
      genlink kb subset kb/umls --type T047 --type T191 --output kb/disorders
      genlink kb subset kb/all --prefix MESH --ids wanted.txt --output kb/mesh
    """
    from genlink.files import read_lines
    from genlink.kb import load_kb

    if type is None and prefix is None and ids is None:
        raise UsageError("no filter given. Pass --type, --prefix or --ids.")
    wanted = None if ids is None else {line.strip() for _, line in read_lines(locate(ids)) if line.strip()}
    _save(load_kb(locate(kb)).subset(types=type, prefixes=prefix, ids=wanted), output, as_json)


app.command()(negatives)


def _table_columns(
    id_column: str | None,
    name_column: str | None,
    synonyms: str | None,
    definition: str | None,
    types: str | None,
    alternative_ids: str | None,
    xrefs: str | None,
    separator: str | None,
) -> TableColumns | None:
    """The columns of a table, or None where no option names one."""
    from genlink.kb.readers import TableColumns

    if separator == "":
        raise UsageError("--separator is empty, expected what stands between the values of a field, for example ';'.")
    if separator is not None and not (synonyms or types or alternative_ids or xrefs):
        raise UsageError("--separator is for columns of several values. Name one, for example --synonym-column.")
    if not any((id_column, name_column, synonyms, definition, types, alternative_ids, xrefs)):
        return None
    return TableColumns(
        id=id_column or "id",
        name=name_column or "name",
        synonyms=synonyms,
        definition=definition,
        types=types,
        alternative_ids=alternative_ids,
        xrefs=xrefs,
        separator="|" if separator is None else separator,
    )


def _umls_filter(
    languages: list[str] | None,
    sources: list[str] | None,
    term_types: list[str] | None,
    semantic_types: list[str] | None,
    suppressed: bool,
) -> UmlsFilter | None:
    """The filter of a UMLS release, or None where no option asks for one."""
    from genlink.kb.readers import UmlsFilter

    if not any((languages, sources, term_types, semantic_types, suppressed)):
        return None
    return UmlsFilter(
        languages=() if languages == ["all"] else tuple(languages or ("ENG",)),
        sources=tuple(sources or ()),
        term_types=tuple(term_types or ()),
        semantic_types=tuple(semantic_types or ()),
        suppressed=suppressed,
    )


def _with_progress(concepts: Iterable[Concept]) -> Iterable[Concept]:
    from rich.console import Console
    from rich.progress import track

    return track(concepts, "reading", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _without_unspellable(kb: KnowledgeBase, directory: Path) -> KnowledgeBase:
    """The knowledge base without the names that the tokenizer in a directory cannot spell."""
    from transformers import AutoTokenizer

    from genlink.kb.report import unspellable

    if not directory.is_dir():
        raise ModelError(f"{directory}: no such directory, expected a tokenizer.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{directory}: no tokenizer could be loaded from it ({reason}).") from error
    keys = unspellable(
        (kb.key(i) for i in range(kb.n_keys)),
        encode=lambda texts: tokenizer(list(texts), add_special_tokens=False)["input_ids"],
        decode=lambda ids: tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False),
        special_ids=tokenizer.all_special_ids,
    )
    return kb.without_unspellable(frozenset(keys))


def _given_names(
    path: Path | None, concept_id: str | None, names: list[str] | None, names_required: bool
) -> dict[str, list[str]]:
    """Names by id from a file or from options; an id that stands alone (once at least) has none."""
    from genlink.files import read_lines

    if (path is None) == (concept_id is None):
        raise UsageError("say what: either --from FILE or --id ID" + (" --name NAME." if names_required else "."))
    if concept_id is not None:
        if names_required and not names:
            raise UsageError("--id needs at least one --name.")
        return {concept_id: names or []}
    if names or path is None:
        raise UsageError("--name belongs to --id, not to --from.")
    path = locate(path)
    by_id: dict[str, list[str]] = {}
    alone: dict[str, list[str]] = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        given, _, name = (field.strip() for field in line.partition("\t"))
        if not given or "\t" in name or (names_required and not name):
            raise FormatError(path, f"not a line of id<TAB>name: {line!r}.", line=number)
        if name:
            by_id.setdefault(given, []).append(name)
        else:
            alone[given] = []
    if not by_id and not alone:
        raise FormatError(path, "is empty.", advice="Expected lines of id<TAB>name.")
    return by_id | alone


def _save(kb: KnowledgeBase, output: Path, as_json: bool) -> None:
    kb.save(output)
    typer.echo(f"saved {len(kb):,} concepts to {output}", err=True)
    print_report(kb, output, as_json)
