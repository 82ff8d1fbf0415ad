"""The harvest: what is asked, what counts as an answer, and a file that is the same however often it was begun."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace

import bench_harvest
import numpy as np
import pytest
import torch
from planted import Question, by_generate

from genlink.config import CorpusConfig, FoldConfig
from genlink.data.answers import Answer, AnswerList, read_answers
from genlink.data.encoding import Prompt
from genlink.data.neighbours import OtherNames
from genlink.data.synonyms import SynonymMix, SynonymPairs
from genlink.errors import CorpusError
from genlink.evaluation import read_result
from genlink.kb import KnowledgeBase
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings
from genlink.schema import Concept, Mention
from genlink.templates import Template
from genlink.training import harvest as harvesting
from genlink.training.harvest import Query, answer_queries, harvest, mention_queries, name_queries, tfidf_answers
from genlink.training.materials import folds, training_mentions

AMBIGUOUS = [
    Concept("D1", ("Silver fever", "Argentine fever", "SF")),
    Concept("D2", ("Salt fever", "SF")),
    Concept("D3", ("Moth lung",)),
]


@pytest.fixture(scope="module")
def linker(make_linker):
    return make_linker()


@pytest.fixture(scope="module")
def ambiguous():
    return KnowledgeBase.from_concepts(AMBIGUOUS)


def mention(surface: str, *gold: str, left: str = "") -> Mention:
    text = Mention.in_context(left, surface)
    return Mention(text.context, text.spans, surface, gold=tuple(frozenset({i}) for i in gold))


# What is asked


def test_mentions_that_read_alike_and_mean_the_same_are_one_question(linker):
    mentions = [
        *(mention("Silver Fevers", "D1"), mention("moth lungs", "D3"), mention("silver-fevers", "D1")),
        *(mention("silver fevers", "D5"), mention("silver fevers", "D1", left="Signs of ")),  # no context is read
    ]
    assert mention_queries(mentions, linker, "corpus") == [
        Query(Prompt("Silver Fevers"), ("D1",), 3),
        Query(Prompt("moth lungs"), ("D3",)),
        Query(Prompt("silver fevers"), ("D5",)),
    ]


def test_all_concepts_of_a_composite_mention_are_gold(linker):
    (query,) = mention_queries([mention("moth and silver", "D3", "D1", "D99")], linker, "corpus")
    assert query.gold == ("D1", "D3")


def test_mentions_without_gold_in_the_dictionary_are_left_out_with_a_warning(linker, caplog):
    known, unknown, unlabelled = mention("moth lungs", "D3"), mention("green gout", "D99"), mention("red gout")
    with caplog.at_level(logging.WARNING):
        (query,) = mention_queries([unknown, known, unlabelled], linker, "train.txt")
    assert query.prompt.surface == "moth lungs"
    assert "train.txt: 2 of 3 mentions have no gold concept in the dictionary" in caplog.text
    caplog.clear()
    with pytest.raises(CorpusError, match=r"^train.txt: no mention has a gold concept in the dictionary"):
        mention_queries([unknown], linker, "train.txt")
    assert not caplog.records


def pairs_of(kb: KnowledgeBase, **shares: float) -> SynonymPairs:
    return SynonymPairs(kb, SynonymMix(**{"synonym": 0, "noise": 0, "identity": 0, **shares}), 120)


def test_a_name_that_asks_for_another_is_withheld_and_all_its_concepts_are_gold(ambiguous):
    rng = np.random.default_rng(0)
    queries = name_queries(pairs_of(ambiguous, synonym=1), ambiguous, 400, rng)
    assert sum(query.count for query in queries) == 400
    assert len({(query.prompt, query.target) for query in queries}) == len(queries)
    for query in queries:
        asked = ambiguous.key_index(query.prompt.surface)
        if query.withheld is None:  # the only name of its concept can only be asked for disturbed
            assert query.gold == ("D3",)
            assert query.target == ambiguous.key_index("moth lung")
        else:
            assert query.withheld == asked != query.target
            assert set(query.gold) == set(ambiguous.concept_ids(query.prompt.surface))
    assert {("D1", "D2"), ("D1",), ("D2",), ("D3",)} == {query.gold for query in queries}


def test_a_disturbed_name_is_its_own_answer(ambiguous):
    queries = name_queries(pairs_of(ambiguous, noise=1), ambiguous, 100, np.random.default_rng(0))
    assert all(query.withheld is None and query.target is not None for query in queries)
    assert all(set(ambiguous.concept_ids(ambiguous.key(q.target))) == set(q.gold) for q in queries)
    assert len({query.prompt.surface for query in queries}) > 20


def test_concepts_that_share_a_name_with_a_gold_one_are_doubtful(ambiguous):
    # "SF" is a name of D1 and of D2, so that each is doubtful where the other alone is asked for.
    d1, d2 = (ambiguous.concept_index(i) for i in ("D1", "D2"))
    queries = name_queries(pairs_of(ambiguous, noise=1), ambiguous, 100, np.random.default_rng(0))
    doubtful = {query.gold: query.doubtful for query in queries}
    assert doubtful == {("D1",): {d2}, ("D2",): {d1}, ("D1", "D2"): frozenset(), ("D3",): frozenset()}


def test_the_same_seed_asks_the_same_names(ambiguous):
    pairs = pairs_of(ambiguous, synonym=1, noise=1)
    first, again, other = (name_queries(pairs, ambiguous, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


# What is answered


def best(linker, surface: str) -> list[str]:
    """All names, the best first, as an unhurried search finds them."""
    (result,) = linker.find([Mention.in_context("", surface)], 13)
    return [linker.kb.key(name.name) for name in result.names]


def test_answers_are_the_best_names_and_right_where_a_concept_is_gold(make_linker):
    linker = make_linker()
    linker = linker.with_search(SearchSettings(beams=40, name_tokens=24))
    for k in (2, 4):
        (found,) = answer_queries(linker, [Query(Prompt("silver fevers"), ("D1", "D5"), 7)], k)
        assert [answer.name for answer in found.answers] == best(linker, "silver fevers")[:k]
        assert found.count == 7
        for answer in found.answers:
            assert answer.right == bool({"D1", "D5"} & set(linker.kb.concept_ids(answer.name)))
            assert answer.score is not None and answer.score < 0


def test_a_withheld_name_is_never_an_answer_and_another_takes_its_place(make_linker):
    linker = make_linker()
    linker = linker.with_search(SearchSettings(beams=40, name_tokens=24))
    ranked = best(linker, "blue gout")
    queries = [
        Query(Prompt("blue gout"), ("D6",), withheld=linker.kb.key_index(name)) for name in (ranked[0], ranked[2])
    ]
    first, third = answer_queries(linker, [*queries], 3)
    assert [answer.name for answer in first.answers] == ranked[1:4]
    assert [answer.name for answer in third.answers] == [ranked[0], ranked[1], ranked[3]]


def test_an_ambiguous_name_is_right_if_any_of_its_concepts_is_gold(make_model, tokenizer, ambiguous):
    template = Template(source_tokens=32, prefix_tokens=24)
    linker = GenerativeLinker(
        make_model(), tokenizer, ambiguous, template=template, search=SearchSettings(beams=9, name_tokens=24)
    )
    for gold, names in (("D2", {"sf", "salt fever"}), ("D1", {"sf", "silver fever", "argentine fever"})):
        (found,) = answer_queries(linker, [Query(Prompt("x"), (gold,))], 5)
        assert {answer.name for answer in found.answers if answer.right} == names
        assert len(found.answers) == 5


def test_names_of_doubtful_concepts_are_neither_right_nor_wrong(make_linker, ambiguous):
    linker = make_linker()
    linker = linker.with_search(SearchSettings(beams=40, name_tokens=24))
    ranked = best(linker, "blue gout")
    doubtful = frozenset(linker.kb.key_concepts(linker.kb.key_index(ranked[1])))
    (gold,) = linker.kb.concept_ids(ranked[0])
    (found,) = answer_queries(linker, [Query(Prompt("blue gout"), (gold,), doubtful=doubtful)], 4)
    kept = [n for n in ranked if doubtful.isdisjoint(linker.kb.key_concepts(linker.kb.key_index(n))) or n == ranked[0]]
    assert ranked[1] not in kept
    assert [answer.name for answer in found.answers] == kept[: len(found.answers)]
    assert len(found.answers) > 1

    query = Query(Prompt("x"), ("D1",), target=ambiguous.key_index("silver fever"))
    others = OtherNames(ambiguous)
    (strict,) = tfidf_answers(ambiguous, others, [query], 4)
    assert "salt fever" in {answer.name for answer in strict.answers}
    lenient_query = replace(query, doubtful=frozenset({ambiguous.concept_index("D2")}))
    (lenient,) = tfidf_answers(ambiguous, others, [lenient_query], 4)
    assert "salt fever" not in {answer.name for answer in lenient.answers}


@pytest.mark.parametrize("surface", ["blue gout", "moth lungs", "tides"])
def test_lists_are_full_however_many_of_the_names_found_are_no_answers(make_linker, surface):
    linker = make_linker()
    wide = linker.with_search(SearchSettings(beams=40, name_tokens=24))
    ranked = best(wide, surface)
    keys = [linker.kb.key_index(name) for name in ranked]
    gold = linker.kb.concept_ids(ranked[-1])
    # Neither right nor wrong: the first four concepts of six. The last one is gold.
    concepts = list(dict.fromkeys(i for key in keys for i in linker.kb.key_concepts(key)))
    doubtful = frozenset(i for i in concepts[:4] if linker.kb.concept_id_at(i) not in gold)
    left = [n for n, key in zip(ranked, keys, strict=True) if doubtful.isdisjoint(linker.kb.key_concepts(key))]
    narrow = linker.with_search(SearchSettings(beams=3, name_tokens=24))
    query = Query(Prompt(surface), gold, withheld=linker.kb.key_index(left[0]), doubtful=doubtful)
    plain = Query(Prompt("salt"), gold)
    found, other, more = answer_queries(narrow, [query, plain, replace(query, withheld=None)], 3)
    assert {answer.name for answer in found.answers} <= set(left[1:])
    assert [len(item.answers) for item in (found, other, more)] == [min(3, len(left) - 1), 3, min(3, len(left))]
    # Where less is left than is asked for, the search comes to an end.
    (everything,) = answer_queries(narrow, [query], 12)
    assert [answer.name for answer in everything.answers] == left[1:]


def test_answers_without_a_model_are_the_target_and_the_names_of_others_nearest_to_it(ambiguous):
    keys = [ambiguous.key(i) for i in range(ambiguous.n_keys)]
    order = np.array([keys.index(n) for n in ("salt fever", "sf", "argentine fever", "moth lung")] + [-1])
    asked = []

    class Others:
        def nearest(self, keys, top):
            asked.append((top, keys.tolist()))
            return np.tile(order, (len(keys), 1))

    fever, lung = ambiguous.key_index("silver fever"), ambiguous.key_index("moth lung")
    queries = [Query(Prompt("sliver"), ("D1",), 2, None, fever), Query(Prompt("mothy"), ("D3",), 1, None, lung)]
    first, second = tfidf_answers(ambiguous, Others(), queries, 3)
    # Names of the gold concept, SF among them, are no wrong answers.
    assert first.answers == (Answer("silver fever", True), Answer("salt fever", False), Answer("moth lung", False))
    assert second.answers == (Answer("moth lung", True), Answer("salt fever", False), Answer("sf", False))
    assert (first.count, first.gold) == (2, ("D1",))
    assert asked == [(2 + harvesting.SPARE_NEGATIVES, sorted([fever, lung]))]


# The file


class Answering:
    """Gives each question its own text as a wrong name, remembers who was asked what, and may be interrupted."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.asked: list[tuple[int, list[str]]] = []
        self._dies_at = dies_at

    def __call__(self, group, queries):
        if len(self.asked) == self._dies_at:
            raise KeyboardInterrupt
        self.asked.append((group, [query.prompt.surface for query in queries]))
        return [AnswerList(q.prompt, q.gold, (Answer(q.prompt.surface, False, -group - 0.5),)) for q in queries]


