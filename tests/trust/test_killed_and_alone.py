"""What is killed at any moment and done again ends with the bytes that it would have had; nothing is downloaded."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import REACHED
from conftest import NAMES

from genlink.encoders.encoder import TextEncoder
from genlink.encoders.shapes import fresh_bert, train_wordpiece

Genlink = Callable[..., tuple[int, float]]
KILLED = -9


@pytest.fixture(scope="module")
def genlink_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Genlink]:
    """Run `genlink` in a process of its own: exit code and seconds. ``after`` so many seconds it is killed."""
    environment = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    environment["HF_HOME"] = environment["GENLINK_CACHE"] = str(tmp_path_factory.mktemp("empty"))
    commands = [sys.executable, str(Path(__file__).with_name("commands.py"))]
    with subprocess.Popen(
        commands, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def run(*arguments: object, after: float | None = None) -> tuple[int, float]:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps([after, *map(str, arguments)]) + "\n")
            process.stdin.flush()
            code, seconds = json.loads(process.stdout.readline())
            return code, seconds

        yield run
        process.kill()  # an orderly end would take seconds


def contents(directory: Path) -> dict[str, bytes]:
    """The files below a directory, but the hidden ones, which a killed process may leave."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    inside = ((path.relative_to(directory), path) for path in files)
    return {str(name): path.read_bytes() for name, path in inside if not any(p.startswith(".") for p in name.parts)}


