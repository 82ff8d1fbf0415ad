"""The application: its answers are those of the linker, its limits are kept, and its errors are one line."""

from __future__ import annotations

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genlink.corpora.marked import marked_document
from genlink.evaluation import to_record, write_predictions
from genlink.linkers import ExactLinker, TfidfLinker
from genlink.linkers.calibration import Calibration
from genlink.preprocessing import prepare

TEXT = "Known [[Asthma]], [[gout]] and [[plague]]."


def as_written(tmp_path, predictions, kb) -> list[dict]:
    """The lines of the predictions file of `genlink link`."""
    write_predictions(tmp_path / "p.jsonl", (to_record(prediction, kb) for prediction in predictions))
    return [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]


def found(response) -> list[list[str]]:
    assert response.status_code == 200, response.text
    return [[c["concept_id"] for c in record["candidates"]] for record in response.json()["predictions"]]


def refusal(response, status: int) -> str:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"detail"}
    detail = response.json()["detail"]
    assert "\n" not in detail and "/" not in detail and "Traceback" not in detail and len(detail) < 500
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return detail


# Linking


@pytest.mark.parametrize("kind", ["exact", "tfidf", "generative"])
def test_records_are_those_that_link_writes(served, generator, kb, tmp_path, kind) -> None:
    linker = {"exact": ExactLinker(kb), "tfidf": TfidfLinker(kb), "generative": generator}[kind]
    expected = as_written(tmp_path, linker.link(prepare([marked_document(TEXT)]), 2), kb)
    with served(linker) as client:
        answer = client.post("/link", json={"text": TEXT, "k": 2}).json()
    assert answer["text"] == "Known Asthma, gout and plague."
    assert answer["predictions"] == expected
    assert [answer["text"][slice(*record["spans"][0])] for record in expected] == ["Asthma", "gout", "plague"]


def test_mentions_may_be_given_by_spans_and_brackets_are_text_then(served) -> None:
    with served() as client:
        response = client.post("/link", json={"text": "[[x]] gout 😀 Wheeze", "spans": [[13, 19], [6, 10]]})
    assert found(response) == [["A:1"], ["A:2", "B:1"]]
    assert response.json()["text"] == "[[x]] gout 😀 Wheeze"


def test_abbreviations_are_expanded_and_composites_split_where_that_is_wanted(served) -> None:
    text = "Tidal colic (TC) is rare. [[TC]]; [[gout and asthma]]."
    with served() as client:
        plain = client.post("/link", json={"text": text})
        split = client.post("/link", json={"text": text, "composites": True, "abbreviations": False})
    assert found(plain) == [["B:http://x/1"], []]
    assert found(split) == [[], ["A:2", "B:1"], ["A:1"]]
    assert [record["part"] for record in split.json()["predictions"]] == [None, 0, 1]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [["A:1"], ["A:2", "B:1"], []]),
        ({"id_prefixes": ["B"]}, [[], ["B:1"], []]),
        ({"concept_types": ["T1"]}, [["A:1"], ["B:1"], []]),
        ({"concept_types": ["T1", "T2"], "id_prefixes": ["A"]}, [["A:1"], ["A:2"], []]),
    ],
)
def test_only_concepts_of_the_types_and_vocabularies_asked_for_are_answered(served, limits, expected) -> None:
    with served() as client:
        assert found(client.post("/link", json={"text": TEXT, **limits})) == expected


def test_a_generative_linker_is_restricted_as_by_its_own_restriction(served, generator, kb, tmp_path) -> None:
    part = generator.restriction(types=["T2"], prefixes=["B"])
    expected = as_written(tmp_path, generator.link(prepare([marked_document(TEXT)]), 5, within=part), kb)
    with served(generator) as client:
        answer = client.post("/link", json={"text": TEXT, "concept_types": ["T2"], "id_prefixes": ["B"]}).json()
    assert answer["predictions"] == expected
    assert {c["concept_id"] for record in expected for c in record["candidates"]} == {"B:1"}


def test_a_calibration_gives_probabilities_and_nil(served) -> None:
    # Under the exact linker, whose score is 1: e / (e + e^b).
    calibration = Calibration(1.0, 0.0, ranks=3, nil_threshold=0.9)
    with served(calibration=calibration) as client:
        records = client.post("/link", json={"text": TEXT, "k": 1}).json()["predictions"]
        assert client.get("/health").json()["calibrated"] is True
    probability = math.e / (math.e + 1)
    assert [c["probability"] for c in records[0]["candidates"]] == [pytest.approx(probability)]
    assert [record["is_nil"] for record in records] == [True, True, True]


