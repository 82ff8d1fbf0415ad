"""The trie holds exactly the names it was built from, and says which token may come next."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genlink.errors import FormatError
from genlink.trie import NameTrie, packed

END = 2
# Few tokens and short sequences, so that names share prefixes and are prefixes of each other.
sequences = st.lists(st.sampled_from([0, 1, 3, 4, 5]), min_size=1, max_size=5).map(tuple)
name_lists = st.lists(sequences, max_size=40, unique=True)


def build(names: list[tuple[int, ...]], end: int = END, ids: list[int] | None = None) -> NameTrie:
    return NameTrie.build([t for name in names for t in name], np.cumsum([0, *map(len, names)]), end, ids)


@given(name_lists)
def test_the_trie_holds_exactly_the_names_it_was_built_from(names: list[tuple[int, ...]]) -> None:
    trie = build(names)
    assert {name: tuple(tokens) for name, tokens in trie} == dict(enumerate(names))
    assert trie.n_names == len(names)
    assert trie.max_depth == max((len(name) + 1 for name in names), default=0)


@given(name_lists)
def test_every_node_is_what_a_dictionary_of_dictionaries_holds_there(names: list[tuple[int, ...]]) -> None:
    nested: dict[int, dict] = {}
    for name in names:
        below = nested
        for token in (*name, END):
            below = below.setdefault(token, {})
    trie = build(names)
    level = [(0, nested)]
    seen = 0
    for node, below in level:
        seen += 1
        children = trie.children(node)
        assert trie.token[children].tolist() == sorted(below)
        assert trie.is_leaf(node) == (not below)
        level += zip(range(children.start, children.stop), (below[token] for token in sorted(below)), strict=True)
    assert seen == trie.n_nodes
    assert [node for node, _ in level] == list(range(seen))


@given(name_lists, st.lists(st.sampled_from([0, 1, END, 3, 4, 5, 6]), max_size=6).map(tuple))
def test_allowed_tokens_are_exactly_the_next_tokens_of_names_with_that_prefix(
    names: list[tuple[int, ...]], prefix: tuple[int, ...]
) -> None:
    closed = [(*name, END) for name in names]
    following = {name[len(prefix)] for name in closed if len(name) > len(prefix) and name[: len(prefix)] == prefix}
    assert build(names).allowed_tokens(prefix).tolist() == sorted(following)


@given(name_lists)
def test_a_node_is_a_leaf_exactly_when_a_name_ends_there(names: list[tuple[int, ...]]) -> None:
    trie = build(names)
    leaves = {trie.leaf_of(i) for i in range(len(names))}
    assert leaves == {node for node in range(1, trie.n_nodes) if trie.is_leaf(node)}
    for i, name in enumerate(names):
        leaf = trie.find((*name, END))
        assert leaf == trie.leaf_of(i)
        assert trie.name_of(leaf) == i
        assert trie.path(leaf) == [*name, END]


@given(name_lists)
def test_every_node_but_the_root_is_the_child_of_the_node_its_path_leads_through(names: list[tuple[int, ...]]) -> None:
    trie = build(names)
    for parent in range(trie.n_nodes):
        children = trie.children(parent)
        assert sorted(set(trie.token[children].tolist())) == trie.token[children].tolist()
        for child in range(children.start, children.stop):
            assert trie.path(child) == [*trie.path(parent), trie.token[child]]
            assert trie.find(trie.path(child)) == child


@given(name_lists, st.data())
def test_children_of_many_nodes_are_those_of_each(names: list[tuple[int, ...]], data: st.DataObject) -> None:
    trie = build(names)
    nodes = data.draw(st.lists(st.integers(0, trie.n_nodes - 1)))
    rows, children = trie.children_of(nodes)
    families = [range(trie.n_nodes)[trie.children(node)] for node in nodes]
    assert rows.tolist() == [row for row, family in enumerate(families) for _ in family]
    assert children.tolist() == [child for family in families for child in family]
    first, counts = trie.families(nodes)
    assert counts.tolist() == [len(family) for family in families]
    assert all(family.start == start for family, start in zip(families, first.tolist(), strict=True))


@given(st.dictionaries(st.integers(0, 50), sequences), st.lists(st.integers(-3, 60)))
def test_the_leaf_of_a_name_is_found_whatever_ids_are_in_use(names: dict[int, tuple[int, ...]], asked) -> None:
    names = {name: (*tokens, 3 + name) for name, tokens in names.items()}  # no spelling twice
    trie = build(list(names.values()), ids=list(names))
    assert trie.name_leaf.tolist() == [trie.find((*names[name], END)) for name in sorted(names)]
    for name in asked:
        if name in names:
            assert trie.leaf_of(name) == trie.find((*names[name], END))
        else:
            with pytest.raises(KeyError):
                trie.leaf_of(name)


@given(name_lists)
def test_its_sequences_build_an_equal_trie(names: list[tuple[int, ...]]) -> None:
    trie = build(names)
    tokens, offsets, ids = trie.sequences()
    again = NameTrie.build(tokens, offsets, END, ids)
    assert again.token.tolist() == trie.token.tolist()
    assert again.leaf_name.tolist() == trie.leaf_name.tolist()
    assert again.shape.counts().tolist() == trie.shape.counts().tolist()


@settings(deadline=None, max_examples=30)  # waits for the disk
@given(name_lists)
def test_a_saved_trie_opens_equal(tmp_path_factory: pytest.TempPathFactory, names: list[tuple[int, ...]]) -> None:
    trie, directory = build(names), tmp_path_factory.mktemp("trie")
    trie.save(directory)
    opened = NameTrie.open(directory)
    pairs = [(getattr(trie, a), getattr(opened, a)) for a in ("token", "leaf_name", "name_leaf")]
    pairs += [(getattr(trie.shape, a), getattr(opened.shape, a)) for a in ("blocks", "extra_children")]
    for built, read in pairs:
        assert np.array_equal(built, read)
        assert built.dtype == read.dtype
    assert opened.max_depth == trie.max_depth
    assert list(opened) == list(trie)


def test_an_opened_trie_is_a_view_of_its_files(tmp_path: Path) -> None:
    build([(5,), (5, 6)]).save(tmp_path)
    trie = NameTrie.open(tmp_path)
    for array in (trie.token, trie.leaf_name, trie.name_leaf, trie.shape.blocks, trie.shape.extra_children):
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable


def test_nodes_are_numbered_breadth_first_and_a_prefix_of_a_name_is_a_name() -> None:
    trie = build([(5,), (5, 6)])
    # root -5-> 1;  1 -END-> 2, 1 -6-> 3;  3 -END-> 4
    assert trie.token.tolist()[1:] == [5, END, 6, END]
    assert [trie.children(node) for node in range(3)] == [slice(1, 2), slice(2, 4), slice(4, 4)]
    assert (trie.shape.leaves().tolist(), trie.leaf_name.tolist()) == ([2, 4], [0, 1])
    assert trie.end_token == END


def test_a_single_name() -> None:
    trie = build([(7, 8)])
    assert trie.allowed_tokens([]).tolist() == [7]
    assert trie.allowed_tokens([7, 8]).tolist() == [END]
    assert trie.allowed_tokens([7, 8, END]).tolist() == []
    assert trie.find([]) == 0
    assert trie.find([8]) is None


def test_a_trie_over_a_part_of_the_names_speaks_of_their_own_ids() -> None:
    trie = build([(5,), (5, 6), (7,)], ids=[40, 3, 12])
    assert dict(trie) == {40: [5], 3: [5, 6], 12: [7]}
    assert trie.name_of(trie.leaf_of(3)) == 3
    with pytest.raises(KeyError):
        trie.leaf_of(0)


def test_a_node_that_ends_no_name_has_no_name() -> None:
    with pytest.raises(KeyError):
        build([(5, 6)]).name_of(1)


@pytest.mark.parametrize(("largest", "dtype"), [(0xFFFF, np.uint16), (0x10000, np.uint32)])
def test_tokens_take_two_bytes_where_they_fit(largest: int, dtype: type) -> None:
    trie = build([(largest, 4), (4, largest)])
    assert trie.token.dtype == dtype
    assert dict(trie) == {0: [largest, 4], 1: [4, largest]}
    assert trie.find([largest + 1]) is None
    assert trie.find([-1]) is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([(5,), (6, 7), (5,), (6, 7)], "names with the same tokens: 0 and 2, 1 and 3"),
        ([(5,), (), (6,), ()], "no tokens for the names 1, 3"),
        ([(5,), (6, END, 7)], "the end token 2 occurs inside the names 1"),
        ([(5,), (-1,)], "token ids must lie in"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused_by_number(names: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(names)


def test_refused_names_are_called_by_the_ids_they_were_given() -> None:
    with pytest.raises(ValueError, match="the same tokens: 70 and 30"):
        build([(5,), (6,), (5,)], ids=[70, 50, 30])


@pytest.mark.parametrize(
    ("ids", "message"), [([1, 1], "distinct"), ([0, -1], "distinct"), ([0], "1 name ids for 2 sequences")]
)
def test_name_ids_are_distinct_and_one_a_sequence(ids: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build([(5,), (6,)], ids=ids)


@pytest.mark.parametrize("offsets", [[], [0], [0, 1], [1, 2], [0, 2, 1, 2]])
def test_offsets_must_cover_the_tokens(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets must ascend"):
        NameTrie.build([5, 6], offsets, END)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.uint32, np.uint64])
def test_tokens_may_be_of_any_integer_type(kind: type) -> None:
    trie = NameTrie.build(np.array([7, 8, 7], kind), [0, 2, 3], END)
    assert dict(trie) == {0: [7, 8], 1: [7]}


def test_an_end_token_that_does_not_fit_the_type_of_the_tokens() -> None:
    trie = NameTrie.build(np.array([7, 8], np.uint8), [0, 2], 0x10000)
    assert trie.allowed_tokens([7, 8]).tolist() == [0x10000]
    assert trie.token.dtype == np.uint32


@given(st.lists(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=4), max_size=4)))
def test_sequences_packed_block_by_block_are_those_of_all_blocks(blocks: list[list[list[int]]]) -> None:
    tokens, offsets = packed(iter(blocks))
    sequences = [sequence for block in blocks for sequence in block]
    assert [tokens[a:b].tolist() for a, b in pairwise(offsets)] == sequences
    assert tokens.itemsize == (4 if any(token > 0xFFFF for sequence in sequences for token in sequence) else 2)


@pytest.mark.parametrize("token", [-1, 2**32])
def test_what_is_no_token_id_cannot_be_packed(token: int) -> None:
    with pytest.raises(ValueError, match="token ids must lie in"):
        packed([[[5]], [[token]]])


@pytest.mark.parametrize("array", ["token", "leaf_name", "name_leaf"])
def test_the_arrays_are_read_only(array: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(build([(5,)]), array)[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        build([(5,)]).shape.blocks[0] = 0


def test_saving_leaves_other_files_of_the_directory_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    build([(5,)]).save(tmp_path)
    assert (tmp_path / "config.json").exists()


def test_an_incomplete_broken_or_mixed_trie_is_refused(tmp_path: Path) -> None:
    build([(5,), (6, 7)]).save(tmp_path / "a")
    build([(5,)]).save(tmp_path / "b")

    (tmp_path / "a" / "leaf_name.npy").rename(tmp_path / "leaf_name.npy")
    with pytest.raises(FormatError, match=r"leaf_name.npy: no such file.*Build the trie again"):
        NameTrie.open(tmp_path / "a")

    (tmp_path / "a" / "leaf_name.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(FormatError, match=r"leaf_name.npy: not a whole .npy file"):
        NameTrie.open(tmp_path / "a")

    (tmp_path / "leaf_name.npy").rename(tmp_path / "a" / "leaf_name.npy")
    whole = (tmp_path / "a" / "token.npy").read_bytes()
    (tmp_path / "a" / "token.npy").write_bytes(whole[:-2])
    with pytest.raises(FormatError, match=r"token.npy: not a whole .npy file"):
        NameTrie.open(tmp_path / "a")

    (tmp_path / "b" / "token.npy").replace(tmp_path / "a" / "token.npy")
    with pytest.raises(FormatError, match="do not belong together"):
        NameTrie.open(tmp_path / "a")

    np.save(tmp_path / "a" / "token.npy", np.zeros((2, 2)))
    with pytest.raises(FormatError, match="expected 1-d uint16 or uint32"):
        NameTrie.open(tmp_path / "a")


@pytest.mark.parametrize(
    ("array", "change"),
    [
        ("blocks", lambda a: a[:0]),
        ("blocks", lambda a: np.concatenate([a, a])),
        ("extra_children", lambda a: a[:-1]),
        ("extra_children", lambda a: a + 1),
        ("leaf_name", lambda a: a[:-1]),
        ("name_leaf", lambda a: a[:-1]),
        ("token", lambda a: a[:-1]),
        ("token", lambda a: a[:0]),
    ],
)
def test_arrays_of_another_size_or_sum_are_refused(tmp_path: Path, array: str, change) -> None:
    build([(5,), (6, 7), (6, 8)]).save(tmp_path)
    path = tmp_path / f"{array}.npy"
    np.save(path, change(np.load(path)))
    with pytest.raises(FormatError, match="do not belong together"):
        NameTrie.open(tmp_path)


def test_numbers_that_lead_out_of_the_arrays_are_refused(tmp_path: Path) -> None:
    build([(token, token) for token in range(3, 203)]).save(tmp_path)
    blocks = np.load(tmp_path / "blocks.npy")
    blocks["branches"][:-1] = 1_000_000
    np.save(tmp_path / "blocks.npy", blocks)
    with pytest.raises(FormatError, match="do not belong together"):
        NameTrie.open(tmp_path)


def test_a_trie_of_an_older_version_is_refused_with_advice(tmp_path: Path) -> None:
    build([(5,)]).save(tmp_path)
    (tmp_path / "blocks.npy").rename(tmp_path / "first_child.npy")
    with pytest.raises(FormatError, match=r"blocks.npy: no such file: .* an older GenLink wrote it. Build the trie ag"):
        NameTrie.open(tmp_path)
