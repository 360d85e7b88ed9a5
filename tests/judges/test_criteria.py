"""Criteria: files that are read or refused, scores on any scale, and what they add up to."""

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import CallError, Cause, TemplateError, UsageError
from plaudit.judges import readout
from plaudit.judges.criteria import (
    Criterion,
    overall_scale,
    scale_options,
    take_criteria,
    weighted_score,
)
from plaudit.judges.load import make_config
from tests.judges.making import (
    GOOD,
    MODES,
    Ask,
    decide,
    facts,
    is_no_number,
    make,
    over,
    sample_of,
    say,
    show,
    text_of,
)

TRUE = Criterion(name="truth", description="Is it so?", weight=3)
KIND = Criterion(name="kindness", description="Is it friendly?", scale=(0, 4))
DEEP = Criterion(name="depth", scale=(0, 100))
ALL = (TRUE, KIND, DEEP)
SCORES = {"truth": 10, "kindness": 1, "depth": 50}
TEXTS = {"intent": "i", "checklist": "c", "strengths": "s", "weaknesses": "w"}


def stated(scores: Mapping[str, Any]):
    return say(TEXTS | {"scores": scores})


def json_task(*criteria: Criterion, **config: Any):
    return make("pointwise", readout="json", criteria=criteria or ALL, **config)


def token_task(*criteria: Criterion, **config: Any):
    return make("pointwise", readout="logprob", criteria=criteria or ALL, **config)


async def test_several_criteria_are_scored_in_one_reply_and_weighted() -> None:
    ask = Ask(stated(SCORES))
    verdict = await json_task().decide(sample_of("pointwise"), ask)
    assert len(ask.requests) == 1
    assert verdict.fields["criteria"] == SCORES
    expected = (3 * 10 + (1 + 9 / 4) + 5.5) / 5
    assert verdict.fields["expected_score"] == pytest.approx(expected)
    assert (verdict.value, verdict.status) == (8, "ok")
    assert verdict.reward == pytest.approx((expected - 1) / 9)
    assert verdict.fields["weaknesses"] == "w"
    assert (verdict.confidence, verdict.probabilities) == (None, None)


@pytest.mark.parametrize("mode", MODES)
def test_the_prompt_shows_each_criterion_with_its_scale(mode: str) -> None:
    for task in (json_task(mode=mode), token_task(TRUE, KIND, mode=mode)):
        shown = [text_of(request) for request in task.requests(sample_of("pointwise"))]
        assert all("Name a prime." in text and "Seven." in text for text in shown)
    whole = text_of(json_task(mode=mode).render(sample_of("pointwise")))
    for part in ("truth", "Is it so?", "kindness", "Is it friendly?", "depth", "0 to 100"):
        assert part in whole


def test_the_schema_asks_for_a_score_each() -> None:
    (request,) = json_task().requests(sample_of("pointwise"))
    schema = json.loads(bytes(request.schema.body))
    assert set(schema["required"]) == {*TEXTS, "scores"}
    scores = schema["properties"]["scores"]
    assert scores["properties"]["kindness"] == {"type": "integer", "minimum": 0, "maximum": 4}
    assert scores["required"] == ["truth", "kindness", "depth"]


@pytest.mark.parametrize(
    ("scores", "cause"),
    [
        ({"truth": 10, "kindness": 1}, Cause.UNPARSEABLE),
        ({**SCORES, "kindness": 5}, Cause.OUT_OF_RANGE),
        ({**SCORES, "kindness": -1}, Cause.OUT_OF_RANGE),
        ({**SCORES, "kindness": 1.5}, Cause.OUT_OF_RANGE),
        ({**SCORES, "kindness": "1"}, Cause.UNPARSEABLE),
        ({**SCORES, "kindness": True}, Cause.UNPARSEABLE),
        ([10, 1, 50], Cause.UNPARSEABLE),
        (8, Cause.UNPARSEABLE),
    ],
)
async def test_a_reply_without_a_usable_score_for_each_is_no_number(scores, cause) -> None:
    verdict = await decide(json_task(), stated(scores))
    assert is_no_number(verdict)
    assert (verdict.status, verdict.error.cause) == ("invalid", cause)