@pytest.fixture
def groups(kb, monkeypatch):
    """Five and two questions, and chunks of two."""
    monkeypatch.setattr(harvesting, "CHUNK", 2)
    names = [Query(Prompt(kb.key(i)), ("D1",)) for i in range(7)]
    return [names[:5], names[5:]]


def test_chunks_are_of_one_group_and_the_file_has_all_in_order(tmp_path, groups, kb, accelerator):
    path, answer = tmp_path / "round-1" / "answers.jsonl", Answering()
    lists = harvest(path, groups, answer, kb, accelerator)
    asked = [kb.key(i) for i in range(7)]
    assert answer.asked == [(0, asked[:2]), (0, asked[2:4]), (0, asked[4:5]), (1, asked[5:])]
    assert [item.prompt.surface for item in lists] == asked
    assert lists == read_answers(path, kb)
    assert [p.name for p in path.parent.iterdir()] == ["answers.jsonl"]


def test_an_interrupted_harvest_goes_on_where_it_was(tmp_path, groups, kb, accelerator):
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    harvest(whole, groups, Answering(), kb, accelerator)
    first, second = Answering(dies_at=2), Answering()
    with pytest.raises(KeyboardInterrupt):
        harvest(parts, groups, first, kb, accelerator)
    assert not parts.exists()
    harvest(parts, groups, second, kb, accelerator)
    assert parts.read_bytes() == whole.read_bytes()
    assert [len(first.asked), len(second.asked)] == [2, 2]  # nobody is asked twice