@pytest.mark.parametrize(("ranks", "expected"), [(1, 1), (500, 50)])
def test_health_tells_the_ranks_that_an_answer_has_at_most(served, ranks, expected) -> None:
    with served(calibration=Calibration(1.0, 0.0, ranks=ranks)) as client:
        assert client.get("/health").json()["ranks"] == expected
        [record] = client.post("/link", json={"text": "[[asthma]]", "k": 50}).json()["predictions"]
    assert len({c["rank"] for c in record["candidates"]}) <= expected


# Names found in plain text


def test_in_a_text_that_marks_nothing_the_names_of_the_dictionary_are_found_and_linked(served, kb, tmp_path) -> None:
    text = "Gout, tidal colic (TC): TC of an asthmatic."
    with served() as client:
        answer = client.post("/link", json={"text": text})
        marked = client.post("/link", json={"text": "[[Gout]], [[tidal colic]] ([[TC]]): [[TC]] of an asthmatic."})
    assert found(answer) == [["A:2", "B:1"], *[["B:http://x/1"]] * 3]
    assert answer.json() == marked.json()


def test_where_nothing_is_found_or_nothing_is_given_there_is_nothing_to_link(served) -> None:
    with served() as client:
        assert found(client.post("/link", json={"text": "asthmatic"})) == []
        assert found(client.post("/link", json={"text": "gout", "spans": []})) == []
        html = client.post("/link?format=html", json={"text": "<asthmatic>"})
        assert html.status_code == 200 and "No name of the dictionary" in html.text and "&lt;asthmatic&gt;" in html.text
        assert found(client.post("/link", json={"text": "gout [[asthma]]"})) == [["A:1"]]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"id_prefixes": ["A"]}, [("gout", "A:2"), ("asthma", "A:1")]),
        ({"concept_types": ["T1"]}, [("gout", "B:1"), ("asthma", "A:1")]),
        ({"id_prefixes": ["B:http"]}, [("Tidal colic", "B:http://x/1"), ("TC", "B:http://x/1")]),
    ],
)
def test_only_names_of_the_concepts_asked_for_are_found(served, limits, expected) -> None:
    with served() as client:
        answer = client.post("/link", json={"text": "Tidal colic (TC), gout and asthma.", **limits}).json()
        plural = client.post("/link", json={"text": "No asthmas.", **limits}).json()["predictions"]
        wrong = client.post("/link", json={"text": "gout", "concept_types": ["T9"]})
    assert [record["text"] for record in plural] == (["asthmas"] if ("asthma", "A:1") in expected else [])
    records = answer["predictions"]
    assert [(record["text"], record["candidates"][0]["concept_id"]) for record in records] == expected
    assert "no concept" in refusal(wrong, 422)


def test_more_names_than_a_request_may_have_are_refused(served) -> None:
    with served(mentions=2) as client:
        assert "3 mentions" in refusal(client.post("/link", json={"text": "gout, gout, gout"}), 413)


def test_a_found_mention_is_explained_like_a_marked_one(served, generator) -> None:
    with served(generator) as client:
        answers = [
            client.post("/explain", json={"text": text, "mention": 1}).json()
            for text in ("gout, asthma", "[[gout]], [[asthma]]")
        ]
    assert answers[0] == answers[1]
    assert answers[0]["prediction"]["text"] == "asthma"


