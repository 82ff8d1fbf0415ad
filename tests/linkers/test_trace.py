"""The trace of a search: masses that add up, and paths that come to the scores of the candidates."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from small import CONCEPTS, MENTIONS, TEMPLATE

from genlink.errors import UsageError
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings
from genlink.linkers.trace import TraceNode, trace_search

ALL = 50  # beams, names, ranks: more than the dictionary has names
NAMES = sum(len(concept.names) for concept in CONCEPTS) - 1  # SF is one key of two concepts


def under(model, tokenizer, kb, normaliser: str, **search) -> GenerativeLinker:
    settings = SearchSettings(name_tokens=30, **search)
    return GenerativeLinker(model, tokenizer, kb, template=TEMPLATE, normaliser=normaliser, search=settings)


@pytest.fixture(scope="module")
def shared(model, tokenizer, small_kb):
    """A linker whose names share out a probability of 1."""
    return under(model, tokenizer, small_kb, "trie")


def branches(node: TraceNode) -> list[TraceNode]:
    return [node, *(below for child in node.children for below in branches(child))]


def names(root: TraceNode) -> dict[str, TraceNode]:
    return {node.name.name: node for node in branches(root) if node.name}


def whole(linker: GenerativeLinker) -> GenerativeLinker:
    return linker.with_search(replace(linker.search, beams=ALL))


def brute_force(linker: GenerativeLinker, mention) -> dict[str, float]:
    """The log-probability of every key under ``trie``: the logits of a whole forward pass, shared among the children
    of each node, which are worked out from the names alone."""
    prompt = linker.encoding.prompt(mention)
    (source,), (prefix,) = linker.encoding.sources([prompt]), linker.encoding.prefixes([prompt])
    keys = [linker.kb.key(i) for i in range(linker.kb.n_keys)]
    spelled = [(*ids, linker.encoding.end) for ids in linker.encoding.names(keys)]
    scores = {}
    for key, target in zip(keys, spelled, strict=True):
        with torch.no_grad():
            fed = torch.tensor([[*prefix, *target[:-1]]])
            logits = linker.model(input_ids=torch.tensor([source]), decoder_input_ids=fed).logits[0, len(prefix) - 1 :]
        scores[key] = 0.0
        for i, token in enumerate(target):
            allowed = sorted({other[i] for other in spelled if other[:i] == target[:i] and len(other) > i})
            scores[key] += float(logits[i, allowed].log_softmax(-1)[allowed.index(token)])
    return scores


@pytest.mark.parametrize("mention", MENTIONS[:3])
def test_every_name_of_a_whole_search_has_the_probability_that_brute_force_gives_it(shared, mention) -> None:
    prediction, trace = trace_search(whole(shared), mention, ALL)
    expected = brute_force(shared, mention)
    found = names(trace.root)
    assert len(found) == NAMES == trace.names
    assert {shared.kb.key(shared.kb.key_index(name)): node.score for name, node in found.items()} == pytest.approx(
        expected, abs=1e-4
    )
    assert sum(math.exp(node.score) for node in found.values()) == pytest.approx(1, abs=1e-4)
    assert trace.exact and prediction.exact


@pytest.mark.parametrize("beams", [1, 2, ALL])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("width", [0, 1, ALL])
def test_the_branches_of_a_node_share_out_its_mass(shared, beams, k, width) -> None:
    linker = shared.with_search(replace(shared.search, beams=beams))
    for mention in MENTIONS:
        _, trace = trace_search(linker, mention, k, width=width)
        for node in branches(trace.root):
            if node.children:
                mass = sum(math.exp(child.score) for child in node.children)
                mass += 0.0 if node.others_score is None else math.exp(node.others_score)
                assert mass == pytest.approx(math.exp(node.score), rel=1e-5)
                assert node.forbidden == pytest.approx(0, abs=1e-6)
                assert (node.others_score is None) == (node.others == 0)
                assert sum(not child.is_followed for child in node.children) <= width
                order = [child.log_prob for child in node.children]
                assert order == sorted(order, reverse=True)


@pytest.mark.parametrize("normaliser", ["full", "active"])
def test_what_no_name_goes_on_with_takes_the_rest_of_the_mass(model, tokenizer, small_kb, normaliser) -> None:
    linker = under(model, tokenizer, small_kb, normaliser)
    _, trace = trace_search(linker, MENTIONS[0], width=ALL)
    forks = [node for node in branches(trace.root) if node.children]
    for node in forks:
        mass = sum(math.exp(child.score) for child in node.children)
        # A child's own text can run on to the next fork: its share of this node is at least its mass.
        assert mass <= math.exp(node.score) * (1 - node.forbidden) + 1e-6
    assert max(node.forbidden for node in forks) > 0.01


@pytest.mark.parametrize("normaliser", ["full", "active", "trie"])
@pytest.mark.parametrize("search", ["beam", "exact"])
@pytest.mark.parametrize("k", [1, 4])
def test_a_candidate_ends_a_path_whose_log_probabilities_add_up_to_its_score(
    model, tokenizer, small_kb, normaliser, search, k
) -> None:
    linker = under(model, tokenizer, small_kb, normaliser, search=search)

    def paths(node: TraceNode, above: float = 0.0) -> dict[int, float]:
        total = above + node.log_prob
        if node.name and node.name.rank:
            assert node.is_followed
            return {node.name.rank: total}
        return {rank: score for child in node.children for rank, score in paths(child, total).items()}

    for mention in MENTIONS:
        prediction, trace = trace_search(linker, mention, k)
        assert prediction == linker.link([mention], k)[0]
        expected = {candidate.rank: candidate.score for candidate in prediction.candidates}
        assert expected and paths(trace.root) == pytest.approx(expected, abs=1e-6)


def test_the_texts_along_a_path_spell_the_name(shared) -> None:
    def spelled(node: TraceNode, above: str = "") -> dict[str, str]:
        text = above + node.text
        below = {name: path for child in node.children for name, path in spelled(child, text).items()}
        return {node.name.name: text, **below} if node.name else below

    _, trace = trace_search(whole(shared), MENTIONS[0], ALL)
    paths = spelled(trace.root)
    assert len(paths) == NAMES
    assert all(text.strip() == shared.kb.key(shared.kb.key_index(name)) for name, text in paths.items())


def test_a_node_that_does_not_fork_is_one_step_with_what_follows(shared) -> None:
    _, trace = trace_search(whole(shared), MENTIONS[0], ALL)
    inner = [node for node in branches(trace.root)[1:] if node.children]
    assert inner and all(len(node.children) > 1 for node in inner)


def test_an_ambiguous_name_names_all_its_concepts(shared) -> None:
    _, trace = trace_search(whole(shared), MENTIONS[1], ALL)
    assert names(trace.root)["SF"].name.concepts == ("D4", "D5")


def test_a_restricted_search_shows_the_names_that_were_permitted_and_no_others(shared) -> None:
    part = shared.restriction(ids=["D1", "D5"])
    prediction, trace = trace_search(whole(shared), MENTIONS[1], ALL, within=part)
    assert set(names(trace.root)) == {"Silver fever", "Fever, silver", "Argentine fever", "Salt fever", "SF"}
    assert names(trace.root)["SF"].name.concepts == ("D5",)
    assert {candidate.concept_id for candidate in prediction.candidates} == {"D1", "D5"}
    assert trace.names == 5


def test_a_part_without_names_has_nothing_to_search(shared) -> None:
    prediction, trace = trace_search(shared, MENTIONS[0], within=shared.restriction(ids=[]))
    assert (prediction.candidates, trace.names, trace.root.children, trace.rows) == ((), 0, (), 0)


def test_a_trace_says_what_was_read_and_how_much_it_cost(shared) -> None:
    _, trace = trace_search(shared, MENTIONS[0])
    assert "silver fevr" in trace.source and "silver fevr" in trace.prefix
    assert (trace.search, trace.beams, trace.normaliser, trace.status) == ("beam", 5, "trie", "complete")
    assert trace.rows > 0 and trace.passes > 0


def test_a_width_below_zero_is_refused(shared) -> None:
    with pytest.raises(UsageError, match="width is -1"):
        trace_search(shared, MENTIONS[0], width=-1)
