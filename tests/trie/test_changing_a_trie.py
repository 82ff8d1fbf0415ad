"""Parts of a trie and changed tries equal those built afresh, array for array."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.trie import NameTrie, name_trie

END = 2
Names = dict[int, tuple[int, ...]]
# Few tokens and short names, so that they share prefixes and are prefixes of each other; one needs four bytes.
spellings = st.lists(st.sampled_from([0, 1, 3, 4, 5, 0x10000]), min_size=1, max_size=5).map(tuple)
ids = st.integers(0, 60)


def names_with(keys: st.SearchStrategy[int], max_size: int = 30) -> st.SearchStrategy[Names]:
    """Names under ids in any order, with gaps."""
    pairs = st.tuples(keys, spellings)
    return st.lists(pairs, max_size=max_size, unique_by=(lambda p: p[0], lambda p: p[1])).map(dict)


def flat(names: Iterable[tuple[int, ...]]) -> tuple[list[int], list[int]]:
    names = list(names)
    return [t for name in names for t in name], np.cumsum([0, *map(len, names)]).tolist()


def build(names: Names) -> NameTrie:
    return NameTrie.build(*flat(names.values()), END, list(names))


def assert_equal(found: NameTrie, expected: NameTrie) -> None:
    pairs = [(getattr(found, a), getattr(expected, a)) for a in ("token", "leaf_name", "name_leaf")]
    pairs += [(getattr(found.shape, a), getattr(expected.shape, a)) for a in ("blocks", "extra_children")]
    for a, b in pairs:
        assert a.dtype == b.dtype
        assert a.tolist() == b.tolist()
    assert found.max_depth == expected.max_depth
    assert found.end_token == expected.end_token == END


# A part of a trie


@pytest.mark.parametrize("swept", [0, 10**9], ids=["from the leaves", "in one pass"])
@given(names=names_with(ids), wanted=st.lists(st.integers(-5, 70)))
def test_a_part_equals_the_trie_built_of_the_names_that_are_there(swept: int, names: Names, wanted: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name_trie, "_NODES_SWEPT_FOR_A_NAME", swept)
        part = build(names).restricted_to(wanted)
    assert_equal(part, build({name: tokens for name, tokens in names.items() if name in wanted}))


def test_a_part_speaks_of_the_ids_of_the_whole() -> None:
    part = build({7: (5, 6), 3: (5,), 9: (4,)}).restricted_to([9, 7, 8, 7])
    assert dict(part) == {7: [5, 6], 9: [4]}
    assert part.name_of(part.leaf_of(7)) == 7
    with pytest.raises(KeyError):
        part.leaf_of(3)


def test_a_part_without_names_is_a_root_that_ends_no_name() -> None:
    empty = build({0: (5, 6)}).restricted_to([])
    assert (empty.n_names, empty.n_nodes, empty.max_depth) == (0, 1, 0)
    assert empty.children(0) == slice(1, 1)
    assert empty.is_leaf(0)
    assert empty.allowed_tokens([]).tolist() == []
    assert (empty.find([]), empty.find([5]), list(empty)) == (0, None, [])
    assert [part.tolist() for part in empty.children_of([0])] == [[], []]
    for ask in (empty.name_of, empty.leaf_of):
        with pytest.raises(KeyError):
            ask(0)


def test_a_part_of_a_part_is_a_part() -> None:
    names = {i: (i // 9 + 3, i % 9 + 3) for i in range(81)}
    part = build(names).restricted_to(range(0, 81, 2)).restricted_to(range(0, 81, 3))
    assert_equal(part, build({i: names[i] for i in range(0, 81, 6)}))


# Names added and removed


@given(names_with(ids), st.data())
def test_a_changed_trie_equals_the_one_built_of_the_resulting_names(names: Names, data: st.DataObject) -> None:
    removed = data.draw(st.lists(st.sampled_from(sorted(names)))) if names else []
    rest = {name: tokens for name, tokens in names.items() if name not in removed}
    drawn = data.draw(names_with(ids.filter(lambda name: name not in rest), max_size=10))
    added = {name: tokens for name, tokens in drawn.items() if tokens not in rest.values()}
    changed = build(names).updated(*flat(added.values()), list(added), removed=removed)
    assert_equal(changed, build(rest | added))


def test_nothing_to_change_gives_an_equal_trie() -> None:
    trie = build({4: (5, 6), 2: (5,)})
    assert_equal(trie.updated(), trie)


def test_an_id_that_is_removed_can_be_given_to_another_spelling() -> None:
    changed = build({4: (5, 6), 2: (5,)}).updated([5, 7], [0, 2], [4], removed=[4])
    assert dict(changed) == {4: [5, 7], 2: [5]}


def test_names_can_be_added_to_a_trie_without_any() -> None:
    assert_equal(build({}).updated([5, 6], [0, 2], [3]), build({3: (5, 6)}))


def test_tokens_take_four_bytes_only_while_one_needs_them() -> None:
    trie = build({0: (5,)})
    wide = trie.updated([0x10000], [0, 1], [1])
    assert (trie.token.dtype, wide.token.dtype) == (np.uint16, np.uint32)
    assert wide.updated(removed=[1]).token.dtype == np.uint16


def test_only_names_of_the_trie_can_be_removed() -> None:
    with pytest.raises(KeyError, match="not in the trie: 3, 8"):
        build({4: (5,)}).updated(removed=[8, 4, 3])


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({4: (7,)}, "in the trie already: 4"),
        ({8: (5,)}, "the same tokens: 4 and 8"),
        ({8: (7,), 9: (7,)}, "the same tokens: 8 and 9"),
        ({8: (7, END)}, "the end token 2 occurs inside the names 8"),
    ],
)
def test_added_names_must_differ_from_those_that_stay_and_from_each_other(added: Names, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build({4: (5,), 2: (6, 6)}).updated(*flat(added.values()), list(added), removed=[2])


def test_the_trie_that_is_changed_stays_as_it_was() -> None:
    names = {4: (5, 6), 2: (5,)}
    trie = build(names)
    trie.updated([7], [0, 1], [9], removed=[2])
    assert_equal(trie, build(names))