async def test_one_criterion_scores_on_its_own_scale() -> None:
    verdict = await decide(json_task(DEEP), stated({"depth": 37}))
    assert (verdict.value, verdict.fields["expected_score"]) == (37, 37)
    assert verdict.reward == pytest.approx(0.37)
    below = Criterion(name="tone", scale=(-2, 2))
    verdict = await decide(json_task(below), stated({"tone": -1}))
    assert (verdict.value, verdict.reward) == (-1, 0.25)


async def test_in_the_logprob_readout_each_criterion_is_a_request_of_its_own() -> None:
    task = token_task(TRUE, KIND)
    requests = task.requests(sample_of("pointwise"))
    assert [r.turn for r in requests] == ["criterion truth", "criterion kindness"]
    first, second = (text_of(request) for request in requests)
    assert "Is it so?" in first and "Is it friendly?" not in first
    assert "Is it friendly?" in second and "Is it so?" not in second
    assert requests[1].options == ("zero", "one", "two", "three", "four")
    replies = [show({" ten": 0.9, " eight": 0.1}), show({" one": 0.6, " three": 0.4})]
    ask = Ask(*replies)
    verdict = await task.decide(sample_of("pointwise"), ask)
    assert len(ask.requests) == 2
    scores = verdict.fields["criteria"]
    assert scores == {"truth": pytest.approx(9.8), "kindness": pytest.approx(1.8)}
    expected = (3 * 9.8 + 1 + 9 * 1.8 / 4) / 4
    assert verdict.fields["expected_score"] == pytest.approx(expected)
    assert verdict.value == round(expected)
    assert verdict.confidence == pytest.approx((3 * 0.9 + 0.6) / 4)
    assert verdict.fields["distributions"]["kindness"]["1"] == pytest.approx(0.6)
    assert verdict.probabilities is None
    assert verdict.raw == [" ten", " one"]
    assert "one" not in verdict.fields["censored"]["truth"]


async def test_a_criterion_that_cannot_be_read_spoils_the_whole() -> None:
    task = token_task(TRUE, KIND)
    good, lost = show({" one": 0.9}), CallError(Cause.TIMEOUT, "no reply")
    verdict = await decide(task, good, show({" banana": 0.9}))
    assert is_no_number(verdict)
    assert (verdict.status, verdict.error.cause) == ("invalid", Cause.LOW_OPTION_MASS)
    verdict = await decide(task, good, lost)
    assert (verdict.status, verdict.reward) == ("failed", None)


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ((1, 10), "one two three four five six seven eight nine ten"),
        ((0, 1), "zero one"),
        ((0, 10), "zero one two three four five six seven eight nine ten"),
        ((3, 5), "three four five"),
        ((-2, 2), "one two three four five"),
        ((-5, 5), "zero one two three four five six seven eight nine ten"),
        ((0, 100), "zero one two three four five six seven eight nine ten"),
    ],
)
def test_option_words_for_any_scale(scale, words: str) -> None:
    options = scale_options(*scale)
    assert [option.word for option in options] == words.split()
    assert (options[0].label, options[-1].label) == tuple(map(str, scale))


@given(st.integers(-1000, 1000), st.integers(1, 5000))
def test_option_words_can_always_be_told_apart_and_cover_the_scale(low: int, size: int) -> None:
    options = scale_options(low, low + size)
    readout.check_words([option.word for option in options])
    scores = [int(option.label) for option in options]
    assert scores == sorted(set(scores))
    assert (scores[0], scores[-1]) == (low, low + size)
    assert len(options) == min(size + 1, 11)
    steps = [b - a for a, b in itertools.pairwise(scores)]
    assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize("scale", [(0, 100), (-3, 3), (1, 5), (0, 10), (1, 20)])
async def test_the_expected_value_on_any_scale(scale: tuple[int, int]) -> None:
    task = token_task(Criterion(name="c", scale=scale))
    labels = [int(label) for label in task.labels]
    weights = {
        str(label): (i + 1) / sum(range(1, len(labels) + 1)) for i, label in enumerate(labels)
    }
    verdict = await decide(task, over(task, weights))
    expected = sum(int(label) * p for label, p in weights.items())
    assert verdict.fields["expected_score"] == pytest.approx(expected)
    assert verdict.fields["criteria"] == {"c": pytest.approx(expected)}
    assert verdict.value == scale[1]
    assert verdict.reward == pytest.approx((expected - scale[0]) / (scale[1] - scale[0]))


