"""The commands of docs/habits.md that link, explain or inform run as they stand there, with a tiny model."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from calls import MakeLinker, Run
from pages import ROOT

from genlink.kb import KnowledgeBase
from genlink.linkers.calibration import Calibration
from genlink.schema import Concept

ROWS = re.findall(
    r"^\| (\d+) \|[^|]*\|(.*)\|$", (ROOT / "docs" / "habits.md").read_text(encoding="utf-8"), re.MULTILINE
)
RUN = r"`((?:HF_HUB_OFFLINE=1 )?genlink (?:link|explain|info|corpus info)\b[^`]*)`"
COMMANDS = [(number, command) for number, shown in ROWS for command in re.findall(RUN, shown)]
# What stands for the files of a user.
FILES = {
    "notes.txt": "Known asthma.",
    "tokens.conll": "Known O\nasthma B-Disease\n",
    "problems.csv": "diagnosis\nasthma\n",
    "corpus.pubtator": "1|t|Asthma.\n1|a|\n1\t0\t6\tAsthma\tDisease\n\n",
}


@pytest.fixture(scope="module")
def model(tiny_generator: MakeLinker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights, of the types and ids of the default one."""
    names = {"MONDO:1": "asthma", "MONDO:2": "breast cancer", "MONDO:3": "Duchenne muscular dystrophy"}
    kb = KnowledgeBase.from_concepts([Concept(i, (name,), ("Disease",)) for i, name in names.items()])
    directory = tmp_path_factory.mktemp("habits") / "model"
    tiny_generator(kb).save(directory)
    return directory


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Iterator[Path]:
    """A clone with the files of a user, where the tiny model is the default one, and ``MODEL``."""
    (tmp_path / "genlink").symlink_to(ROOT / "genlink")
    (tmp_path / "MODEL").symlink_to(model)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    Calibration(1.0, 0.0, ranks=5).save(tmp_path / "calibration.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setattr("genlink.linkers.opening.default_model", lambda: model)
        yield tmp_path


@pytest.mark.parametrize(("number", "command"), COMMANDS, ids=[f"{n}: {command}" for n, command in COMMANDS])
def test_a_command_of_the_habits_runs_as_it_stands_there(number: str, command: str, folder: Path, genlink: Run) -> None:
    words = shlex.split(command.removeprefix("HF_HUB_OFFLINE=1 "))[1:]
    code, out, err = genlink(*words)
    assert code == 0, f"row {number}: {command}\n{err}"
    written = Path(words[words.index("--output") + 1]).stat().st_size if "--output" in words else len(out)
    assert written > 0


def test_every_row_that_links_is_among_the_commands_that_run() -> None:
    linking = {number for number, shown in ROWS if re.search(r"genlink (link|explain|info)\b", shown)}
    assert linking <= {number for number, _ in COMMANDS} and len(linking) > 9
