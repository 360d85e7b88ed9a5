"""The shipped items and probes are whole, varied, and fair to judges of length."""

from collections import Counter

import pytest

from plaudit.bench.audit.biases import LANGUAGES
from plaudit.bench.audit.items import probes, question_of, shipped_base, with_question


def test_sixty_items_of_which_half_have_the_longer_answer_right() -> None:
    items = shipped_base("pairwise").items
    assert len(items) == len({item.cluster for item in items}) == 60
    assert sum(len(item.right or "") > len(item.wrong or "") for item in items) == 30
    topics = Counter(item.id.partition("-")[0] for item in items)
    assert topics == {"fact": 24, "arithmetic": 14, "code": 10, "instruction": 6, "advice": 6}
    assert all(item.references and item.praise and item.complaint for item in items)


def test_probes_have_all_languages_and_the_same_answer_longer_in_each() -> None:
    for probe in probes():
        assert probe.versions.keys() == {"en", "paraphrase", *LANGUAGES}
        longer = {len(one.right or "") > len(one.wrong or "") for one in probe.versions.values()}
        assert len(longer) == 1, probe.id
    assert len(probes()) >= 10


@pytest.mark.parametrize("prompt", ["q", [{"role": "user", "content": "q"}]])
def test_the_question_of_a_prompt_can_be_replaced(prompt: object) -> None:
    assert question_of(with_question(prompt, "other")) == "other"
    assert question_of(prompt) == "q"


def test_a_prompt_without_a_question_stays() -> None:
    prompt = [{"role": "system", "content": "s"}]
    assert question_of(prompt) == ""
    assert with_question(prompt, "q") == prompt
