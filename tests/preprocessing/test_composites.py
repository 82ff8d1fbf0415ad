"""Composite mentions split by their wording."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.preprocessing import split_composite


@pytest.mark.parametrize(
    ("mention", "parts"),
    [
        # one head for all
        ("breast and ovarian cancer", ["breast cancer", "ovarian cancer"]),
        ("breast or ovarian cancers", ["breast cancers", "ovarian cancers"]),
        ("breast and/or ovarian cancer", ["breast cancer", "ovarian cancer"]),
        ("brain, breast and prostate cancer", ["brain cancer", "breast cancer", "prostate cancer"]),
        ("brain, breast, and prostate cancer", ["brain cancer", "breast cancer", "prostate cancer"]),
        ("colon and some other cancers", ["colon cancers", "other cancers"]),
        ("Duchenne and Becker muscular dystrophy", ["Duchenne muscular dystrophy", "Becker muscular dystrophy"]),
        ("breast and squamous cell neoplasms", ["breast neoplasms", "squamous cell neoplasms"]),
        ("facial and central nervous system defects", ["facial defects", "central nervous system defects"]),
        ("colonic and head and neck cancer", ["colonic cancer", "head and neck cancer"]),
        # one beginning for all
        ("cleft lip and palate", ["cleft lip", "cleft palate"]),
        ("T-cell leukaemia or lymphoma", ["T-cell leukaemia", "T-cell lymphoma"]),
        # after a preposition
        ("cancer of the breast and ovaries", ["cancer of breast", "cancer of ovaries"]),
        ("deficiency of C6 and C7", ["deficiency of C6", "deficiency of C7"]),
        ("cysts in the kidney, pancreas, and lung", ["cysts in kidney", "cysts in pancreas", "cysts in lung"]),
        ("thrombosis of both the ICA and the sinus", ["thrombosis of ICA", "thrombosis of sinus"]),
        # slash
        ("Duchenne/Becker muscular dystrophy", ["Duchenne muscular dystrophy", "Becker muscular dystrophy"]),
        ("cleft lip/palate", ["cleft lip", "cleft palate"]),
        ("levodopa/carbidopa", ["levodopa", "carbidopa"]),
        # nothing shared
        ("pain and swelling", ["pain", "swelling"]),
        ("renal failure and hepatic failure", ["renal failure", "hepatic failure"]),
        ("pain, fever, and swelling", ["pain", "fever", "swelling"]),
    ],
)
def test_a_composite_is_split(mention: str, parts: list[str]) -> None:
    assert split_composite(mention) == tuple(parts)


@pytest.mark.parametrize(
    "mention",
    [
        "breast cancer",
        "head and neck cancer",
        "hand, foot and mouth disease",
        "hyper- and hypothyroidism",
        "complement deficiencies (C2 and C7)",
        "ATM-/-",
        "1/2 dose",
        "and",
        "",
        "brandy",
    ],
)
def test_one_part_where_no_pattern_applies(mention: str) -> None:
    assert split_composite(mention) == (mention,)


@given(
    st.lists(st.sampled_from(["and", "or", "and/or", ",", "of", "the", "(a", "b)", "x/y", "lip-", "cell", "cancer"]))
)
def test_there_is_always_a_part_and_none_is_blank(words: list[str]) -> None:
    mention = " ".join(words)
    parts = split_composite(mention)
    assert parts == (mention,) or (len(parts) > 1 and all(part.strip() for part in parts))
