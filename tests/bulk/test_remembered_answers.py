"""What reads alike is asked once, and what is told again leads to the same questions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genlink.bulk.answers import Answers, decode, encode, memory_of, question_of
from genlink.schema import Candidate, Mention, Prediction
from genlink.text import Normalisation

numbers = st.floats(allow_nan=False, allow_infinity=False)
candidates = st.builds(
    Candidate, st.text(), st.text(), st.text(), numbers, st.integers(1, 9), st.booleans(), st.none() | numbers
)
flags = st.none() | st.booleans()


@given(st.lists(candidates).map(tuple), flags, flags)
def test_an_answer_is_read_back_as_it_was_on_one_line(found: tuple[Candidate, ...], exact: bool, is_nil: bool) -> None:
    prediction = Prediction(Mention.in_context("a ", "b"), found, exact, is_nil)
    line = encode(prediction)
    assert decode(line, prediction.mention) == prediction
    assert len(f"{line}\n".splitlines()) == 1


def question(left: str, text: str, right: str, characters: int) -> bytes:
    return question_of(Mention.in_context(left, text, right), characters, Normalisation())


def test_mentions_that_differ_in_what_the_linker_cannot_read_are_one_question() -> None:
    assert question("A mild ", "Asthma", " today", 0) == question("", "asthma", "", 0)
    assert question("A mild ", "asthma", ".", 5) == question("Very mild ", "ASTHMA", "!", 5)
    assert question("A mild ", "asthma", ".", 7) != question("Very mild ", "asthma", ".", 7)
    assert question("fever", " rash", "", 9) != question("", "fever rash", "", 9)


def test_no_text_makes_two_questions_one() -> None:
    def exact(left: str, text: str) -> bytes:
        return question_of(Mention.in_context(left, text), 9, Normalisation(punctuation=False))

    assert exact("", "a\0b") != exact("b\0", "a") != exact("b", "a")


@given(st.lists(st.lists(st.integers(0, 6)), max_size=8), st.integers(1, 4), st.integers(0, 8))
def test_each_question_is_asked_once_while_it_is_remembered_and_so_after_a_replay(
    parts: list[list[int]], capacity: int, stopped: int
) -> None:
    asked: list[list[int]] = []

    def answered(answers: Answers, part: list[int]) -> list[str]:
        def ask(new: list[int]) -> list[str]:
            asked.append([part[i] for i in new])
            return [str(part[i]) for i in new]

        return answers.of([bytes([n]) for n in part], ask)

    whole = Answers(capacity * memory_of("0"))
    assert [answered(whole, part) for part in parts] == [list(map(str, part)) for part in parts]
    assert all(len(set(batch)) == len(batch) for batch in asked)
    undisturbed, asked = asked, []
    again = Answers(capacity * memory_of("0"))
    for part in parts[:stopped]:
        again.of([bytes([n]) for n in part], lambda new, part=part: [str(part[i]) for i in new])
    for part in parts[stopped:]:
        answered(again, part)
    assert asked == undisturbed[len(undisturbed) - len(asked) :]


def test_no_more_answers_are_kept_than_there_is_room_for() -> None:
    asked: list[int] = []
    answers = Answers(2 * memory_of("0"))
    for n in (1, 2, 1, 3, 1, 2):  # 3 takes the place of 2, which was used before 1

        def ask(new: list[int], n: int = n) -> list[str]:
            asked.append(n)
            return [str(n)]

        answers.of([bytes([n])], ask)
    assert asked == [1, 2, 3, 2]


def test_a_long_answer_takes_the_room_of_many() -> None:
    answers = Answers(4 * memory_of("0"))
    for n in range(4):
        answers.of([bytes([n])], lambda _: ["0"])
    answers.of([b"long"], lambda _: ["0" * 3 * memory_of("0")])  # more room than three
    asked: list[int] = []
    for n in (b"long", b"\3"):
        answers.of([n], lambda new: asked.extend(new) or ["0"])
    assert asked == [0]  # all before it are forgotten, and it is not