def test_a_finished_file_is_only_read(tmp_path, groups, kb, accelerator):
    path = tmp_path / "answers.jsonl"
    lists = harvest(path, groups, Answering(), kb, accelerator)
    before = path.stat().st_mtime_ns
    assert harvest(path, groups, Answering(dies_at=0), kb, accelerator) == lists
    assert path.stat().st_mtime_ns == before


# Folds


def test_mentions_of_equal_text_are_in_one_fold_and_folds_are_alike_in_size():
    texts = ["moth-lung", "gout", "Moth lung", "bone", "colic", "MOTH-LUNG", "gout", "Sjögren", "sjogren"]
    found = folds([mention(text, "D1") for text in texts], 2)
    # In the order in which they come, as a model reads them: moth lung, gout, bone, colic, sjogren.
    assert found == [0, 1, 0, 0, 1, 0, 1, 0, 0]


def test_a_fold_that_is_left_out_is_learnt_from_nowhere(train_corpus):
    def texts(leave_out: FoldConfig | None) -> Counter[str]:
        config = CorpusConfig(train=[str(train_corpus)], leave_out=leave_out)
        return Counter(m.surface for m in training_mentions(config))

    whole = texts(None)
    assert sum(whole.values()) == 7
    left = [texts(FoldConfig(fold=fold, of=3)) for fold in range(3)]
    missing = [whole - part for part in left]
    assert sum(missing, Counter()) == whole  # each mention is left out once
    for part, absent in zip(left, missing, strict=True):
        assert absent and not part.keys() & absent.keys()


