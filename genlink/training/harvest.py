"""The harvest: what models answer to questions whose right answers are known, as lists of right and wrong names.

    corpus      training mentions, answered by the model that is trained on (ANGEL, arXiv 2408.16493)
    crossfit    training mentions, each answered by a model that was fine-tuned without any mention of its text: one
                that has fitted its mentions makes few mistakes on them to learn from
    kb          names of a knowledge base, answered by the model while the name itself is withheld, and disturbed names
    tfidf       the same questions without a model: one right name, and the names of other concepts spelled most like it
                (ANGEL's negative-aware pre-training)

Questions are answered in chunks of fixed size, shared out among the processes; a finished chunk is a file. So the
harvest does not depend on how many processes there are, and an interrupted one goes on where it was.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from genlink.data.answers import Answer, AnswerList, read_answers, write_answers
from genlink.data.encoding import Prompt
from genlink.data.neighbours import OtherNames
from genlink.data.synonyms import SynonymPairs
from genlink.errors import CorpusError
from genlink.kb import KnowledgeBase
from genlink.linkers.generative import GenerativeLinker
from genlink.schema import Mention
from genlink.text import normalise

__all__ = ["Query", "answer_queries", "harvest", "mention_queries", "name_queries", "tfidf_answers"]

logger = logging.getLogger(__name__)

# Queries of a file. Part of what a harvest is: other batches would change the last bits of the scores.
CHUNK = 512
# Names of other concepts that are looked up beyond those wanted, since some turn out to be names of a gold concept.
SPARE_NEGATIVES = 5


@dataclass(frozen=True, slots=True)
class Query:
    """A question with a known answer.

    ``gold``: ids of concepts of the knowledge base that is searched. ``count``: how often the corpus asks it.
    ``withheld``: the key of a name that does not count as an answer, since it is the question. ``target``: the key of a
    right name. ``doubtful``: concepts, by index, whose names are neither right nor wrong.
    """

    prompt: Prompt
    gold: tuple[str, ...]
    count: int = 1
    withheld: int | None = None
    target: int | None = None
    doubtful: frozenset[int] = frozenset()


def mention_queries(mentions: Sequence[Mention], linker: GenerativeLinker, corpus: str) -> list[Query]:
    """Training mentions as questions, those that read alike and mean the same as one.

    Mentions without a gold concept in the dictionary are left out, with a warning. Raises CorpusError, which names the
    ``corpus``, if that leaves none.
    """
    queries: dict[tuple[Prompt, tuple[str, ...]], Query] = {}
    unknown = 0
    for mention in mentions:
        gold = tuple(sorted({i for i in map(linker.kb.resolve, mention.gold_ids) if i is not None}))
        if not gold:
            unknown += 1
            continue
        prompt = linker.encoding.prompt(mention)
        read = replace(prompt, surface=normalise(prompt.surface, linker.kb.normalisation))
        query = queries.get((read, gold)) or Query(prompt, gold, 0)
        queries[read, gold] = replace(query, count=query.count + 1)
    if not queries:
        raise CorpusError(
            f"{corpus}: no mention has a gold concept in the dictionary, so there is nothing to harvest. Check "
            "corpus.types and knowledge_base; lower harvest.folds where one of several is empty."
        )
    if unknown:
        logger.warning("%s: %d of %d mentions have no gold concept in the dictionary", corpus, unknown, len(mentions))
    return list(queries.values())


def name_queries(pairs: SynonymPairs, kb: KnowledgeBase, n: int, rng: np.random.Generator) -> list[Query]:
    """``n`` drawn names as questions, equal ones as one.

    Of a name that is asked as it is, or in a clause, another name is the answer, and so it is withheld itself. The
    concepts of an ambiguous name are all gold. Those that share a name with a gold one are doubtful: where vocabularies
    are merged, most of them are the same concept under another id, and its names are no mistakes.
    """
    queries: dict[tuple[Prompt, int], Query] = {}
    for pair in pairs.draw_pairs(n, rng):
        concepts = kb.key_concepts(pair.name)
        gold = tuple(kb.concept_id_at(i) for i in concepts)
        withheld = pair.name if pair.target != pair.name else None
        namesakes = {other for i in concepts for key in kb.concept_keys(i) for other in kb.key_concepts(key)}
        query = queries.get((pair.prompt, pair.target)) or Query(
            pair.prompt, gold, 0, withheld, pair.target, frozenset(namesakes.difference(concepts))
        )
        queries[pair.prompt, pair.target] = replace(query, count=query.count + 1)
    return list(queries.values())


def answer_queries(linker: GenerativeLinker, queries: Sequence[Query], k: int) -> list[AnswerList]:
    """The ``k`` best names that the linker's search finds for each question.

    Where names that are no answers have taken places of the list, the search is made again, twice as wide, until the
    list is full or nothing is left to find.
    """
    lists: dict[int, AnswerList] = {}
    waiting = list(range(len(queries)))
    wanted, beams = k + any(query.withheld is not None for query in queries), linker.search.beams
    while waiting:
        prompts = [queries[i].prompt for i in waiting]
        mentions = [Mention.in_context(prompt.left, prompt.surface, prompt.right) for prompt in prompts]
        results = linker.with_search(replace(linker.search, beams=beams)).find(mentions, wanted)
        short = []
        for i, result in zip(waiting, results, strict=True):
            query = queries[i]
            judged = [(n, _judge(linker.kb, n.name, query)) for n in result.names if n.name != query.withheld]
            answers = [
                Answer(linker.kb.key(n.name), right, round(n.score, 4)) for n, right in judged if right is not None
            ]
            lists[i] = AnswerList(query.prompt, query.gold, tuple(answers[:k]), query.count)
            is_all = result.exact and len(result.hypotheses) < wanted
            if len(answers) < min(k, len(result.names)) and not is_all:
                short.append(i)
        waiting, wanted, beams = short, 2 * wanted, 2 * beams
    return [lists[i] for i in range(len(queries))]


def tfidf_answers(kb: KnowledgeBase, others: OtherNames, queries: Sequence[Query], k: int) -> list[AnswerList]:
    """The right name of each question, and the ``k - 1`` names of other concepts spelled most like it."""
    targets = np.array([query.target for query in queries], dtype=np.int64)
    keys, which = np.unique(targets, return_inverse=True)
    near = others.nearest(keys, k - 1 + SPARE_NEGATIVES)[which]
    lists = []
    for query, row in zip(queries, near.tolist(), strict=True):
        assert query.target is not None  # queries from names have it
        wrong = [key for key in row if key >= 0 and _judge(kb, key, query) is False][: k - 1]
        answers = [Answer(kb.key(query.target), True), *(Answer(kb.key(key), False) for key in wrong)]
        lists.append(AnswerList(query.prompt, query.gold, tuple(answers), query.count))
    return lists


def _judge(kb: KnowledgeBase, key: int, query: Query) -> bool | None:
    """Whether a name is right; None for a doubtful one."""
    concepts = kb.key_concepts(key)
    if any(kb.concept_id_at(concept) in query.gold for concept in concepts):
        return True
    return False if query.doubtful.isdisjoint(concepts) else None


def harvest(
    path: Path,
    groups: Sequence[Sequence[Query]],
    answer: Callable[[int, Sequence[Query]], list[AnswerList]],
    kb: KnowledgeBase,
    accelerator: Accelerator,
) -> list[AnswerList]:
    """Answer all questions by names of ``kb`` into one file, ``path``, and read it; a finished one is only read.

    ``answer(group, queries)`` answers questions of a group; no chunk holds questions of two. Every process calls this
    with the same questions and gets all lists, in their order.
    """
    if not path.exists():
        chunks = [
            (group, queries[start : start + CHUNK])
            for group, queries in enumerate(groups)
            for start in range(0, len(queries), CHUNK)
        ]
        folder = path.with_suffix(".parts")
        files = [folder / f"{number:06}.jsonl" for number in range(len(chunks))]
        missing = [number for number, file in enumerate(files) if not file.exists()]
        accelerator.wait_for_everyone()  # so that all have seen the same, and share out what is left
        mine = missing[accelerator.process_index :: accelerator.num_processes]
        main = accelerator.is_main_process
        with tqdm(total=len(mine), unit="chunk", desc="harvest", disable=not main, dynamic_ncols=True) as bar:
            for number in mine:
                write_answers(files[number], answer(*chunks[number]))
                bar.update()
        accelerator.wait_for_everyone()
        if main:
            write_answers(path, (item for file in files for item in read_answers(file, kb)))
            shutil.rmtree(folder)
        accelerator.wait_for_everyone()
    return read_answers(path, kb)
