"""``genlink kb`` from the outside: arguments in, a saved knowledge base and a report out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from genlink.cli.kb import app
from genlink.data.negatives import open_negatives
from genlink.errors import DataError, FormatError, KnowledgeBaseError, ModelError, UsageError
from genlink.kb import KnowledgeBase
from genlink.schema import Concept

HEADACHE = Concept("MESH:D1", ("Headache", "head pain", "MI"), ("T184",), "Pain in the head.", ("OMIM:1",))
MIGRAINE = Concept("MESH:D2", ("Migraine", "MI"), ("T047",))
GENE = Concept("HGNC:7", ("ABC1",), ("T028",))


def run(*arguments: object) -> str:
    """What a command prints to standard output; errors of GenLink are raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def kb(tmp_path: Path) -> Path:
    KnowledgeBase.from_concepts([HEADACHE, MIGRAINE, GENE]).save(tmp_path / "kb")
    return tmp_path / "kb"


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    lines = [
        {"id": "A:1", "name": "ache", "synonyms": ["an ache that is long"]},
        {"id": "A:2", "name": "Ache!", "synonyms": ["pain"]},
    ]
    path = tmp_path / "pains.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


# build


def test_build_saves_a_knowledge_base_and_prints_its_report(jsonl: Path, tmp_path: Path) -> None:
    printed = run_json("build", jsonl, "--output", tmp_path / "kb", "--max-name-length", 10)
    opened = KnowledgeBase.open(tmp_path / "kb")
    assert opened.concept_ids("ACHE") == ("A:1", "A:2")
    assert opened.report is not None
    assert printed == {
        "path": str(tmp_path / "kb"),
        "content_hash": opened.content_hash,
        "normalisation": {"unicode": True, "case": True, "punctuation": True},
        "report": opened.report.to_json(),
    }
    assert printed["report"]["names_dropped_too_long"] == 1


def test_build_prints_a_table_to_stdout_and_a_note_to_stderr(jsonl: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["build", str(jsonl), "--output", str(tmp_path / "kb")])
    assert "ambiguous keys" in result.stdout
    assert "concepts of A" in result.stdout
    assert "saved 2 concepts" in result.stderr


def test_the_steps_of_normalisation_can_be_switched_off(jsonl: Path, tmp_path: Path) -> None:
    run("build", jsonl, "-o", tmp_path / "kb", "--no-case", "--no-punctuation", "--no-unicode")
    opened = KnowledgeBase.open(tmp_path / "kb")
    assert opened.concept_ids("ache") == ("A:1",)
    assert opened.concept_ids("Ache!") == ("A:2",)


