"""``genlink link``: on with a file after an interruption, by several processes, and by the default model."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from calls import MakeLinker, Run
from link_files import text_of, write
from pages import ROOT

from genlink.kb import KnowledgeBase
from genlink.linkers import ExactLinker
from genlink.schema import Concept

CONFIGURATION = ROOT / "configs" / "accelerate" / "two_cpu_processes.yaml"


@pytest.fixture
def default_is_tiny(tiny_generator: MakeLinker, dictionary: Path, tmp_path: Path) -> Iterator[str]:
    """The id of the one concept of a model that stands in the place of the default one."""
    kb = KnowledgeBase.from_concepts([Concept("D9", ("asthma",))])
    tiny_generator(kb).save(tmp_path / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genlink.linkers.opening.default_model", lambda: tmp_path / "tiny")
        yield "D9"


def test_an_interrupted_linking_is_gone_on_with_when_that_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genlink.bulk.sources._CHUNK_DOCUMENTS", 1)
    mentions = [{"spans": [[0, 8]], "text": f"asthma {i}"} for i in range(5)]
    lines = [json.dumps({"id": "d", "text": mention["text"], "mentions": [mention]}) for mention in mentions]
    write("corpus.jsonl", "\n".join(lines))
    assert run("corpus.jsonl", "--output", "whole")[0] == 0
    link, calls = ExactLinker.link, []

    def interrupted(self: ExactLinker, mentions: object, k: int = 5, *, progress: bool = False) -> object:
        calls.append(mentions)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return link(self, mentions, k)  # type: ignore[arg-type]

    monkeypatch.setattr(ExactLinker, "link", interrupted)
    assert run("corpus.jsonl", "--output", "out")[0] == 130
    assert not Path("out").exists() and Path("out.parts").is_dir()
    code, _, err = run("corpus.jsonl", "--output", "out")
    assert code == 2 and "--resume" in err
    code, _, err = run("corpus.jsonl", "--output", "out", "--resume", "--k", 3)
    assert code == 2 and "another number of ranks" in err
    assert run("corpus.jsonl", "--output", "out", "--resume")[0] == 0
    assert len(calls) == 6 and not Path("out.parts").exists()
    assert Path("out").read_bytes() == Path("whole").read_bytes()


def test_two_processes_write_what_one_writes(run: Run, dictionary: Path) -> None:
    names = ["asthma", "heart attack", "gout"]
    rows = [f"{i},{names[i % 3]}" for i in range(9001)]  # three parts: a part has 4,096 documents at most
    write("table.csv", "\n".join(["id,what", *rows]))
    assert run("table.csv", "--column", "what", "--output", "one.csv")[0] == 0
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGURATION)]
    command += ["-m", "genlink", "link", "exact", "table.csv", "--kb", str(dictionary), "--column", "what"]
    done = subprocess.run([*command, "--output", "two.csv"], env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Wrote 9001 predictions") == 1
    assert Path("two.csv").read_bytes() == Path("one.csv").read_bytes()


def test_a_file_alone_is_linked_by_the_default_model(
    genlink: Run,
    default_is_tiny: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    notes = write("notes.txt", "A case of asthma.\n")
    code, _, err = genlink("link", notes, "--to", "same", "--output", "linked.txt")
    assert code == 0, err
    assert text_of("linked.txt") == f"A case of [[asthma|{default_is_tiny}]].\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(notes.read_bytes())))
    code, out, err = genlink("link", "-", "--to", "same")
    assert code == 0 and out == text_of("linked.txt"), err
    write("table.csv", "what\nasthma\n")
    code, _, err = genlink("link", "table.csv", "--column", "what", "--output", "linked.csv")
    assert code == 0 and default_is_tiny in text_of("linked.csv"), err


@pytest.mark.parametrize("alone", ["nots.txt", "exact", "tiny"])
def test_what_is_no_file_stays_the_model_and_then_there_is_nothing_to_link(
    genlink: Run,
    default_is_tiny: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    alone: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write("exact", "A file that is called like a linker: asthma.")
    code, _, err = genlink("link", alone, "--output", "out.jsonl")
    assert code == 2 and err.count("\n") == 1 and f"{alone} is taken for the MODEL" in err
    assert ("no such file" in err) == (not Path(alone).exists())
    assert not Path("out.jsonl").exists()