@pytest.mark.parametrize("criteria", [(), (DEEP,), (Criterion(name="c", scale=(0, 10)),)])
async def test_ten_is_never_read_from_the_digit_one(criteria) -> None:
    """`10` is two tokens for many models, and the first of them is `1`."""
    task = make("pointwise", readout="logprob", criteria=criteria)
    for token in ("1", " 1", "10", " 10"):
        verdict = await decide(task, show({token: 0.97, " the": 0.01}, text=token))
        assert is_no_number(verdict)
        assert verdict.error.cause == Cause.LOW_OPTION_MASS


def test_the_mean_is_weighted_on_the_scale_that_all_share() -> None:
    a, b = Criterion(name="a", scale=(0, 4), weight=1), Criterion(name="b", scale=(0, 4), weight=3)
    assert overall_scale([a, b]) == (0, 4)
    assert weighted_score([a, b], {"a": 0, "b": 4}) == pytest.approx(3)
    assert overall_scale(ALL) == (1, 10)
    worst, best = ({c.name: c.scale[i] for c in ALL} for i in (0, 1))
    assert weighted_score(ALL, worst) == pytest.approx(1)
    assert weighted_score(ALL, best) == pytest.approx(10)


async def test_votes_on_criteria_give_mean_scores() -> None:
    task = json_task(TRUE, KIND, votes=4, all_votes=True)
    low, high = {"truth": 4, "kindness": 0}, {"truth": 8, "kindness": 4}
    verdict = await decide(task, stated(low), *[stated(high)] * 3)
    assert verdict.fields["criteria"] == {"truth": 7.0, "kindness": 3.0}
    assert verdict.value == 9  # (3 * 8 + 10) / 4 = 8.5, and a half is rounded up
    assert verdict.fields["votes"] == 4


# Files

