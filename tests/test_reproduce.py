"""The page on reproducing the papers: its commands prepare data as it says, and its changes fit the recipes.

Everything that the commands read is invented, in the layout of the files that the page names.
"""

from __future__ import annotations

import gzip
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from genlink import load_corpus, load_kb
from genlink.config import read_recipe

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
DATA_PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def atom(cui: str, source: str, code: str, name: str, language: str = "ENG", suppressed: str = "N") -> str:
    return f"{cui}|{language}|P|L1|PF|S1|Y|A1||||{source}|PT|{code}|{name}|0|{suppressed}||\n"


# T017 with a descendant (A1.2.2), and one that only looks like it (A1.20); T071 is above both.
SEMANTIC_NETWORK = """RL|T186|isa|H|...|
STY|T071|Entity|A|...|
STY|T017|Anatomical Structure|A1.2|...|
STY|T020|Acquired Abnormality|A1.2.2|...|
STY|T900|Invented Type|A1.20|...|
"""
MRSTY = """C9000001|T020|A1.2.2|Acquired Abnormality|AT1||
C9000002|T017|A1.2|Anatomical Structure|AT2||
C9000003|T900|A1.20|Invented Type|AT3||
C9000004|T071|A|Entity|AT4||
"""
MRCONSO = (
    atom("C9000001", "MSH", "D900001", "Silver spleen")
    + atom("C9000001", "MSH", "D900001", "Spleen, silvern", suppressed="O")
    + atom("C9000001", "INVENTED", "7", "Argent spleen")
    + atom("C9000001", "MSH", "D900001", "Rate d'argent", language="FRE")
    + atom("C9000002", "INVENTED", "8", "Glass spleen")
    + atom("C9000003", "MSH", "C900003", "Tidal powder")
    + atom("C9000004", "MSH", "Q900004", "moonlight")
)
CONCEPTS = """id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId
900100\t20190731\t1\t1\t1
900200\t20190731\t0\t1\t1
"""
NAMES = """id\teffectiveTime\tactive\tmoduleId\tconceptId\tlanguageCode\ttypeId\tterm\tcaseSignificanceId
1\t20190731\t1\t1\t900100\ten\t900000000000003001\tSilver fever (disorder)\t1
2\t20190731\t1\t1\t900100\ten\t900000000000013009\tSilver fever\t1
3\t20190731\t1\t1\t900100\ten\t900000000000013009\tArgentine fever\t1
4\t20190731\t0\t1\t900100\ten\t900000000000013009\tFever of silver\t1
5\t20190731\t1\t1\t900200\ten\t900000000000013009\tTin fever\t1
"""
COMETA = """\tTerm\tGeneral SNOMED Label\tGeneral SNOMED ID\tSpecific SNOMED Label\tSpecific SNOMED ID\tExample
0\tsilver fever\tSilver fever\t900100\tSilver fever\t900200\t"My ""Silver Fever"" is back"
1\tshiny\tSilver fever\t900100\tSilver fever\t900200\tIt is bad today
"""
PAPERS = """900001|t|Silver spleen.
900001|a|It was seen.
900001\t0\t13\tSilver spleen\tT020\tUMLS:C9000001

9000|t|Glass spleen.
9000|a|It was seen, too.
9000\t0\t12\tGlass spleen\tT017\tUMLS:C9000002

"""


