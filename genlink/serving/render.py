"""Predictions and searches as pieces of HTML: headings, tables and nested lists, readable without a style or a script.

Everything from outside is escaped. No element has a style of its own, which the page's policy would refuse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from genlink.kb import KnowledgeBase
from genlink.linkers.trace import SearchTrace, TraceNode
from genlink.schema import Candidate, Concept, Prediction

__all__ = ["render_explanation", "render_predictions", "render_trace"]

# Of a concept with many synonyms so many are shown.
_SYNONYMS = 20
# What the shares in a tree add up to, by normaliser.
_WHOLES = {
    "trie": "all names of the dictionary",
    "active": "all texts in the tokens of the names",
    "full": "all texts that the model can write",
}


def render_predictions(
    text: str, predictions: Sequence[Prediction], kb: KnowledgeBase, *, can_trace: bool = False
) -> str:
    """The text with its mentions marked, then a section for each, or that there is none; with ``can_trace``, a button
    that asks for the search."""
    if not predictions:
        return f"{_marked(text, ())}<p>No name of the dictionary stands in the text: mark its mentions.</p>"
    sections = []
    for i, prediction in enumerate(predictions):
        more = (
            f'<p><button type="button" data-mention="{i}" aria-expanded="false" aria-controls="search-{i}">'
            f"Show the search</button></p>"
            f'<div id="search-{i}" class="search" hidden></div>'
        )
        sections.append(_section(i, prediction, kb, more if can_trace else ""))
    return _marked(text, predictions) + "".join(sections)


def render_explanation(text: str, explained: Sequence[tuple[Prediction, SearchTrace]], kb: KnowledgeBase) -> str:
    """The same with every search shown."""
    predictions = [prediction for prediction, _ in explained]
    sections = [_section(i, p, kb, render_trace(trace)) for i, (p, trace) in enumerate(explained)]
    return _marked(text, predictions) + "".join(sections)


def render_trace(trace: SearchTrace) -> str:
    """The tree of a search, and what was read and paid for it."""
    more = "is more probable" if trace.spelling or trace.concept_score == "sum" else "scores higher"
    proof = f"It is proven that no other name {more}." if trace.exact else "What was pruned may score higher."
    if trace.status == "capped":
        proof = "The proof was given up at the cap, and the search went on as a beam."
    how = "an exact search" if trace.search == "exact" else f"a beam search, {trace.beams} wide"
    score = "its best name" if trace.concept_score == "best" else "the sum of its names"
    if trace.spelling:
        score += f", less up to {trace.spelling:g} nats for another spelling than the mention's"
    facts = [
        ("The encoder read", f"<q>{escape(trace.source)}</q>"),
        ("The decoder was given", f"<q>{escape(trace.prefix)}</q>" if trace.prefix else "nothing"),
        ("The search", escape(f"{how}, among {trace.names:,} names. {proof}")),
        ("A concept scores as", escape(score)),
        ("Its cost", f"{_count(trace.rows, 'token')} fed to the decoder in {_count(trace.passes, 'pass', 'passes')}"),
        ("Shares are of", _WHOLES[trace.normaliser]),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    tree = f'<ul class="tree">{_branch(trace.root, is_root=True)}</ul>'
    return f"<h4>The search</h4><dl>{rows}</dl>{tree}"


def _marked(text: str, predictions: Sequence[Prediction]) -> str:
    """The text, each mention a link to its section; of mentions that overlap the first is marked."""
    pieces, at = [], 0
    ordered = sorted(enumerate(predictions), key=lambda entry: entry[1].mention.spans[0])
    for i, prediction in ordered:
        for start, end in prediction.mention.spans:
            if start >= at:
                pieces.append(escape(text[at:start]))
                pieces.append(f'<mark><a href="#mention-{i}">{escape(text[start:end])}</a></mark>')
                at = end
    return f'<p class="text">{"".join(pieces)}{escape(text[at:])}</p>'


def _section(i: int, prediction: Prediction, kb: KnowledgeBase, more: str) -> str:
    mention = prediction.mention
    read_as = f" <small>read as {escape(mention.surface)}</small>" if mention.surface != mention.text else ""
    if not prediction.candidates:
        answer = "<p>Nothing was found.</p>"
    else:
        nil = (
            "<p><strong>NIL</strong>: no candidate is probable enough, so the answer is that the concept is not in the "
        )
        answer = (f"{nil}knowledge base.</p>" if prediction.is_nil else "") + _table(prediction.candidates, kb)
    heading = f'<h3 id="mention-{i}" tabindex="-1">{escape(mention.text)}{read_as}</h3>'
    return f'<section aria-labelledby="mention-{i}">{heading}{answer}{more}</section>'


def _table(candidates: Sequence[Candidate], kb: KnowledgeBase) -> str:
    with_probability = any(candidate.probability is not None for candidate in candidates)
    heads = ["Rank", "Concept", "By the name", "Score", *(["Probability"] if with_probability else [])]
    rows = []
    for candidate in candidates:
        cells = [
            f"<td>{candidate.rank}</td>",
            f'<th scope="row">{_concept(kb.concept(candidate.concept_id))}</th>',
            f"<td>{escape(candidate.name)}{' (of several concepts)' if candidate.ambiguous else ''}</td>",
            f'<td class="number">{_number(candidate.score)}</td>',
        ]
        if candidate.probability is not None:
            cells.append(f'<td class="number">{_meter(candidate.probability)} {_percent(candidate.probability)}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        '<div class="wide" role="region" aria-label="Candidates" tabindex="0"><table><caption>Candidates</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _concept(concept: Concept) -> str:
    """The name of a concept, and what the knowledge base says of it when opened."""
    facts = []
    if concept.definition:
        facts.append(("Definition", concept.definition))
    if concept.synonyms:
        shown, more = concept.synonyms[:_SYNONYMS], len(concept.synonyms) - _SYNONYMS
        facts.append(("Synonyms", "; ".join(shown) + (f"; and {more} more" if more > 0 else "")))
    if concept.types:
        facts.append(("Types", "; ".join(concept.types)))
    title = f"{escape(concept.name)} <code>{escape(concept.concept_id)}</code>"
    if not facts:
        return title
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f"<details><summary>{title}</summary><dl>{rows}</dl></details>"


def _branch(node: TraceNode, *, is_root: bool = False) -> str:
    mass = math.exp(node.score)
    text = f"<code>{escape(node.text)}</code>" if node.text else f"<em>{'start' if is_root else 'end'}</em>"
    share = f"{_meter(mass)} {_percent(mass)}"
    if node.name is not None:
        rank = f"<strong>rank {node.name.rank}</strong>, " if node.name.rank else ""
        what = f"{escape(node.name.name)} <code>{escape(' '.join(node.name.concepts))}</code>"
        state = "" if node.is_followed else ", not followed"
        kind = "candidate" if node.name.rank else "name"
        return f'<li class="{kind}">{text} {share} {rank}{what}, log-probability {_number(node.score)}{state}</li>'
    if not node.children:
        return f'<li class="left">{text} {share}{"" if node.is_followed else ", not followed"}</li>'
    children = [_branch(child) for child in node.children]
    if node.others_score is not None:
        others = math.exp(node.others_score)
        children.append(
            f'<li class="left">{_count(node.others, "other branch", "other branches")} {_meter(others)} '
            f"{_percent(others)}, not followed</li>"
        )
    if node.forbidden and node.forbidden * mass >= 0.001:
        lost = node.forbidden * mass
        children.append(f'<li class="left">no name goes on so {_meter(lost)} {_percent(lost)}</li>')
    return f"<li><details open><summary>{text} {share}</summary><ul>{''.join(children)}</ul></details></li>"


def _meter(share: float) -> str:
    """A bar for the eye; the number stands beside it."""
    return f'<meter min="0" max="1" value="{min(share, 1.0):.4f}" aria-hidden="true"></meter>'


def _percent(share: float) -> str:
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _number(score: float) -> str:
    return f"{score:.2f}".replace("-", "\N{MINUS SIGN}")


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
