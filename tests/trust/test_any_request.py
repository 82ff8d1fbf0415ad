"""Whatever a server is sent, it answers with a result or with one line that says what is wrong, and goes on."""

from __future__ import annotations

import json

import pytest
from damage import damaged
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from genlink.kb import KnowledgeBase
from genlink.linkers import ExactLinker
from genlink.schema import Concept
from genlink.serving.app import create_app
from genlink.serving.settings import ServeSettings

GOOD = {"text": "No [[gout]].", "k": 2, "spans": None, "concept_types": [], "id_prefixes": [], "composites": True}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def is_answered(client: TestClient, body: bytes) -> None:
    response = client.post("/link", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400, 413, 422), response.text
    if response.status_code != 200:
        assert set(response.json()) == {"detail"}
        assert isinstance(response.json()["detail"], str) and "\n" not in response.json()["detail"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_any_body_is_answered() -> None:
    kb = KnowledgeBase.from_concepts([Concept("C1", ("gout",)), Concept("C2", ("rash",))])
    with TestClient(
        create_app(ExactLinker(kb), ServeSettings(text_characters=2000)), raise_server_exceptions=False
    ) as client:

        @settings(max_examples=100)
        @given(damaged(json.dumps(GOOD).encode()) | st.binary(max_size=30))
        def is_answered_whatever_the_bytes(body: bytes) -> None:
            is_answered(client, body)

        @settings(max_examples=100)
        @given(st.sampled_from(sorted(GOOD)), values)
        def is_answered_whatever_the_value(key: str, value: object) -> None:
            is_answered(client, json.dumps({**GOOD, key: value}).encode())

        is_answered_whatever_the_bytes()
        is_answered_whatever_the_value()
        for nasty in (b"[" * 90_000, b'{"text": ' + b"9" * 5000 + b"}", b'{"text": "[[\\ud800]]"}', b'{"text": "[[" }'):
            is_answered(client, nasty)
        assert client.post("/link", json=GOOD).status_code == 200
