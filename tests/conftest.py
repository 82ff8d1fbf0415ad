"""Settings that every test shares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from calls import MakeLinker, Run
from hypothesis import settings

from genlink.cli.app import main
from genlink.data.tokenizer import train_tokenizer
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings
from genlink.templates import Template

# Tests run side by side; threads of one that wait for threads of another would only slow both down.
torch.set_num_threads(1)

# A loaded machine must not fail a property.
settings.register_profile("genlink", deadline=None)
settings.load_profile("genlink")


@pytest.fixture(scope="session", autouse=True)
def _places_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Vectors that tests make do not go among those of the user, and data are not looked for where the user's lie."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("GENLINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        monkeypatch.delenv("GENLINK_DATA", raising=False)
        yield


@pytest.fixture
def genlink(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``genlink`` with these arguments in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["genlink", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), *capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def tiny_generator() -> MakeLinker:
    """Makes a generative linker over a knowledge base, of random weights so large that mentions get other answers."""

    def make(kb: KnowledgeBase, **settings: Any) -> GenerativeLinker:
        tokenizer = train_tokenizer([kb.key(i) for i in range(kb.n_keys)], 300, ["START", "END", "is"])
        bart = fresh_bart(tokenizer, width=16, encoder_layers=1, decoder_layers=1, heads=2, max_positions=64, seed=1)
        with torch.no_grad():
            for parameter in bart.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(12)
        template, search = Template(source_tokens=40, prefix_tokens=20), SearchSettings(name_tokens=30)
        return GenerativeLinker(bart.eval(), tokenizer, kb, template=template, search=search, **settings)

    return make
