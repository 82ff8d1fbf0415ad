"""What the repository says of itself is so: recipes parse, documents match the program, pins and names are complete."""

from __future__ import annotations

import ast
import importlib
import itertools
import os
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType
from experiment_plan import Plan, read_plan

import genlink
from genlink.config import read_recipe
from genlink.config.benchmark import read_benchmark

ROOT = Path(__file__).parents[1]
MODULES = sorted(module.name for module in pkgutil.walk_packages(genlink.__path__, "genlink."))
PLANS = [
    ROOT / "configs" / f"{name}.yaml"
    for name in ("small/angel", "small/encoders", "default/evaluate", "default/spelling")
]
BENCHMARKS = sorted((ROOT / "configs" / "small" / "benchmark").glob("*.yaml"))
DEVICES = sorted((ROOT / "configs" / "accelerate").glob("*.yaml"))
SOURCES = ROOT / "configs" / "default" / "sources.yaml"
RECIPES = sorted({*(ROOT / "configs").rglob("*.yaml")} - {*PLANS, *BENCHMARKS, *DEVICES, SOURCES})
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LIGHT = ("genlink", "genlink.kb", "genlink.corpora", "genlink.trie", "genlink.metrics", "genlink.preprocessing")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def repository_files() -> list[Path]:
    """The files, links left out, of ``repository_paths``."""
    return [path for path in repository_paths() if path.is_file() and not path.is_symlink()]