def blocks(page: str) -> dict[str, str]:
    """The blocks of a page that prepare data, by name."""
    found = re.findall(r"^```(?:bash|python) prepare=(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return dict(found)


def write(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which all commands that prepare data were carried out, in order."""
    root = tmp_path_factory.mktemp("reproduce")
    write(root / "2017AA" / "NET" / "SRDEF", SEMANTIC_NETWORK)
    write(root / "2017AA" / "META" / "MRSTY.RRF", MRSTY)
    write(root / "2017AA" / "META" / "MRCONSO.RRF", MRCONSO)
    write(root / "sct2_Concept_Snapshot_INT_20190731.txt", CONCEPTS)
    write(root / "sct2_Description_Snapshot-en_INT_20190731.txt", NAMES)
    write(
        root / "data" / "aap" / "AskAPatient.fold-0.train.txt",
        "900100\tSilver fever\thot\n900300\tCafé 5\tcoffee",
        "cp1252",
    )
    write(root / "data" / "aap" / "AskAPatient.fold-0.test.txt", "900300\tCafé 5\tcafe five\n", "cp1252")
    for number, part in enumerate(("trng", "dev", "test")):
        write(
            root / "MedMentions" / "full" / "data" / f"corpus_pubtator_pmids_{part}.txt",
            ["900001\n", "9000\n", "1\n"][number],
        )
        write(root / "stratified_general" / f"{part.replace('trng', 'train')}.csv", COMETA)
    (root / "MedMentions" / "st21pv" / "data").mkdir(parents=True)
    (root / "MedMentions" / "st21pv" / "data" / "corpus_pubtator.txt.gz").write_bytes(gzip.compress(PAPERS.encode()))
    for folder in ("kb", "data/umls", "data/dictionaries", "data/cometa", "data/medmentions"):
        (root / folder).mkdir(parents=True)
    own = f'set -euo pipefail\ngenlink() {{ "{sys.executable}" -m genlink "$@"; }}\n'
    for name, body in (blocks(DATA_PAGE) | blocks(PAGE)).items():
        command = [sys.executable, "-c", body] if name == "cometa" else ["bash", "-c", own + body]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stderr}"
    return root


def names(path: Path) -> dict[str, set[str]]:
    return {concept.concept_id: set(concept.names) for concept in load_kb(path)}


def test_umls_is_cut_to_wanted_types_and_vocabularies_with_all_names(prepared: Path) -> None:
    st21pv = names(prepared / "data" / "umls" / "st21pv")
    assert st21pv == {"C9000001": {"Silver spleen", "Spleen, silvern", "Argent spleen"}}


def test_mesh_and_snomed_ct_are_written_with_their_own_ids(prepared: Path) -> None:
    mesh = names(prepared / "data" / "dictionaries" / "mesh2017aa.txt")
    assert mesh == {"D900001": {"Silver spleen"}, "C900003": {"Tidal powder"}}
    snomedct = names(prepared / "data" / "dictionaries" / "snomedct201907.txt")
    assert snomedct == {"900100": {"Silver fever", "Argentine fever"}}


def test_labels_of_askapatient_get_the_names_of_snomed_ct(prepared: Path) -> None:
    assert names(prepared / "data" / "aap" / "labels.txt") == {"900100": {"Silver fever"}, "900300": {"Café 5"}}
    assert names(prepared / "data" / "aap" / "kb") == {
        "900100": {"Silver fever", "Argentine fever"},
        "900300": {"Café 5"},
    }


def test_terms_of_cometa_are_marked_where_they_stand_or_put_in_front(prepared: Path) -> None:
    first, second = load_corpus(prepared / "data" / "cometa" / "train.jsonl")
    assert (first.text, first.mentions[0].spans) == ('My "Silver Fever" is back', ((4, 16),))
    assert (second.text, second.mentions[0].spans) == ("shiny It is bad today", ((0, 5),))
    assert first.mentions[0].gold == (frozenset({"900100"}),)


def test_medmentions_is_cut_by_whole_ids_of_documents(prepared: Path) -> None:
    folder, kb = prepared / "data" / "medmentions", load_kb(prepared / "data" / "umls" / "st21pv")
    (train,), (dev,) = (load_corpus(folder / f"{part}.pubtator") for part in ("train", "dev"))
    assert (train.document_id, dev.document_id) == ("900001", "9000")
    assert kb.resolve(next(iter(train.mentions[0].gold_ids))) == "C9000001"
    assert (folder / "test.pubtator").read_text().strip() == ""


def test_every_recipe_that_the_page_changes_can_be_read() -> None:
    commands = re.findall(r"genlink train ((?:\\\n|[^\n])+)", PAGE)
    assert len(commands) > 6
    for command in commands:
        recipe, *options = shlex.split(command.replace("\\\n", " "))
        changes = [value for option, value in itertools.pairwise(options) if option == "--set"]
        assert len(changes) == options.count("--set")
        read_recipe(ROOT / recipe, changes)
