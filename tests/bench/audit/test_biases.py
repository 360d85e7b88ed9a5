"""Each change leaves the content, and its control differs in nothing but what is tested."""

import pytest

from plaudit.bench.audit.biases import BIASES, Bias, sentences
from plaudit.bench.audit.items import shipped_base
from plaudit.bench.audit.scenes import level, padded, scene_of

ITEMS = shipped_base("pairwise").items


@pytest.mark.parametrize("bias", BIASES, ids=lambda bias: bias.name)
def test_a_change_keeps_the_words_of_the_answer_and_the_other_one(bias: Bias) -> None:
    for number, item in enumerate(ITEMS):
        scene = scene_of(item, "right")
        made = bias.contrast(scene, number)
        assert made is not None
        for arm in made:
            plain = arm.answer.replace("**", "").replace("\n- ", "\n").split()
            words = iter(plain)
            assert all(word in words for word in scene.answer.split()), (bias.name, arm.answer)
        assert made[0].other == made[1].other
        assert made[0] != made[1]


@pytest.mark.parametrize(
    "bias", [one for one in BIASES if not one.name.startswith("length")], ids=lambda b: b.name
)
def test_a_change_is_as_long_as_its_control(bias: Bias) -> None:
    for number, item in enumerate(ITEMS):
        made = bias.contrast(scene_of(item, "wrong"), number)
        assert made is not None
        treated, control = made
        assert len(treated.answer) == len(control.answer)
        assert len(treated.question) == len(control.question)
        words = [len(f"{arm.question} {arm.answer}".split()) for arm in made]
        assert abs(words[0] - words[1]) <= 6


def test_length_is_padded_and_cut_by_more_than_answers_differ() -> None:
    gap = max(abs(len(item.right or "") - len(item.wrong or "")) for item in ITEMS)
    text = "An answer."
    assert len(padded(text)) - len(text) > 2 * gap
    for length in (1, 2, 3, 50, 1000):
        assert len(padded(text, length)) == len(text) + length


def test_levelled_texts_have_one_length() -> None:
    assert level("a\n\nb", "a\n\nbcd") == ("a\n\n  b", "a\n\nbcd")
    assert level("abc", "a b") == ("abc", "a b")  # as long already: neither takes the other's place
    assert level("ab", "abcd") == ("ab  ", "abcd")
    assert sentences("One. Two! Three") == ["One.", "Two!", "Three"]