def repository_paths() -> list[Path]:
    """What git tracks or would add; all that does not lie in a tool's folder where git has no say."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        paths = [ROOT / name for name in listing.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        left_by_tools = re.compile(r"(^|/)(\.(?!ci/|git)[^/]+|__pycache__|[^/]+\.egg-info|build|dist|data|runs)/")
        paths = [path for path in ROOT.rglob("*") if not left_by_tools.search(name_of(path) + "/")]
        paths += (ROOT / "genlink" / "demo" / "data").iterdir()
    return sorted(path for path in paths if path.is_symlink() or path.is_file())


def test_no_link_is_a_part_of_it() -> None:
    assert [name_of(path) for path in repository_paths() if path.is_symlink()] == []  # it would lead nowhere elsewhere


def text_files() -> Iterator[tuple[Path, str]]:
    for path in repository_files():
        data = path.read_bytes()
        if b"\0" not in data and not data.startswith(b"\x1f\x8b"):
            yield path, data.decode("utf-8")


def normal_name(requirement: str) -> str:
    """The name of a package as all its spellings agree on it: ``types-PyYAML>=6`` -> ``types-pyyaml``."""
    match = re.match(r"[\w.-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def code_lines(markdown: str) -> Iterator[str]:
    """What is inside fenced blocks, a line a command and without its prompt, and the inline code."""
    fenced = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
    for block in fenced.findall(markdown):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            yield line.strip().removeprefix("$ ")
    yield from re.findall(r"`([^`\n]+)`", fenced.sub("", markdown))


# Recipes and versions


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_a_recipe_parses_and_names_its_own_file(recipe: Path) -> None:
    config = read_recipe(recipe)
    assert config.output.startswith("runs/")
    assert f"genlink train {name_of(recipe)}" in recipe.read_text(encoding="utf-8")


@pytest.mark.parametrize("plan", PLANS, ids=name_of)
def test_a_plan_parses_and_names_its_own_file_and_recipes_that_exist(plan: Path) -> None:
    read = read_plan(plan)
    assert f"scripts/run_experiment.py {name_of(plan)}" in plan.read_text(encoding="utf-8")
    for row in read.rows:
        recipes = {s.recipe.replace("{corpus}", corpus) for s in row.train for corpus in read.corpora_of(row)}
        assert recipes <= {name_of(recipe) for recipe in RECIPES}


@pytest.mark.parametrize("file", BENCHMARKS, ids=name_of)
def test_a_benchmark_parses_and_names_its_own_file_and_how_its_models_are_made(file: Path) -> None:
    config, text = read_benchmark(file), file.read_text(encoding="utf-8")
    assert f"genlink benchmark {name_of(file)}" in text
    assert config.results == f"results/benchmark/{file.stem}.json"
    trained = {output for plan in PLANS if name_of(plan) in text for output in outputs_of(read_plan(plan))}
    for linker in config.linkers:
        if linker.training:
            assert Path(linker.system).parent.as_posix() in trained, linker.name
            assert linker.training == [Path(linker.system).with_name("run.json").as_posix()], linker.name
        elif linker.system.startswith("runs/"):
            assert re.search(rf"genlink union .* --output {re.escape(linker.system)}( |$)", text, re.M), linker.name


def outputs_of(plan: Plan) -> Iterator[str]:
    """Where the last stages of an experiment leave their models."""
    for row in plan.rows:
        for corpus, seed in itertools.product(plan.corpora_of(row), plan.seeds_of(row)):
            yield f"{plan.runs}/{corpus}/{row.folder}/seed-{seed}/{len(row.train)}"


def test_there_are_recipes_and_benchmarks() -> None:
    assert RECIPES and BENCHMARKS


@pytest.mark.parametrize("devices", DEVICES, ids=name_of)
def test_what_accelerate_is_told_of_devices_it_understands(devices: Path) -> None:
    options = {option for action in launch_command_parser()._actions for option in action.option_strings}
    config = load_config_from_file(str(devices))  # refuses unknown keys, but not those of its sections
    assert {f"--{key}" for key in config.fsdp_config} <= options
    assert bool(config.fsdp_config) == (config.distributed_type == DistributedType.FSDP)
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert f"accelerate launch --config_file {name_of(devices)}" in text


def test_the_version_is_the_same_everywhere() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r'^version = "(.+)"$', project, re.MULTILINE) == [genlink.__version__]
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [genlink.__version__]
    assert re.findall(r"^## \[(\d.+?)\]", changelog, re.MULTILINE)[0] == genlink.__version__


# The package


def test_the_public_names_are_sorted_and_all_there() -> None:
    tree = ast.parse(Path(genlink.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("genlink.")
        for alias in node.names
    }
    assert genlink.__all__ == sorted(imported)
    assert all(getattr(genlink, name) is not None for name in genlink.__all__)


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("__main__")])
def test_what_a_module_exports_is_there(module: str) -> None:
    loaded: Any = importlib.import_module(module)
    source = Path(loaded.__file__)
    if source.name != "__init__.py":
        assert loaded.__all__, "a module says what is public"
    exported = vars(loaded).get("__all__", [])
    assert len(set(exported)) == len(exported)
    assert [name for name in exported if getattr(loaded, name, None) is None] == []
    assert len(source.read_text(encoding="utf-8").splitlines()) <= 400, "two modules by now"


@pytest.mark.parametrize("modules", [LIGHT, ("genlink.cli.app",)], ids=["library", "command line"])
def test_torch_is_not_loaded_before_a_model_is_needed(modules: tuple[str, ...]) -> None:
    heavy = {"torch", "transformers", "accelerate", "sklearn", "scipy", "pandas", "datasets", "matplotlib"}
    program = f"import sys, {', '.join(modules)}; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_is_unpickled() -> None:
    modules = r"\bpickle\b\s*(\.|import)|import (pickle|joblib|dill)"
    unsafe = re.compile(modules + r"|torch\.load\((?!.*weights_only=True)|allow_pickle\s*=\s*True")
    sources = [*(ROOT / "genlink").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
    assert [name_of(path) for path in sources if unsafe.search(path.read_text(encoding="utf-8"))] == []


# Files


def test_no_file_is_larger_than_a_megabyte_but_the_default_model() -> None:
    large = {name_of(path): path.stat().st_size for path in repository_files() if path.stat().st_size > 1_000_000}
    assert large.pop("genlink/default/bundle.zip", 0) <= 26_000_000
    assert large == {}


def test_no_file_knows_a_place_on_somebodys_disk() -> None:
    # Tests of what hides such places speak of somebody's home.
    place = re.compile(r"(?<![\w.~/$}-])/(home/(?!somebody\b)|work/|root/|Users/)\w")
    found = [f"{name_of(path)}: {match[0]}" for path, text in text_files() for match in place.finditer(text)]
    assert found == []


def test_the_installation_names_no_package_host() -> None:
    for name in ("Makefile", "constraints.txt", "pyproject.toml", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.findall(r"\w+://\S+|--(?:extra-)?index-url|--find-links|@ file:", text) == [], name


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_dependency_is_pinned_for_every_python() -> None:
    pins: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            pin = re.fullmatch(r"([a-z0-9-]+)==[0-9][^ ;]*(?: ; (.+))?", line)
            assert pin, line
            pins.setdefault(pin[1], []).append(pin[2] or "")
    assert {normal_name(requirement) for requirement in metadata.requires("genlink") or []} <= pins.keys()
    # A name that is there twice is there once for old Pythons and once for the others.
    for name, markers in pins.items():
        if len(markers) > 1:
            assert ["< '3.11'" in marker for marker in markers] == [True, False], name
    assert "triton" not in pins


# Documents


def test_the_readme_starts_with_the_two_commands_that_always_work() -> None:
    lines = list(code_lines((ROOT / "README.md").read_text(encoding="utf-8")))
    assert any(line.startswith("make demo") for line in lines)
    assert any(line.startswith("make test") for line in lines)


def test_the_readme_installs_genlink_and_says_where_it_is_before_it_is_used() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    install, activate, link, *_ = code_lines(text)
    assert install.startswith("make install ") and activate.startswith(". .venv/bin/activate ")
    assert link.startswith("genlink link --text")
    assert "genlink.load()" in text and text.index("genlink.load()") < text.index('load("runs/demo/model")')


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_the_make_targets_of_a_document_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    lines = code_lines(document.read_text(encoding="utf-8"))
    named = {match[1] for line in lines if (match := re.match(r"make ([a-z-]+)", line))}
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_the_commands_of_a_document_exist_with_their_options(document: Path) -> None:
    from genlink.cli.app import app

    program: Any = typer.main.get_command(app)
    problems = []
    for line in code_lines(document.read_text(encoding="utf-8")):
        match = re.match(
            r"(?:[A-Z_]+=\S+ )*(?:\S*/bin/|accelerate launch .*-m )?genlink (?!\[|COMMAND|\.\.\.|…)(.+)", line
        )
        if not match:
            continue
        command: Any = program
        for word in shlex.split(match[1], comments=True):
            below = getattr(command, "commands", {})
            if word in below:
                command = below[word]
            elif below and not word.startswith("-"):
                problems.append(f"{line}: no command {word}")
                break
            elif word.startswith("--") and word != "--help":
                options = (parameter.opts + parameter.secondary_opts for parameter in command.params)
                if word.partition("=")[0] not in itertools.chain(*options):
                    problems.append(f"{line}: no option {word}")
    assert problems == []


@pytest.mark.parametrize("script", ["make_cli_docs.py", "make_plots.py", "make_tables.py"])
def test_the_written_pages_are_up_to_date(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(ROOT / "scripts" / script))["main"]
    assert main(["--check"]) == 0, "".join(capsys.readouterr())
