"""The page and the pieces of HTML: nothing from outside, everything labelled, everything quoted escaped."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from genlink.corpora.marked import document_of_spans, marked_document
from genlink.kb import KnowledgeBase
from genlink.linkers import ExactLinker
from genlink.linkers.calibration import Calibration
from genlink.linkers.model_directory import add_file
from genlink.linkers.trace import FoundName, SearchTrace, TraceNode, trace_search
from genlink.schema import Concept, Mention
from genlink.serving.page import content_security_policy, page, standalone_page
from genlink.serving.render import render_explanation, render_predictions, render_trace

VOID = {"meta", "input", "br", "link", "img"}


class Elements(HTMLParser):
    """All elements in order, (tag, attributes, ancestors' tags), and the text; refuses what is not nested."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.found if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def explained(generator, text="A [[gout <b>]] & [[wheezing]]."):
    document = marked_document(text)
    pairs = [trace_search(generator, mention) for mention in document.mentions]
    return render_explanation(document.text, pairs, generator.kb), pairs


@pytest.fixture(scope="module")
def pieces(generator) -> dict[str, str]:
    """Every kind of HTML that is sent or written."""
    html, pairs = explained(generator)
    linked = render_predictions("A gout <b> & wheezing.", [p for p, _ in pairs], generator.kb, can_trace=True)
    return {
        "page": page(),
        "file": standalone_page("Title <x>", html),
        "linked": linked,
        "trace": render_trace(pairs[0][1]),
    }


KINDS = ["page", "file", "linked", "trace"]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_fetched_from_outside_and_nothing_is_styled_or_run_in_place(pieces, kind) -> None:
    for tag, attributes, _ in Elements(pieces[kind]).found:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "svg"}
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "src", "action"}]
        assert (attributes.get("href") or "#").startswith("#")
    styles, scripts = (re.findall(f"<{tag}>(.*?)</{tag}>", pieces[kind], re.DOTALL) for tag in ("style", "script"))
    assert not re.search(r"@import|url\(", "".join(styles))
    assert not re.search(r"https?:|innerHTML|\beval\b|\bimport\b", "".join(scripts))


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_unique_and_what_is_referred_to_is_there(pieces, kind) -> None:
    found = Elements(pieces[kind]).found
    ids = [attributes["id"] for _, attributes, _ in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes, _ in found:
        for name in ("for", "aria-describedby", "aria-labelledby", "aria-controls"):
            assert set((attributes.get(name) or "").split()) <= set(ids)
        assert (attributes.get("href") or "#")[1:] in {"", *ids}


def test_every_control_has_a_label_and_messages_are_announced(pieces) -> None:
    elements = Elements(pieces["page"])
    labelled = {attributes.get("for") for attributes in elements.of("label")}
    for tag in ("textarea", "input", "select"):
        for attributes in elements.of(tag):
            assert attributes["id"] in labelled
    roles = {attributes.get("role"): attributes for _, attributes, _ in elements.found}
    assert roles["status"]["aria-live"] == "polite" and "alert" in roles
    # Focus goes in the order of the page.
    assert {attributes.get("tabindex", "-1") for _, attributes, _ in elements.found} <= {"-1", "0"}
    assert elements.of("html")[0]["lang"] == "en"


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb, as WCAG 2 defines it."""
    digits = colour.strip("#")
    parts = [
        int(part * (2 if len(digits) == 3 else 1), 16) / 255 for part in re.findall("." * (len(digits) // 3), digits)
    ]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_words_and_borders_stand_out_in_light_and_dark_as_wcag_asks() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21) and contrast("#777", "#fff") == pytest.approx(
        4.48, abs=0.01
    )
    schemes = [dict(re.findall(r"--(\w+): (#\w+)", rules)) for rules in re.findall(r":root \{([^}]*)\}", page())]
    assert len(schemes) == 2
    for colours in schemes:
        for words, ground in (
            *((words, "paper") for words in ("ink", "soft", "link", "bad")),
            *(("ink", "mark"), ("ink", "good"), ("soft", "good")),
        ):
            assert contrast(colours[words], colours[ground]) >= 4.5, (words, ground)
        assert contrast(colours["line"], colours["paper"]) >= 3


@pytest.mark.parametrize("kind", ["page", "file"])
def test_headings_go_down_a_step_at_a_time(pieces, kind) -> None:
    levels = [int(tag[1]) for tag, _, _ in Elements(pieces[kind]).found if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    # Pieces stand below the h2 of the page.
    assert {tag for tag, _, _ in Elements(pieces["linked"]).found if re.fullmatch(r"h\d", tag)} == {"h3"}


def test_the_policy_allows_the_script_and_the_style_of_the_page_and_no_others(served) -> None:
    def hash_of(tag: str) -> str:
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page(), re.DOTALL)
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    policy = dict(part.strip().split(" ", 1) for part in content_security_policy().split(";"))
    assert policy["default-src"] == "'none'" and policy["connect-src"] == "'self'"
    assert policy["script-src"] == f"'sha256-{hash_of('script')}'"
    assert policy["style-src"] == f"'sha256-{hash_of('style')}'"
    with served() as client:
        answer = client.get("/")
    assert answer.headers["Content-Security-Policy"] == content_security_policy()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.text == page()


def test_a_file_allows_its_own_style_alone(pieces) -> None:
    elements = Elements(pieces["file"])
    (policy,) = [meta["content"] for meta in elements.of("meta") if meta.get("http-equiv")]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "script" not in policy
    assert elements.of("script") == [] and elements.of("title") == [{}]
    assert "Title <x>" in elements.words


def test_the_text_is_shown_whole_with_its_mentions_marked_and_escaped(generator) -> None:
    html, _ = explained(generator)
    (marked,) = re.findall(r'<p class="text">(.*?)</p>', html)
    assert "".join(Elements(marked).words) == "A gout <b> & wheezing."
    assert [a["href"] for a in Elements(marked).of("a")] == ["#mention-0", "#mention-1"]
    assert "<b>" not in html


def test_of_mentions_that_overlap_the_first_is_marked_and_all_are_listed(kb) -> None:
    document = document_of_spans("acute gout attack", [(6, 10), (0, 10), (11, 17)])
    html = render_predictions(document.text, ExactLinker(kb).link(document.mentions), kb)
    (marked,) = re.findall(r'<p class="text">(.*?)</p>', html)
    assert "".join(Elements(marked).words) == document.text
    assert [a["href"] for a in Elements(marked).of("a")] == ["#mention-1", "#mention-2"]
    assert [h3["id"] for h3 in Elements(html).of("h3")] == ["mention-0", "mention-1", "mention-2"]


def test_what_the_knowledge_base_says_of_a_candidate_is_escaped() -> None:
    kb = KnowledgeBase.from_concepts([Concept('<i>"1"', ("gout", "<u>podagra</u>"), ("<T>",), "</details><script>x")])
    html = render_predictions("gout", ExactLinker(kb).link([Mention("gout", ((0, 4),), "gout")]), kb)
    assert not re.search(r"<(i|u|T|script)\b", html)
    assert all(word in Elements(html).text for word in ('<i>"1"', "<u>podagra</u>", "<T>", "</details><script>x"))


def tree_of(node: TraceNode) -> list[int]:
    """How many entries each fork has, parents first; children with their own come in order."""
    below = [child for child in node.children if child.children]
    lost = bool(node.forbidden and node.forbidden * math.exp(node.score) >= 0.001)
    return [
        len(node.children) + (node.others_score is not None) + lost,
        *(n for child in below for n in tree_of(child)),
    ]


def test_a_tree_has_an_entry_for_every_branch_of_its_trace(generator) -> None:
    for text in ("gout", "wheeze", "colic"):
        _, trace = trace_search(generator, Mention.in_context("", text))
        entries: dict[int, int] = {}
        stack: list[int] = []
        for tag in re.findall(r"<(/?ul|li)\b", render_trace(trace)):
            if tag == "ul":
                entries[len(entries)] = 0
                stack.append(len(entries) - 1)
            elif tag == "/ul":
                stack.pop()
            else:
                entries[stack[-1]] += 1
        assert list(entries.values()) == [1, *tree_of(trace.root)]


def test_a_tree_says_the_share_the_rank_and_what_was_not_followed() -> None:
    name = TraceNode(" gout", math.log(0.5), math.log(0.25), True, FoundName("Gout", ("A:2", "B:1"), 1))
    passed = TraceNode(" x<y", math.log(0.3), math.log(0.15), False)
    fork = TraceNode("acute", math.log(0.5), math.log(0.5), True, None, (name, passed), 7, math.log(0.05), 0.1)
    root = TraceNode("", 0.0, 0.0, True, None, (fork,), 0, None, 0.5)
    trace = SearchTrace("read", "gout is", "beam", 5, "best", 0.0, "full", 1234, False, "complete", 1, 2, root)
    said = Elements(render_trace(trace)).text
    for expected in (
        "start 100.0 % acute 50.0 %",
        "gout 25.0 % rank 1 , Gout A:2 B:1 , log-probability −1.39",
        "x<y 15.0 %, not followed",
        "7 other branches 5.0 %, not followed",
        "no name goes on so 5.0 %",
        "no name goes on so 50.0 %",
        "a beam search, 5 wide, among 1,234 names. What was pruned may score higher.",
        "1 token fed to the decoder in 2 passes",
    ):
        assert expected in said


# The command


@pytest.fixture
def explain(genlink, generator, tmp_path):
    generator.save(tmp_path / "model")

    def call(*arguments: object) -> tuple[int, str]:
        code, _, said = genlink("explain", *arguments)
        return code, said

    return call


def test_a_search_is_written_as_a_page_of_its_own(explain, tmp_path) -> None:
    output = tmp_path / "search.html"
    code, said = explain(tmp_path / "model", "--text", "A [[gout]], a [[wheeze]].", "--output", output, "--k", 2)
    assert (code, said) == (0, f"Wrote the search of 2 mentions to {output}.\n")
    elements = Elements(output.read_text(encoding="utf-8"))
    assert [ul for ul in elements.of("ul") if ul.get("class") == "tree"] == [{"class": "tree"}] * 2
    assert "rank 1" in elements.text and "rank 3" not in elements.text


def test_in_a_text_that_marks_nothing_the_names_found_are_explained(explain, tmp_path) -> None:
    output = tmp_path / "search.html"
    code, said = explain(tmp_path / "model", "--text", "gout or asthma", "--output", output, "--id-prefix", "B")
    assert (code, said) == (0, f"Wrote the search of 1 mention to {output}.\n")
    elements = Elements(output.read_text(encoding="utf-8"))
    assert "".join(elements.words).count("A:2") == 0 and "B:1" in elements.text


def test_without_a_model_the_default_one_explains(explain, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("genlink.linkers.opening.default_model", lambda: tmp_path / "model")
    code, said = explain("--text", "[[gout]]", "--output", tmp_path / "search.html")
    assert (code, said) == (0, f"Wrote the search of 1 mention to {tmp_path / 'search.html'}.\n")


def test_the_calibration_of_a_model_gives_its_probabilities_without_being_named(explain, tmp_path) -> None:
    Calibration(1.0, 0.0, ranks=3).save(tmp_path / "model" / "calibration.json")
    add_file(tmp_path / "model", "calibration.json")
    code, said = explain(tmp_path / "model", "--text", "[[gout]]", "--output", tmp_path / "search.html")
    assert code == 0, said
    assert "Probability" in (tmp_path / "search.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "word", "expected"),
    [
        (("--text", "no mention"), "double brackets", 2),
        (("--text", "[[gout]]", "--id-prefix", "Z"), "no concept", 2),
        (("--text", "[[gout]]", "--k", "0"), "--k", 2),
    ],
)
def test_what_cannot_be_explained_is_one_line_and_writes_nothing(explain, tmp_path, arguments, word, expected) -> None:
    code, said = explain(tmp_path / "model", *arguments, "--output", tmp_path / "search.html")
    assert (code, said.count("\n"), word in said) == (expected, 1, True), said
    assert not (tmp_path / "search.html").exists()


def test_a_linker_without_a_trie_has_no_search_to_explain(explain, tmp_path) -> None:
    (tmp_path / "names.txt").write_text("C1||gout\n", encoding="utf-8")
    arguments = ("exact", "--kb", tmp_path / "names.txt", "--text", "[[gout]]", "--output", tmp_path / "search.html")
    code, said = explain(*arguments)
    assert (code, "does not search a trie" in said) == (2, True)