def test_folds_that_leave_nothing_are_an_error(write_corpus):
    corpus = write_corpus("one", ("silver fevers", "D1"))
    with pytest.raises(CorpusError, match=r"no mentions are left without fold 0"):
        training_mentions(CorpusConfig(train=[str(corpus)], leave_out=FoldConfig(fold=0, of=2)))


def test_the_benchmark_of_harvests_asks_generate_what_the_search_is_asked(make_linker, start, tmp_path, monkeypatch):
    linker = make_linker()
    prompts = [Prompt("", name, "") for name in ("silver fevers", "glass bones", "moth lungs")]
    found = linker.find([Mention.in_context("", prompt.surface, "") for prompt in prompts], 1)
    sources, prefixes = linker.encoding.sources(prompts), linker.encoding.prefixes(prompts)
    for source, prefix, result in zip(sources, prefixes, found, strict=True):
        answer = by_generate(linker.model, Question(torch.tensor([source]), linker.trie), 1, 5, prefix)
        assert answer.names == [result.names[0].name]
        assert answer.scores == pytest.approx([result.names[0].score], abs=1e-4)

    path = tmp_path / "harvest.json"
    monkeypatch.setattr("sys.argv", ["bench_harvest.py", str(path), str(start), "--asked", "6", "--generated", "2"])
    threads = torch.get_num_threads()
    bench_harvest.main()
    torch.set_num_threads(threads)
    metrics = read_result(path)["metrics"]
    assert [row["asked"]["value"] for row in metrics.values()] == [2, 6, 6]
    assert metrics["generate, one at a time"]["ratio"]["value"] == 1