ENTRY = {"name": "truth", "description": "Is it so?", "scale": [1, 5], "weight": 2}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", json.dumps([ENTRY, {"name": "tone"}])),
        ("c.jsonl", json.dumps(ENTRY) + "\n\n" + json.dumps({"name": "tone"}) + "\n"),
        (
            "c.toml",
            '[[criteria]]\nname = "truth"\ndescription = "Is it so?"\nscale = [1, 5]\nweight = 2\n'
            '[[criteria]]\nname = "tone"\n',
        ),
    ],
)
def test_criteria_files(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    truth, tone = take_criteria(str(path))
    assert truth == Criterion(name="truth", description="Is it so?", scale=(1, 5), weight=2)
    assert tone == Criterion(name="tone", description="", scale=(1, 10), weight=1)
    assert take_criteria([ENTRY, tone]) == take_criteria(path) == (truth, tone)
    config = make_config("pointwise", {"criteria": str(path)})
    assert config.criteria == (truth, tone)


WRONG = [
    ('[{"name": "a", "scale": [5, 5]}]', r"entry 1 \(a\).*has one value"),
    ('[{"name": "a"}, {"name": "b", "scale": [5, 1]}]', r"entry 2 \(b\).*lower value"),
    ('[{"name": "a", "scale": [1, 2.5]}]', r"entry 1 \(a\).*int"),
    ('[{"name": "a", "scale": [1]}]', r"entry 1 \(a\).*length 2"),
    ('[{"name": "a", "weight": 0}]', "positive finite"),
    ('[{"name": "a", "weight": -1}]', "positive finite"),
    ('[{"name": "a", "weight": "1"}]', "float"),
    ('[{"name": "a", "weight": NaN}]', "malformed"),
    ('[{"name": "A"}, {"name": "a"}]', r"entry 2 \(a\): another criterion has this name"),
    ('[{"description": "a"}]', "name"),
    ('[{"name": ""}]', "1 to 60 letters"),
    ('[{"name": "a\\"]]"}]', "1 to 60 letters"),
    ('[{"name": "a", "wieght": 2}]', "wieght"),
    ("[]", "no criteria"),
    ("", "no criteria"),
    ("[1]", "entry 1"),
    ("{not json", "malformed"),
]


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_wrong_files_are_refused_with_file_and_entry(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        take_criteria(str(path))
    assert str(path) in str(caught.value)


def test_more_that_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[[criteria]]\nname = "a"\nweight = nan\n')
    with pytest.raises(UsageError, match="positive finite"):
        take_criteria(tmp_path / "c.toml")
    (tmp_path / "d.toml").write_text('name = "a"\n')
    with pytest.raises(UsageError, match="list of criteria"):
        take_criteria(tmp_path / "d.toml")
    (tmp_path / "latin").write_bytes(b'[{"name": "\xe9"}]')
    for path in (tmp_path / "latin", tmp_path / "missing", tmp_path):
        with pytest.raises(UsageError, match=str(path)):
            take_criteria(path)
    with pytest.raises(UsageError, match="positive finite"):
        take_criteria([{"name": "a", "weight": math.inf}])
    with pytest.raises(UsageError, match="file or a list"):
        take_criteria(5)
    assert take_criteria(None) == take_criteria([]) == ()


@pytest.mark.parametrize("kind", ["feedback", "verify"])
def test_other_judges_take_no_criteria(kind: str) -> None:
    with pytest.raises(UsageError, match="takes no criteria"):
        make(kind, readout="json", criteria=(TRUE,))


# Pairs


def chosen(truth: str, kindness: str):
    return say(GOOD["pairwise"] | {"choices": {"truth": truth, "kindness": kindness}})


def pair_task(**config: Any):
    return make("pairwise", readout="json", criteria=(TRUE, KIND), **config)


async def test_pairs_are_compared_by_each_criterion_and_weighted() -> None:
    verdict = await decide(pair_task(swap=False), chosen("A+", "B++"))
    assert verdict.fields["p_a"] == pytest.approx((3 * 0.75 + 0.05) / 4)
    assert (verdict.status, verdict.value, verdict.fields["choice"]) == ("ok", "A", "A+")
    assert verdict.fields["criteria"] == {"truth": 0.75, "kindness": 0.05}
    assert verdict.fields["reason of A>B"] == "4"


async def test_swapping_the_responses_mirrors_the_criteria() -> None:
    first, second = chosen("A++", "B+"), chosen("A=B", "A+")
    there = await decide(pair_task(), first, second)
    back = await decide(pair_task(), second, first)
    assert there.fields["criteria"] == {"truth": pytest.approx(0.725), "kindness": 0.25}
    for name, p_a in there.fields["criteria"].items():
        assert p_a + back.fields["criteria"][name] == pytest.approx(1, abs=1e-12)
    assert there.fields["p_a"] + back.fields["p_a"] == pytest.approx(1, abs=1e-12)
    assert (there.value, back.value) == ("A", "B")
    conflict = await decide(pair_task(), chosen("A+", "A+"), chosen("A+", "A+"))
    assert conflict.error.cause == Cause.ORDER_CONFLICT
    voted = await decide(pair_task(votes=3, all_votes=True, swap=False), first)
    assert voted.fields["criteria"] == {"truth": pytest.approx(0.95), "kindness": 0.25}
    assert voted.fields["votes"] == 3


@pytest.mark.parametrize(
    "reply",
    [
        say(GOOD["pairwise"]),
        say(GOOD["pairwise"] | {"choices": {"truth": "A+"}}),
        say(GOOD["pairwise"] | {"choices": "A+"}),
        chosen("A+", "A"),
    ],
)
async def test_a_pair_without_a_choice_for_each_criterion_is_no_number(reply) -> None:
    verdict = await decide(pair_task(), reply)
    assert is_no_number(verdict)


@pytest.mark.parametrize("mode", MODES)
def test_the_prompt_and_the_schema_of_pairs_name_the_criteria(mode: str) -> None:
    task = pair_task(mode=mode)
    requests = task.requests(sample_of("pairwise"))
    assert [request.turn for request in requests] == ["main", "swapped"]
    for request in requests:
        text = text_of(request)
        assert all(part in text for part in ("Is it so?", "Is it friendly?", "Seven.", "Nine."))
        assert '"choice":' not in text
        properties = json.loads(bytes(request.schema.body))["properties"]
        assert properties["choices"]["required"] == ["truth", "kindness"]
        assert "choice" not in properties
    assert task.takes_shot({"feedback": {"choices": {"truth": "A+", "kindness": "B+"}}})
    assert not task.takes_shot({"feedback": {"choice": "A+"}})
    assert task.label_of({"choices": {"truth": "A+", "kindness": "B+"}}) == "A"


def test_pairs_by_criteria_need_the_json_readout() -> None:
    with pytest.raises(UsageError, match=r"readout=.json"):
        make("pairwise", readout="logprob", criteria=(TRUE,))


# Prompts

OWN = (
    "{% block instructions %}Grade: {% for c in criteria %}{{ c.name }}; {% endfor %}{% endblock %}"
)
BODY = "{% block sample %}{{ conversation }}{{ response }}{{ reference }}{% endblock %}"


def test_a_template_of_ones_own_must_show_the_criteria(tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(OWN + BODY)
    shown = text_of(json_task(TRUE, KIND, template=str(path)).render(sample_of("pointwise")))
    assert "Grade: truth; kindness;" in shown
    without = text_of(
        make("pointwise", readout="json", template=str(path)).render(sample_of("pointwise"))
    )
    assert "Grade:" in without and "truth" not in without
    path.write_text(BODY)
    with pytest.raises(TemplateError, match="'criteria' is never used"):
        json_task(template=str(path))


def test_what_a_criterion_says_is_text_and_neither_template_nor_section() -> None:
    said = "{{ response }} {% if x %} [[response to grade]] <|im_end|>"
    task = make(
        "pointwise",
        facts(special_tokens=("<|im_end|>",)),
        readout="json",
        mode="chat",
        criteria=(Criterion(name="odd", description=said),),
    )
    instructions = task.render(sample_of("pointwise")).prompt[0].content
    assert "{{ response }} {% if x %}" in instructions
    assert "[[response to grade]]" not in instructions
    assert "<|im_end|>" not in instructions


def test_the_fingerprint_knows_the_criteria() -> None:
    tasks = [
        json_task(TRUE),
        json_task(TRUE, KIND),
        json_task(KIND, TRUE),
        json_task(Criterion(name="truth", description="Is it so?", weight=2)),
        json_task(Criterion(name="truth", description="Is it so?", weight=3, scale=(1, 9))),
        make("pointwise", readout="json"),
    ]
    assert len({task.fingerprint for task in tasks}) == len(tasks)


def test_shots_that_do_not_show_the_criteria_are_left_out() -> None:
    for mode in MODES:
        shown = text_of(json_task(mode=mode).render(sample_of("pointwise")))
        assert '"score":' not in shown
    task = json_task(TRUE)
    assert task.takes_shot({"feedback": {"scores": {"truth": 3}}})
    assert not task.takes_shot({"feedback": {"score": 3}})
    assert not task.takes_shot({"feedback": {"scores": {"other": 3}}})
    assert task.label_of({"scores": {"truth": 3}}) == "3"


# References


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("readout_name", ["json", "logprob"])
@pytest.mark.parametrize("kind", ["pointwise", "pairwise"])
def test_a_reference_is_shown_where_a_row_has_one(kind: str, readout_name: str, mode: str) -> None:
    rows = {
        "pointwise": {"prompt": "Name a prime.", "response": "Seven."},
        "pairwise": {"prompt": "Name a prime.", "response_a": "Seven.", "response_b": "Nine."},
    }
    task = make(kind, readout=readout_name, mode=mode)
    with_one = sample_of(kind, rows[kind] | {"reference": "Thirteen is one."})
    shown = [text_of(request) for request in task.requests(with_one)]
    assert all("Thirteen is one." in text for text in shown)
    assert len(shown) == (2 if kind == "pairwise" else 1)
    without = text_of(task.render(sample_of(kind, rows[kind])))
    heading = "[[reference response]]" if mode == "chat" else "[[reference]]"
    assert heading in shown[0].split("Name a prime.")[-1]
    assert heading not in without.split("Name a prime.")[-1]
    assert task.row_of(with_one)["reference"] == "Thirteen is one."
    if kind == "pointwise":
        task = make(kind, readout=readout_name, mode=mode, criteria=(TRUE, KIND))
        assert all("Thirteen" in text_of(r) for r in task.requests(with_one))
