"""Whatever a server is sent, it answers with a result or with one line that says what is wrong, and goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import pytest
from damage import damaged, explored
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from genlink.errors import CorpusError, UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers.generative import GenerativeLinker
from genlink.schema import Concept
from genlink.serving.app import create_app
from genlink.serving.records import LinkRequest, prepared
from genlink.serving.settings import ServeSettings

GOOD = {"text": "No [[gout]].", "k": 2, "spans": None, "concept_types": [], "id_prefixes": [], "composites": True}
SEARCHED = {**GOOD, "mention": 0}
ROUTES = [("/link", GOOD), ("/link?format=html", GOOD), ("/explain", SEARCHED), ("/explain?format=html", SEARCHED)]
ROUNDS = 1000
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def client(tiny_generator) -> Iterator[TestClient]:
    """Asks a server whose linker searches, so that there is something to explain."""
    generator: GenerativeLinker = tiny_generator(
        KnowledgeBase.from_concepts([Concept("C1", ("gout",)), Concept("A:2", ("rash",))])
    )
    app = create_app(generator, ServeSettings(text_characters=2000, ranks=5))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def is_refused_in_one_line(response) -> None:
    assert set(response.json()) == {"detail"}
    assert isinstance(response.json()["detail"], str) and "\n" not in response.json()["detail"]


def is_answered(client: TestClient, route: str, body: bytes) -> None:
    response = client.post(route, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400, 413, 422), response.text
    if response.status_code != 200:
        is_refused_in_one_line(response)
    elif "html" not in route:
        assert set(response.json()) >= {"text"}
    else:
        assert response.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(("route", "good"), ROUTES)
def test_any_body_is_answered(client: TestClient, route: str, good: dict) -> None:
    examples = 100 if route == "/link" else 40

    @settings(max_examples=examples)
    @given(damaged(json.dumps(good).encode()) | st.binary(max_size=30))
    def is_answered_whatever_the_bytes(body: bytes) -> None:
        is_answered(client, route, body)

    @settings(max_examples=examples)
    @given(st.sampled_from(sorted(good)), values)
    def is_answered_whatever_the_value(key: str, value: object) -> None:
        is_answered(client, route, json.dumps({**good, key: value}).encode())

    is_answered_whatever_the_bytes()
    is_answered_whatever_the_value()
    for nasty in (b"[" * 90_000, b'{"text": ' + b"9" * 5000 + b"}", b'{"text": "[[\\ud800]]"}', b'{"text": "[[" }'):
        is_answered(client, route, nasty)
    assert client.post(route, json=good).status_code == 200


@given(st.text(max_size=20) | st.sampled_from(["C1", "c1", "2", "A:2", "../..", "A:2/../C1", "%2e%2e", "\u0000"]))
def test_any_concept_id_is_answered(client: TestClient, concept_id: str) -> None:
    response = client.get(f"/concept/{quote(concept_id.encode('utf-8', 'replace'), safe='')}")
    assert response.status_code in (200, 404), response.text
    if response.status_code == 404:
        is_refused_in_one_line(response)
    else:
        assert response.json()["id"] in ("C1", "A:2")


def test_whatever_leads_to_new_places_is_read_or_refused_as_the_routes_refuse_it() -> None:
    """What a route does with a text in the thread of its caller, which is the one that is watched."""
    seeds = ["No silver fever (SF): [[SF and gout|C1,A:2]], no [[rash|-1]].", "A [[[18F]FDG scan or gout]]]."]

    def is_read_or_refused(text: bytes) -> None:
        request = LinkRequest.model_validate({**GOOD, "text": text.decode("utf-8", "surrogateescape")})
        with suppress(UsageError, CorpusError):
            document = request.document()
            for mention in prepared(document, request):
                assert mention.surface and mention.context[mention.start : mention.end] == mention.text

    assert len(explored(is_read_or_refused, [seed.encode() for seed in seeds], ROUNDS)) > 2
