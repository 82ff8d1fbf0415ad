"""Settings that every test shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import settings

from genlink.cli.app import main

# Tests run side by side; threads of one that wait for threads of another would only slow both down.
torch.set_num_threads(1)

# A loaded machine must not fail a property.
settings.register_profile("genlink", deadline=None)
settings.load_profile("genlink")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Vectors that tests make do not go among those of the user."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("GENLINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def genlink(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``genlink`` with these arguments in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["genlink", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), *capsys.readouterr()

    return call