def test_several_sources_of_different_kinds_are_merged(jsonl: Path, kb: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("A:2||Ache!\nA:2||hurt\nA:3||sore\n")
    run("build", jsonl, more, kb, "--output", tmp_path / "all")
    opened = KnowledgeBase.open(tmp_path / "all")
    assert [c.concept_id for c in opened] == ["A:1", "A:2", "A:3", "MESH:D1", "MESH:D2", "HGNC:7"]
    assert opened.concept("A:2").names == ("Ache!", "pain", "hurt")
    assert opened.concept("MESH:D1") == HEADACHE


def test_one_source_with_an_id_twice_is_an_error_unless_merged(tmp_path: Path) -> None:
    source = tmp_path / "twice.jsonl"
    source.write_text('{"id": "A:1", "name": "a"}\n{"id": "A:1", "name": "b"}\n')
    with pytest.raises(KnowledgeBaseError, match=r"A:1: given twice.*--on-duplicate merge"):
        run("build", source, "--output", tmp_path / "kb")
    assert not (tmp_path / "kb").exists()
    run("build", source, "--output", tmp_path / "kb", "--on-duplicate", "merge")
    assert KnowledgeBase.open(tmp_path / "kb").concept("A:1").names == ("a", "b")
    with pytest.raises(KnowledgeBaseError, match="A:1: given twice"):
        run("build", source, tmp_path / "kb", "--output", tmp_path / "kb", "--on-duplicate", "error")


def test_tables_are_read_by_the_columns_named(tmp_path: Path) -> None:
    source = tmp_path / "drugs.csv"
    source.write_bytes("code,label,aka,what\nX1,café au lait,latte;white coffee,drink\n".encode("cp1252"))
    columns = ["--id-column", "code", "--name-column", "label", "--synonym-column", "aka", "--type-column", "what"]
    run("build", source, "--output", tmp_path / "kb", *columns, "--separator", ";", "--encoding", "cp1252")
    assert list(KnowledgeBase.open(tmp_path / "kb")) == [
        Concept("X1", ("café au lait", "latte", "white coffee"), types=("drink",))
    ]


def test_a_separator_without_a_column_to_separate_is_refused(jsonl: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--separator is for columns of several values"):
        run("build", jsonl, "--output", tmp_path / "kb", "--separator", ";")


def test_an_option_of_another_format_is_refused(jsonl: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="umls"):
        run("build", jsonl, "--output", tmp_path / "kb", "--semantic-type", "T047")


def umls_row(cui: str, language: str, source: str, kind: str, name: str, suppressed: str = "N") -> str:
    return f"{cui}|{language}|P|L1|PF|S1|Y|A{name}||||{source}|{kind}|c1|{name}|0|{suppressed}|256|\n"


def test_a_umls_release_is_filtered(tmp_path: Path) -> None:
    meta = tmp_path / "META"
    meta.mkdir()
    rows = [
        umls_row("C0000001", "ENG", "MSH", "MH", "Sandy foot"),
        umls_row("C0000001", "ENG", "SNOMEDCT_US", "PT", "Foot full of sand"),
        umls_row("C0000001", "GER", "MSH", "MH", "Sandfuss"),
        umls_row("C0000001", "ENG", "MSH", "MH", "Beach foot", suppressed="O"),
        umls_row("C0000002", "ENG", "MSH", "MH", "Bucket"),
    ]
    (meta / "MRCONSO.RRF").write_text("".join(rows))
    (meta / "MRSTY.RRF").write_text("C0000001|T047|B|Disease|AT1|256|\nC0000002|T073|A|Object|AT2|256|\n")

    def names(*options: str) -> set[str]:
        run("build", meta, "--output", tmp_path / "kb", *options)
        return {name for concept in KnowledgeBase.open(tmp_path / "kb") for name in concept.names}

    assert names() == {"Sandy foot", "Foot full of sand", "Bucket"}
    assert names("--semantic-type", "T047", "--source", "MSH") == {"Sandy foot"}
    assert names("--term-type", "PT") == {"Foot full of sand"}
    assert names("--language", "GER") == {"Sandfuss"}
    assert names("--language", "all", "--semantic-type", "T047", "--suppressed") == {
        "Sandy foot",
        "Foot full of sand",
        "Sandfuss",
        "Beach foot",
    }


def test_names_that_the_tokenizer_cannot_spell_are_dropped_and_counted(jsonl: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = Tokenizer(models.BPE({"<unk>": 0, **{c: i for i, c in enumerate("Ġache", 1)}}, [], unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=letters, unk_token="<unk>").save_pretrained(tmp_path / "tokenizer")
    report = run_json("build", jsonl, "--output", tmp_path / "kb", "--tokenizer", tmp_path / "tokenizer")["report"]
    opened = KnowledgeBase.open(tmp_path / "kb")
    assert [c.names for c in opened] == [("ache",), ("Ache!",)]
    assert report["names_dropped_unspellable"] == 2  # an ache that is long, pain


def test_a_directory_without_a_tokenizer_is_named(jsonl: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for directory in ("missing", "empty"):
        with pytest.raises(ModelError, match=f"{directory}: .*tokenizer"):
            run("build", jsonl, "--output", tmp_path / "kb", "--tokenizer", tmp_path / directory)


# info


def test_info_prints_the_report_of_a_saved_knowledge_base_or_of_a_file(kb: Path, jsonl: Path) -> None:
    assert run_json("info", kb)["report"]["vocabularies"] == {"HGNC": 1, "MESH": 2}
    assert "concepts of HGNC" in run("info", kb, "--verify")
    assert run_json("info", jsonl)["report"]["concepts"] == 2


def test_every_file_that_is_read_may_lie_where_genlink_data_says(
    kb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "names.tsv").write_text("MESH:D1\tcephalalgia\n")
    (tmp_path / "ids.txt").write_text("MESH:D1\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("GENLINK_DATA", str(tmp_path))
    assert run_json("info", "data/kb", "--verify")["report"]["concepts"] == 3
    run("add", "data/kb", "--from", "data/names.tsv", "--output", "more")
    assert KnowledgeBase.open("more").concept_ids("cephalalgia") == ("MESH:D1",)
    run("subset", "data/kb", "--ids", "data/ids.txt", "--output", "one")
    assert len(KnowledgeBase.open("one")) == 1


def test_info_verify_finds_a_changed_part(kb: Path) -> None:
    concepts = (kb / "concepts.jsonl").read_bytes()
    (kb / "concepts.jsonl").write_bytes(concepts.replace(b"Headache", b"Beadache"))
    with pytest.raises(KnowledgeBaseError, match="was changed"):
        run("info", kb, "--verify")


def test_info_looks_up_a_name(kb: Path) -> None:
    assert run_json("info", kb, "--name", "Mi") == {
        "name": "Mi",
        "key": "mi",
        "ambiguous": True,
        "concepts": [
            {"concept_id": "MESH:D1", "concept_name": "Headache", "name": "MI"},
            {"concept_id": "MESH:D2", "concept_name": "Migraine", "name": "MI"},
        ],
    }
    assert "mi (ambiguous)" in run("info", kb, "--name", "mi")
    with pytest.raises(KnowledgeBaseError, match="'stroke': no concept has this name"):
        run("info", kb, "--name", "stroke")


def test_info_looks_up_an_id_by_the_rule_for_foreign_ids(kb: Path) -> None:
    assert run_json("info", kb, "--id", "1") == {
        "id": "MESH:D1",
        "name": "Headache",
        "synonyms": ["head pain", "MI"],
        "types": ["T184"],
        "definition": "Pain in the head.",
        "alternative_ids": ["OMIM:1"],
    }
    assert "Pain in the head." in run("info", kb, "--id", "D1")
    with pytest.raises(KnowledgeBaseError, match="MESH:D9: no such concept id"):
        run("info", kb, "--id", "MESH:D9")


def test_info_prints_names_that_look_like_markup_as_they_are(tmp_path: Path) -> None:
    KnowledgeBase.from_concepts([Concept("A:1", ("2-[bold]fluoro[/bold]",))]).save(tmp_path / "kb")
    assert "2-[bold]fluoro[/bold]" in run("info", tmp_path / "kb", "--id", "A:1")


def test_info_asks_one_thing_at_a_time(kb: Path) -> None:
    with pytest.raises(UsageError, match="--name and --id"):
        run("info", kb, "--name", "mi", "--id", "D1")


# add, remove, subset


def test_add_puts_names_to_a_concept_in_place(kb: Path) -> None:
    run("add", kb, "--id", "D1", "--name", "sore head", "--name", "cephalgia", "--output", kb)
    assert KnowledgeBase.open(kb).concept("MESH:D1").names == (*HEADACHE.names, "sore head", "cephalgia")


def test_add_reads_a_file_and_makes_new_concepts_only_when_told(kb: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.tsv"
    names.write_text("D2\tmegrim\nX:1\tnew thing\n\nX:1\tnovelty\n")
    with pytest.raises(KnowledgeBaseError, match="X:1: no such concept id"):
        run("add", kb, "--from", names, "--output", tmp_path / "more")
    assert not (tmp_path / "more").exists()
    assert run_json("add", kb, "--from", names, "--new", "--output", tmp_path / "more")["report"]["concepts"] == 4
    opened = KnowledgeBase.open(tmp_path / "more")
    assert opened.concept("X:1").names == ("new thing", "novelty")
    assert opened.concept_ids("megrim") == ("MESH:D2",)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "either --from FILE or --id"),
        (["--id", "D1"], "at least one --name"),
        (["--id", "D1", "--from", "names.tsv"], "either --from FILE or --id"),
        (["--from", "names.tsv", "--name", "x"], "--name belongs to --id"),
    ],
)
def test_add_says_how_it_wants_to_be_called(kb: Path, options: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        run("add", kb, "--output", kb, *options)


@pytest.mark.parametrize("text", ["D1\n", "D1\t \n", "\tname\n", "D1\ta\tb\n"])
def test_add_names_the_line_that_it_cannot_read(kb: Path, tmp_path: Path, text: str) -> None:
    names = tmp_path / "names.tsv"
    names.write_text("D2\tfine\n" + text)
    with pytest.raises(FormatError, match=r"names\.tsv:2: not a line of id<TAB>name"):
        run("add", kb, "--from", names, "--output", kb)


def test_an_empty_file_of_names_is_an_error(kb: Path, tmp_path: Path) -> None:
    (tmp_path / "names.tsv").write_text("\n")
    with pytest.raises(FormatError, match="is empty"):
        run("add", kb, "--from", tmp_path / "names.tsv", "--output", kb)


def test_remove_takes_names_or_whole_concepts(kb: Path, tmp_path: Path) -> None:
    run("remove", kb, "--id", "D1", "--name", "mi", "--output", tmp_path / "names")
    assert KnowledgeBase.open(tmp_path / "names").concept_ids("MI") == ("MESH:D2",)
    run("remove", kb, "--id", "D1", "--output", tmp_path / "concepts")
    assert list(KnowledgeBase.open(tmp_path / "concepts")) == [MIGRAINE, GENE]
    unwanted = tmp_path / "unwanted.tsv"
    unwanted.write_text("HGNC:7\nMESH:D1\thead pain\n")
    run("remove", kb, "--from", unwanted, "--output", kb)
    assert [c.names for c in KnowledgeBase.open(kb)] == [("Headache", "MI"), ("Migraine", "MI")]


def test_subset_keeps_types_prefixes_and_ids(kb: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("D1\n\nHGNC:7\n")
    run("subset", kb, "--type", "T047", "--type", "T028", "--output", tmp_path / "types")
    run("subset", kb, "--prefix", "MESH", "--ids", ids, "--output", tmp_path / "both")
    assert list(KnowledgeBase.open(tmp_path / "types")) == [MIGRAINE, GENE]
    assert list(KnowledgeBase.open(tmp_path / "both")) == [HEADACHE]
    with pytest.raises(UsageError, match="no filter"):
        run("subset", kb, "--output", tmp_path / "none")


# negatives


def test_negatives_are_written_and_can_be_read_by_people(kb: Path, tmp_path: Path) -> None:
    run("negatives", kb, "--top", 2, "--output", tmp_path / "negatives", "--review", tmp_path / "review.jsonl")
    opened = KnowledgeBase.open(kb)
    # "mi" is a name of both concepts; of the other names only these two share a trigram, "ain".
    lines = [json.loads(line) for line in (tmp_path / "review.jsonl").read_text().splitlines()]
    found = {line["name"]: [entry["name"] for entry in line["negatives"]] for line in lines}
    assert found == {"head pain": ["migraine"], "migraine": ["head pain"]}
    assert open_negatives(tmp_path / "negatives", opened).shape == (opened.n_keys, 2)


# the rest


@pytest.mark.parametrize("command", ["build", "info", "add", "remove", "subset", "negatives"])
def test_help_has_examples(command: str) -> None:
    assert f"genlink kb {command} " in run(command, "--help").partition("Examples:")[2]


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    for arguments in (["build", tmp_path / "no.obo", "-o", tmp_path / "kb"], ["info", tmp_path / "no.obo"]):
        with pytest.raises(DataError, match=r"no\.obo: no such file"):
            run(*arguments)
