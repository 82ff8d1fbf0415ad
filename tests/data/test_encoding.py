"""Text to token ids: a mention in its markers, cropped around the mention, and the given start of its name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from genlink.data.encoding import Encoding, Prompt
from genlink.errors import ModelError, UsageError
from genlink.schema import Mention
from genlink.templates import Template
from genlink.text import Normalisation, normalise

START_OF_DECODER = 2


@pytest.fixture
def words(word_tokenizer):
    """A function that encodes under a template and shows the source as words."""

    def encode(prompt: Prompt, **template: object) -> str:
        encoding = Encoding(word_tokenizer, Template(**template), Normalisation(), START_OF_DECODER)
        (source,) = encoding.sources([prompt])
        return " ".join(word_tokenizer.convert_ids_to_tokens(source))

    return encode


def test_without_context_the_encoder_reads_the_marked_mention(words):
    assert words(Prompt("m", "a b", "c d")) == "<s> START m END </s>"


def test_the_mention_is_normalised_and_the_markers_are_not(words):
    assert words(Prompt("M-N!")) == "<s> START m n END </s>"
    assert words(Prompt("m", "(A.", "B)"), context_tokens=9) == "<s> a START m END b </s>"


@pytest.mark.parametrize(
    ("left", "mention", "right", "context_tokens", "source"),
    [
        # 12 tokens: 4 for <s>, START, END, </s>; 1 for the mention; 7 for both sides.
        ("a b c d e f g h", "m", "r s t u v w", 10, "f g h START m END r s t u"),
        ("a b c d e f g h", "m", "r s t", 10, "e f g h START m END r s t"),
        ("a", "m", "r s t u v w x", 10, "a START m END r s t u v w"),
        ("", "m", "r s t u v w x y", 10, "START m END r s t u v w x"),
        ("a b c d e f g h", "m", "", 10, "b c d e f g h START m END"),
        ("a b c d e f g h", "m", "r s t u v w", 2, "g h START m END r s"),
        ("a b c", "m n o p q", "r s t", 10, "c START m n o p q END r s"),
        ("a b c", "m n o p q r s", "t u v", 10, "START m n o p q r s END t"),
        ("a b c", "m n o p q r s t", "u v w", 10, "START m n o p q r s t END"),
        ("a b c", "m n o p q r s t u v", "w", 10, "START m n o p q r s t END"),
    ],
)
def test_the_source_is_cropped_around_the_mention(words, left, mention, right, context_tokens, source):
    prompt = Prompt(mention, left, right)
    assert words(prompt, context_tokens=context_tokens, source_tokens=12) == f"<s> {source} </s>"


contexts = st.text("abc .,-ö\t", max_size=40)


@given(contexts, contexts, contexts, st.integers(0, 12), st.integers(8, 30))
def test_a_source_fits_holds_the_mention_and_wastes_no_room(
    byte_tokenizer, left, surface, right, context_tokens, source_tokens
):
    template = Template(context_tokens=context_tokens, source_tokens=source_tokens)
    encoding = Encoding(byte_tokenizer, template, Normalisation(), START_OF_DECODER)
    (source,) = encoding.sources([Prompt(surface, left, right)])
    before, body, after = encoding.names([normalise(text) for text in (left, surface, right)])
    (start,), (end,) = encoding.names(["START", "END"])

    assert len(source) <= source_tokens
    assert (source[0], source[-1]) == (byte_tokenizer.bos_token_id, byte_tokenizer.eos_token_id)
    opened, closed = source.index(start), source.index(end)
    read_before, read_body, read_after = source[1:opened], source[opened + 1 : closed], source[closed + 1 : -1]
    assert read_body == body[: source_tokens - 4]
    assert read_before == before[len(before) - len(read_before) :]
    assert read_after == after[: len(read_after)]
    most = [min(len(side), context_tokens) for side in (before, after)]
    assert len(read_before) <= most[0]
    assert len(read_after) <= most[1]
    if len(source) < source_tokens:
        assert [len(read_before), len(read_after)] == most
    elif len(read_before) < most[0]:  # cut on the left: the right takes at most half, but for the odd token
        assert len(read_after) <= (source_tokens - 4 - len(read_body) + 1) // 2


def test_sources_of_several_mentions_are_those_of_each(encoding):
    prompts = [Prompt("silver fever"), Prompt(""), Prompt("glass bone disease", "with", "and")]
    assert encoding.sources(prompts) == [encoding.sources([prompt])[0] for prompt in prompts]
    assert encoding.prefixes(prompts) == [encoding.prefixes([prompt])[0] for prompt in prompts]


def test_nothing_to_encode_gives_nothing(encoding):
    assert encoding.sources([]) == encoding.prefixes([]) == encoding.names([]) == encoding.examples([], [], 9) == []


@pytest.mark.parametrize(
    ("surface", "template", "prefix"),
    [
        ("a b", {}, "a b is"),
        ("A.", {"prefix": "the {mention} is"}, "the a is"),
        ("a b", {"prefix": ""}, ""),
        # The verb is kept and the beginning of the mention goes.
        ("a b c d e", {"prefix_tokens": 4}, "c d e is"),
    ],
)
def test_the_decoder_is_given_its_start_token_and_the_prefix(word_tokenizer, surface, template, prefix):
    encoding = Encoding(word_tokenizer, Template(**template), Normalisation(), START_OF_DECODER)
    (ids,) = encoding.prefixes([Prompt(surface)])
    assert ids == [START_OF_DECODER, *word_tokenizer.convert_tokens_to_ids(prefix.split())]


def test_an_example_ends_with_the_end_token_unless_its_name_is_cut(word_tokenizer):
    encoding = Encoding(word_tokenizer, Template(), Normalisation(), START_OF_DECODER)
    whole, cut = encoding.examples([Prompt("m"), Prompt("m")], ["a b c", "a b c d e"], target_tokens=4)
    a, b, c, d = word_tokenizer.convert_tokens_to_ids(["a", "b", "c", "d"])
    assert whole.target == [a, b, c, encoding.end]
    assert cut.target == [a, b, c, d]
    assert whole.cost == len(whole.source) + len(whole.prefix) + 4


def test_a_prompt_holds_the_context_that_can_be_read_and_no_more():
    mention = Mention.in_context("The patient had ", "gout", " in both feet.")
    assert Prompt.of(mention, 0) == Prompt("gout")
    assert Prompt.of(mention, 5) == Prompt("gout", " had ", " in b")
    assert Prompt.of(mention, 99) == Prompt("gout", "The patient had ", " in both feet.")
    assert Prompt.of(mention.with_surface("blue gout"), 4) == Prompt("blue gout", "had ", " in ")


def test_the_context_of_a_discontinuous_mention_lies_outside_its_spans():
    text = "no cold and hot fever today"
    mention = Mention(text, ((3, 7), (16, 21)), "cold fever")
    assert Prompt.of(mention, 3) == Prompt("cold fever", "no ", " to")


def test_without_context_tokens_the_text_around_a_mention_is_not_even_looked_at(encoding):
    assert encoding.prompt(Mention.in_context("a ", "gout", " b")) == Prompt("gout")
    near = Encoding(encoding.tokenizer, replace(encoding.template, context_tokens=1), Normalisation(), 2)
    assert near.prompt(Mention.in_context("a" * 99, "gout", "b" * 99)) == Prompt("gout", "a" * 16, "b" * 16)


def test_markers_that_fill_the_source_are_refused(word_tokenizer):
    with pytest.raises(UsageError, match=r"source_tokens 8 leaves no room .* take 8\."):
        Encoding(word_tokenizer, Template(start="a b c", end="d e f", source_tokens=8), Normalisation(), 2)


def test_a_tokenizer_like_that_of_bert_opens_and_closes_with_its_own_tokens():
    def bert_like(**special: str) -> PreTrainedTokenizerFast:
        vocabulary = {word: i for i, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]"])}
        return PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")), unk_token="[UNK]", **special
        )

    tokenizer = bert_like(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
    encoding = Encoding(tokenizer, Template(), Normalisation(), 1)
    assert (encoding.begin, encoding.end, encoding.pad) == (1, 2, 0)
    with pytest.raises(ModelError, match="lacks a start, end or padding token"):
        Encoding(bert_like(pad_token="[PAD]"), Template(), Normalisation(), 1)
