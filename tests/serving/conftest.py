"""Linkers that the tests of this folder share: one that looks names up, and one of random weights."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from fastapi.testclient import TestClient

from genlink.kb import KnowledgeBase
from genlink.linkers import ExactLinker
from genlink.linkers.calibration import Calibration
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.opening import OpenedLinker
from genlink.schema import Concept, Prediction
from genlink.serving.app import create_app
from genlink.serving.settings import ServeSettings

Served = Callable[..., AbstractContextManager[TestClient]]

CONCEPTS = [
    Concept("A:1", ("asthma", "wheeze"), ("T1",), "Short of <breath> & more.", ("X:9",), ("Y:1",)),
    Concept("A:2", ("gout",), ("T2",)),
    Concept("B:1", ("gout", "podagra"), ("T1", "T2")),
    Concept("B:http://x/1", ("tidal colic",)),
]


class GatedLinker(ExactLinker):
    """Works only while its gate is open, and says what it was asked together."""

    def __init__(self, kb: KnowledgeBase) -> None:
        super().__init__(kb)
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.asked: list[list[str]] = []

    def link(self, mentions, k: int = 5, *, progress: bool = False) -> list[Prediction]:
        self.asked.append([mention.surface for mention in mentions])
        self.begun.release()
        assert self.gate.wait(30)
        if any(mention.surface == "poison" for mention in mentions):
            raise RuntimeError("/somewhere/secret.py broke")
        return super().link(mentions, k)


@pytest.fixture(scope="session")
def kb() -> KnowledgeBase:
    return KnowledgeBase.from_concepts(CONCEPTS)


@pytest.fixture
def gated(kb) -> GatedLinker:
    return GatedLinker(kb)


@pytest.fixture(scope="session")
def generator(kb, tiny_generator) -> GenerativeLinker:
    return tiny_generator(kb, normaliser="trie")


@pytest.fixture
def served(kb) -> Served:
    """`served(linker, calibration=..., <settings>)` is a client of a running application."""

    @contextmanager
    def start(
        linker: OpenedLinker | None = None, calibration: Calibration | None = None, **settings: float
    ) -> Iterator[TestClient]:
        app = create_app(linker or ExactLinker(kb), ServeSettings(**settings), calibration=calibration)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client

    return start
