"""The guides can be followed: their blocks are carried out in order, in a folder of their own, and print what is shown.

A block ``text file=NAME`` (of any language) is a file, ``console`` holds commands, ``pycon`` and ``python`` are Python.
Plain ``text`` is there to be read; no other block is.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from calls import Run
from pages import GUIDES, ROOT, blocks, commands

from genlink.demo import run as demo
from genlink.training.stages import run_stage

STEPS = 20  # of 1500: a model of the size of the demo's, which has learnt next to nothing, so no page shows its answers
UMLS = Path(__file__).parent / "kb" / "fixtures" / "umls"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` leaves behind, made in less time."""
    output = tmp_path_factory.mktemp("demo") / "runs" / "demo"
    run_stage(demo._recipe(Path(str(files("genlink.demo"))) / "data", output, STEPS))
    return output


@pytest.fixture
def folder(demo_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which `make demo` was run, and which has a release of UMLS."""
    for name in ("configs", "genlink", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(demo_run, tmp_path / "runs" / "demo")
    shutil.copytree(UMLS, tmp_path / "2024AB" / "META")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def carry_out(genlink: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Carry out a command and return what it prints; ``genlink`` alone in this process, which has loaded torch."""

    def call(command: str) -> str:
        if match := re.fullmatch(r"((?:[A-Z_]+=\S+ )*)genlink (.*)", command):
            with monkeypatch.context() as patch:
                for setting in match[1].split():
                    patch.setenv(*setting.split("="))
                code, out, err = genlink(*shlex.split(match[2]))
        else:
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True)
            code, out, err = done.returncode, done.stdout, done.stderr
        assert code == 0, f"{command}\n{err}"
        return out

    return call


def assert_shown(shown: str, printed: str, command: str) -> None:
    """Where a page shows what is printed, that is printed; ``...`` stands for anything."""
    example = doctest.Example(command, shown)
    checker = doctest.OutputChecker()
    if shown and not checker.check_output(shown, printed, FLAGS):
        pytest.fail(f"{command}\n{checker.output_difference(example, printed, FLAGS)}")


def test_there_are_guides() -> None:
    assert GUIDES


@pytest.mark.slow
def test_what_the_readme_does_with_the_demo_works(folder: Path, carry_out: Callable[[str], str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for _, program in blocks(readme, "python"):
        exec(compile(program, "README.md", "exec"), {})
    typed = [command for _, body in blocks(readme, "console") for command, _ in commands(body)]
    of_the_demo = [command for command in typed if "runs/demo/model" in command]
    assert len(of_the_demo) > 1
    for command in of_the_demo:
        assert carry_out(command)


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_the_blocks_of_a_guide_run_and_print_what_it_shows(
    page: Path, folder: Path, carry_out: Callable[[str], str]
) -> None:
    names: dict[str, Any] = {}
    for info, body in blocks(page.read_text(encoding="utf-8"), ".*"):
        language, _, file = info.partition(" file=")
        if file:
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
        elif language == "console":
            for command, shown in commands(body):
                assert_shown(shown, carry_out(command), command)
        elif language == "python":
            exec(compile(body, page.name, "exec"), names)
        elif language == "pycon":
            session = doctest.DocTestParser().get_doctest(body, names, page.name, str(page), 0)
            runner = doctest.DocTestRunner(optionflags=FLAGS)
            assert runner.run(session, clear_globs=False).failed == 0
            names |= session.globs
        else:
            assert language == "text", f"nobody runs a block of {info!r}"