def moments(seconds: float, n: int) -> Iterator[float]:
    """Random moments of a command that takes so long, one in each n-th part of it."""
    draw = random.Random(1)
    return (seconds * (i + draw.random()) / n for i in range(n))


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred lines with two mentions each."""
    path = tmp_path_factory.mktemp("notes") / "notes.txt"
    path.write_text("".join(f"No {NAMES[i % 5]} {i}, but [[{NAMES[i % 3]} {i % 40}]].\n" for i in range(200)))
    return path


def test_a_killed_build_of_a_knowledge_base_leaves_nothing_half_done(genlink_apart: Genlink, tmp_path: Path) -> None:
    source = tmp_path / "names.txt"
    source.write_text("".join(f"C{i}||name {i} {j}\n" for i in range(600) for j in range(3)))
    code, seconds = genlink_apart("kb", "build", source, "--output", tmp_path / "whole")
    assert code == 0
    whole = contents(tmp_path / "whole")
    for after in moments(seconds, 5):
        killed, _ = genlink_apart("kb", "build", source, "--output", tmp_path / "kb", after=after)
        assert killed in (KILLED, 0)
        assert contents(tmp_path / "kb") in ({}, whole)
    assert genlink_apart("kb", "build", source, "--output", tmp_path / "kb")[0] == 0
    assert contents(tmp_path / "kb") == whole


def test_a_killed_linking_of_a_file_goes_on_to_the_same_bytes(
    genlink_apart: Genlink, model: Path, notes: Path, tmp_path: Path
) -> None:
    command = ("link", model, notes, "--format", "lines")
    code, seconds = genlink_apart(*command, "--output", tmp_path / "whole")
    assert code == 0
    output = tmp_path / "out"
    for after in moments(seconds, 6):
        killed, _ = genlink_apart(*command, "--output", output, "--resume", after=after)
        assert killed in (KILLED, 0)
        assert not output.exists() or output.read_bytes() == (tmp_path / "whole").read_bytes()
    assert genlink_apart(*command, "--output", output, "--resume")[0] == 0
    assert output.read_bytes() == (tmp_path / "whole").read_bytes()
    assert not (tmp_path / "out.parts").exists()


def test_killed_vectors_of_names_go_on_to_the_same_bytes(genlink_apart: Genlink, notes: Path, tmp_path: Path) -> None:
    names = [f"{name} {i}" for i in range(120) for name in NAMES]
    tokenizer = train_wordpiece(names, 90)
    TextEncoder(fresh_bert(tokenizer, width=16, layers=1, heads=2, max_positions=32, seed=1).eval(), tokenizer).save(
        tmp_path / "encoder"
    )
    source = tmp_path / "names.txt"
    source.write_text("".join(f"C{i}||{name}\n" for i, name in enumerate(names)))
    command = ("link", tmp_path / "encoder", notes, "--format", "lines", "--kb", source, "--batch-size", 4)
    code, seconds = genlink_apart(*command, "--cache", tmp_path / "whole", "--output", tmp_path / "whole.jsonl")
    assert code == 0
    for after in moments(seconds, 5):
        genlink_apart(*command, "--cache", tmp_path / "c", "--output", tmp_path / "out", "--overwrite", after=after)
    assert genlink_apart(*command, "--cache", tmp_path / "c", "--output", tmp_path / "out", "--overwrite")[0] == 0
    assert contents(tmp_path / "c") == contents(tmp_path / "whole")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_killed_training_goes_on_to_the_same_model(genlink_apart: Genlink, dictionary: Path, tmp_path: Path) -> None:
    recipe = {
        "stage": "pretrain",
        "output": str(tmp_path),
        "knowledge_base": [str(dictionary)],
        "model": {
            "shape": {"width": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "vocab_size": 300},
            "dropout": 0.1,
        },
        "template": {"source_tokens": 32, "prefix_tokens": 24},
        "target_tokens": 24,
        "optimiser": {"steps": 30, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 2},
        "checkpoint_every": 4,
        "precision": "fp32",
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    command = ("train", tmp_path / "recipe.yaml", "--output")
    code, seconds = genlink_apart(*command, tmp_path / "whole")
    assert code == 0
    for after in moments(seconds, 4):
        killed, _ = genlink_apart(*command, tmp_path / "run", "--resume", after=after)
        assert killed in (KILLED, 0)
    assert genlink_apart(*command, tmp_path / "run", "--resume")[0] == 0
    assert contents(tmp_path / "run" / "model") == contents(tmp_path / "whole" / "model")


def test_no_command_reaches_another_computer(
    genlink_apart: Genlink, model: Path, dictionary: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.pubtator"
    corpus.write_text("1|t|Gout (GT).\n1\t0\t4\tGout\tD\tC1\n\n")
    predictions = tmp_path / "p.jsonl"
    for command in (
        ("link", model, corpus, "--output", predictions),
        ("link", "tfidf", corpus, "--kb", dictionary, "--output", tmp_path / "out.html"),
        ("link", "exact", corpus, "--kb", dictionary, "--output", tmp_path / "out.csv", "--find"),
        ("evaluate", model, corpus, "--dictionary", "kb", "--result", tmp_path / "result.json"),
        ("score", predictions),
        ("explain", model, "--text", "A [[gout]].", "--output", tmp_path / "search.html"),
        ("kb", "info", model / "kb"),
        ("corpus", "info", corpus),
    ):
        assert genlink_apart(*command)[0] == 0, command
    published = ("link", "cambridgeltl/SapBERT-from-PubMedBERT-fulltext", corpus, "--kb", dictionary)
    # This one has to be downloaded, which shows that an attempt does not go unseen.
    assert genlink_apart(*published, "--output", tmp_path / "out")[0] == REACHED


def test_a_server_answers_without_another_computer(dictionary: Path) -> None:
    code = """
import sys
from commands import stay_here
sys.addaudithook(stay_here)
from fastapi.testclient import TestClient
from genlink.kb import load_kb
from genlink.linkers import ExactLinker
from genlink.serving.app import create_app
with TestClient(create_app(ExactLinker(load_kb(sys.argv[1])))) as client:
    for path in ("/", "/health", "/vocabularies", "/openapi.json", "/concept/C1"):
        assert client.get(path).status_code == 200, path
    assert client.post("/link", json={"text": "[[gout]]"}).json()["predictions"][0]["candidates"]
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(dictionary)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