# Refusals


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "text"),
        ({"text": 7}, "text"),
        ({"text": "[[gout]]", "k": 0}, "k"),
        ({"text": "[[gout]]", "k": 51}, "at most 50"),
        ({"text": "[[gout]]", "K": 5}, "K"),
        ({"text": "[[gout]]", "abbreviations": "yes"}, "abbreviations"),
        ({"text": "gout", "spans": [[0, 5]]}, "span 0 to 5"),
        ({"text": "gout", "spans": [[-1, 3]]}, "span -1 to 3"),
        ({"text": "gout", "spans": [[2, 2]]}, "span 2 to 2"),
        ({"text": "gout", "spans": [[0, 1, 2]]}, "spans"),
        ({"text": "\ud800 [[gout]]"}, "surrogate"),
        ({"text": "[[gout]]", "concept_types": ["T9"]}, "no concept"),
        ({"text": "[[gout]]", "concept_types": ["T1"], "id_prefixes": ["Z"]}, "no concept"),
        ({"text": "[[gout]]", "concept_types": "T1"}, "concept_types"),
        ([], "body"),
        # What is said of a request quotes it, be it no text, many lines or long.
        ({"text": "[[gout]]", "\ud800": 1}, "unicode"),
        ({"text": "[[gout]]", "one\ntwo": 1}, "one two"),
        ({"text": "[[gout]]", "x" * 100_000: 1}, "xxx"),
        ({"text": "[[gout]]", "concept_types": ["\ud800"]}, "concept_types"),
        ({"text": "[[gout]]", "concept_types": ["x" * 200] * 100}, "no concept"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused_in_one_line(served, body, word) -> None:
    with served() as client:
        content = json.dumps(body)
        response = client.post("/link", content=content, headers={"Content-Type": "application/json"})
        assert word in refusal(response, 422)
        assert found(client.post("/link", json={"text": "[[asthma]]"})) == [["A:1"]]


def test_what_is_no_json_is_refused(served) -> None:
    with served() as client:
        for content in (b"{", b"\xff", b"", b"[" * 50_000):
            response = client.post("/link", content=content, headers={"Content-Type": "application/json"})
            assert response.status_code in (400, 422), content[:9]
            assert set(response.json()) == {"detail"} and len(response.text) < 300


def test_a_text_with_too_many_characters_or_mentions_is_refused(served) -> None:
    with served(text_characters=20, mentions=2) as client:
        assert found(client.post("/link", json={"text": "[[gout]] [[gout]] xyz"[:20]})) == [["A:2", "B:1"]] * 2
        assert "21 characters" in refusal(client.post("/link", json={"text": "[[gout]]" + "x" * 13}), 413)
        assert "3 mentions" in refusal(client.post("/link", json={"text": "[[a]][[b]][[c]]"}), 413)
        assert "3" in refusal(client.post("/link", json={"text": "abc", "spans": [[0, 1]] * 3}), 413)


def test_a_body_that_is_too_long_is_refused_whether_it_says_so_or_not(served) -> None:
    with served(text_characters=10) as client:
        long = b" " * (65_536 + 12 * 10 + 1)
        assert "longer" in refusal(client.post("/link", content=long), 413)
        assert "longer" in refusal(client.post("/link", content=iter([long[:1000], long[1000:]])), 413)
        spelled = json.dumps({"text": "😀" * 8 + "gout"[:2], "spans": [[0, 1]]})  # as JSON escapes, the longest way
        assert client.post("/link", content=spelled, headers={"Content-Type": "application/json"}).status_code == 200


def test_a_mistake_of_the_server_says_nothing_of_its_insides(served, gated) -> None:
    gated.gate.set()
    with served(gated) as client:
        assert "mistake" in refusal(client.post("/link", json={"text": "[[poison]]"}), 500)
        assert found(client.post("/link", json={"text": "[[asthma]]"})) == [["A:1"]]


def test_what_is_not_there_is_said_in_the_same_form(served) -> None:
    with served() as client:
        refusal(client.get("/nothing"), 404)
        refusal(client.get("/link"), 405)
        refusal(client.get("/concept/Z:1"), 404)


# Many callers


def test_requests_that_wait_are_linked_together(served, gated) -> None:
    with served(gated, wait_s=0.0001) as client, ThreadPoolExecutor(5) as callers:
        first = callers.submit(client.post, "/link", json={"text": "[[wheeze]]"})
        assert gated.begun.acquire(timeout=30)
        names = ["asthma", "gout", "podagra", "plague"]
        others = [callers.submit(client.post, "/link", json={"text": f"[[{name}]]"}) for name in names]
        while client.get("/health").json()["waiting"] < 4:
            pass
        gated.gate.set()
        assert [found(other.result()) for other in others] == [[["A:1"]], [["A:2", "B:1"]], [["B:1"]], [[]]]
        assert found(first.result()) == [["A:1"]]
    assert gated.asked[0] == ["wheeze"] and sorted(gated.asked[1]) == sorted(names) and len(gated.asked) == 2


def test_past_the_queue_a_caller_is_told_to_come_again(served, gated) -> None:
    with served(gated, queue=2, wait_s=0.0001) as client, ThreadPoolExecutor(2) as callers:
        first = callers.submit(client.post, "/link", json={"text": "[[asthma]]"})
        assert gated.begun.acquire(timeout=30)
        second = callers.submit(client.post, "/link", json={"text": "[[gout]] [[gout]]"})
        while client.get("/health").json()["waiting"] < 2:
            pass
        full = client.post("/link", json={"text": "[[podagra]]"})
        assert "come again" in refusal(full, 503)
        assert int(full.headers["Retry-After"]) >= 1
        gated.gate.set()
        assert found(first.result()) == [["A:1"]] and len(found(second.result())) == 2
        assert found(client.post("/link", json={"text": "[[podagra]]"})) == [["B:1"]]


def test_past_the_number_of_open_requests_a_caller_is_told_to_come_again_and_health_is_answered(served, gated) -> None:
    with served(gated, requests=1) as client, ThreadPoolExecutor(1) as callers:
        first = callers.submit(client.post, "/link", json={"text": "[[asthma]]"})
        assert gated.begun.acquire(timeout=30)
        full = client.post("/link", json={"text": "[[gout]]"})
        assert "too many" in refusal(full, 503)
        assert int(full.headers["Retry-After"]) >= 1
        assert client.get("/health").json()["status"] == "ok"
        gated.gate.set()
        assert found(first.result()) == [["A:1"]]


def test_a_request_that_takes_too_long_is_given_up_and_the_next_is_answered(served, gated) -> None:
    with served(gated, timeout_s=0.2) as client:
        assert "0.2 seconds" in refusal(client.post("/link", json={"text": "[[asthma]]"}), 504)
        gated.gate.set()
        assert found(client.post("/link", json={"text": "[[gout]]"})) == [["A:2", "B:1"]]


# The rest of the routes


def test_a_concept_is_found_by_its_id_and_by_what_stands_for_it(served) -> None:
    with served() as client:
        expected = {
            "id": "A:1",
            "name": "asthma",
            "synonyms": ["wheeze"],
            "types": ["T1"],
            "definition": "Short of <breath> & more.",
            "alternative_ids": ["X:9"],
            "xrefs": ["Y:1"],
        }
        assert client.get("/concept/A:1").json() == client.get("/concept/X:9").json() == expected
        assert client.get("/concept/B:http%3A%2F%2Fx%2F1").json()["name"] == "tidal colic"
        assert client.get("/concept/B:http://x/1").json()["definition"] is None


def test_vocabularies_are_counted(served) -> None:
    with served() as client:
        answer = client.get("/vocabularies").json()
    assert answer["types"] == {"T1": 2, "T2": 2}
    # An id's prefix ends at its last colon.
    assert answer["prefixes"] == {"A": 2, "B": 1, "B:http": 1}


def test_health_says_what_is_held_and_its_limits(served, generator) -> None:
    with served(mentions=7) as client:
        health = client.get("/health").json()
    expected = {"status": "ok", "concepts": 4, "names": 5, "calibrated": False, "explains": False, "mentions": 7}
    assert {key: health[key] for key in expected} == expected
    with served(generator) as client:
        assert client.get("/health").json()["explains"] is True


def test_the_description_names_every_route_and_its_refusals(served) -> None:
    with served() as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/link", "/explain", "/concept/{concept_id}", "/vocabularies", "/health"}
    for route in ("/link", "/explain"):
        refusals = set(paths[route]["post"]["responses"])
        assert {"200", "400", "408", "413", "422", "503", "504"} <= refusals
        documented = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
        told = {
            status for row in re.findall(r"^\| ([\d, ]+) \|", documented, re.MULTILINE) for status in row.split(", ")
        }
        assert refusals - {"200", "501"} <= told


def test_a_search_is_explained_as_its_trace(served, generator) -> None:
    with served(generator) as client:
        answer = client.post("/explain", json={"text": TEXT, "mention": 1, "k": 2}).json()
        linked = client.post("/link", json={"text": TEXT, "k": 2}).json()
        assert "there are 3" in refusal(client.post("/explain", json={"text": TEXT, "mention": 3}), 422)
    root = answer["trace"]["root"]
    assert answer["prediction"]["mention_id"] == "1"
    ids = [c["concept_id"] for c in answer["prediction"]["candidates"]]
    assert ids == [c["concept_id"] for c in linked["predictions"][1]["candidates"]]
    shares = [math.exp(child["score"]) for child in root["children"]]
    rest = 0 if root["others_score"] is None else math.exp(root["others_score"])
    assert sum(shares) + rest == pytest.approx(1, abs=1e-5)


def test_a_linker_without_a_search_cannot_explain(served) -> None:
    with served() as client:
        assert "trie" in refusal(client.post("/explain", json={"text": TEXT}), 501)
