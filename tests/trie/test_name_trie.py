"""The trie holds exactly the names it was built from, and says which token may come next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genlink.errors import FormatError
from genlink.trie import NameTrie

END = 2
# Few tokens and short sequences, so that names share prefixes and are prefixes of each other.
sequences = st.lists(st.sampled_from([0, 1, 3, 4, 5]), min_size=1, max_size=5).map(tuple)
name_lists = st.lists(sequences, min_size=1, max_size=40, unique=True)


def build(names: list[tuple[int, ...]], end: int = END, ids: list[int] | None = None) -> NameTrie:
    return NameTrie.build([t for name in names for t in name], np.cumsum([0, *map(len, names)]), end, ids)


@given(name_lists)
def test_the_trie_holds_exactly_the_names_it_was_built_from(names: list[tuple[int, ...]]) -> None:
    trie = build(names)
    assert {name: tuple(tokens) for name, tokens in trie} == dict(enumerate(names))
    assert trie.n_names == len(names)
    assert trie.max_depth == max(map(len, names)) + 1


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
    assert leaves == {node for node in range(trie.n_nodes) if trie.is_leaf(node)}
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


@settings(deadline=None, max_examples=30)  # waits for the disk
@given(name_lists)
def test_a_saved_trie_opens_equal(tmp_path_factory: pytest.TempPathFactory, names: list[tuple[int, ...]]) -> None:
    trie, directory = build(names), tmp_path_factory.mktemp("trie")
    trie.save(directory)
    opened = NameTrie.open(directory)
    for array in ("token", "first_child", "leaf_node", "leaf_name"):
        assert np.array_equal(getattr(trie, array), getattr(opened, array))
        assert getattr(trie, array).dtype == getattr(opened, array).dtype
    assert opened.max_depth == trie.max_depth
    assert list(opened) == list(trie)


def test_nodes_are_numbered_breadth_first_and_a_prefix_of_a_name_is_a_name() -> None:
    trie = build([(5,), (5, 6)])
    # root -5-> 1;  1 -END-> 2, 1 -6-> 3;  3 -END-> 4
    assert trie.token.tolist()[1:] == [5, END, 6, END]
    assert trie.first_child.tolist() == [1, 2, 4, 4, 5, 5]
    assert (trie.leaf_node.tolist(), trie.leaf_name.tolist()) == ([2, 4], [0, 1])
    assert trie.children(1) == slice(2, 4)


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
        ([], "at least one name"),
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


@pytest.mark.parametrize("offsets", [[0, 1], [1, 2], [0, 2, 1, 2]])
def test_offsets_must_cover_the_tokens(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets must ascend"):
        NameTrie.build([5, 6], offsets, END)


def test_the_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        build([(5,)]).token[0] = 1


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


def test_offsets_that_lead_out_of_the_arrays_are_refused(tmp_path: Path) -> None:
    trie = build([(5,), (6, 7)])
    trie.save(tmp_path)
    broken = trie.first_child.copy()
    broken[1:-1] = 1_000_000
    np.save(tmp_path / "first_child.npy", broken)
    with pytest.raises(FormatError, match="do not belong together"):
        NameTrie.open(tmp_path)
