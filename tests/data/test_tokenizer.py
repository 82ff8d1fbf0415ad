"""The tokenizer that is trained on names: nothing is unspellable, and its hash says whether two spell alike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from genlink.data.tokenizer import tokenizer_hash, train_tokenizer

NAMES = ["silver fever", "salt fever", "glass bone disease"]


@given(text=st.text(max_size=20))
def test_any_text_is_spelled_and_read_back(byte_tokenizer, text):
    ids = byte_tokenizer(text, add_special_tokens=False)["input_ids"]
    # Special tokens written out are read as such: names are normalised and hold no angle brackets.
    if "<" not in text:
        assert byte_tokenizer.decode(ids) == text


def test_special_tokens_are_those_of_bart_in_its_order(byte_tokenizer):
    assert byte_tokenizer.convert_ids_to_tokens(range(5)) == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert (byte_tokenizer.bos_token_id, byte_tokenizer.pad_token_id, byte_tokenizer.eos_token_id) == (0, 1, 2)


def test_names_are_learnt_with_the_leading_space_that_they_are_used_with():
    tokenizer = train_tokenizer(["fever"] * 5, 300)
    assert tokenizer.tokenize(" fever") == ["Ġfever"]
    assert len(tokenizer.tokenize("fever")) > 1


def test_the_words_of_the_template_are_one_token_each():
    with_words = train_tokenizer(NAMES, 300, ["START", "END"])
    assert with_words.tokenize(" START END") == ["ĠSTART", "ĠEND"]
    assert len(train_tokenizer(NAMES, 300).tokenize(" START END")) > 2


def test_the_vocabulary_is_as_large_as_asked_where_the_names_give_so_much():
    assert len(train_tokenizer(NAMES, 270)) == 270
    # 256 bytes and 5 special tokens are always there; a single name of one letter adds its leading space to it.
    assert len(train_tokenizer(["a"], 400)) == 262


def test_training_twice_gives_the_same_tokenizer():
    assert tokenizer_hash(train_tokenizer(NAMES, 290)) == tokenizer_hash(train_tokenizer(NAMES, 290))


def test_the_hash_tells_tokenizers_apart(byte_tokenizer):
    others = [train_tokenizer(NAMES, 270), train_tokenizer(NAMES, 271), train_tokenizer(NAMES[:1], 270)]
    assert len({tokenizer_hash(tokenizer) for tokenizer in (*others, byte_tokenizer)}) == 4


def test_the_hash_survives_saving_and_use(byte_tokenizer, tmp_path):
    before = tokenizer_hash(byte_tokenizer)
    byte_tokenizer(["a", "some more"], padding=True, truncation=True, max_length=4)
    byte_tokenizer("a")
    byte_tokenizer.save_pretrained(tmp_path)
    assert tokenizer_hash(byte_tokenizer) == before
    byte_tokenizer.backend_tokenizer.enable_truncation(max_length=4)
    assert tokenizer_hash(byte_tokenizer) == before
    assert tokenizer_hash(AutoTokenizer.from_pretrained(tmp_path)) == before
