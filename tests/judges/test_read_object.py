"""Reading the JSON readout: garbage is never accepted, and none of it is slow."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import Cause, ReplyError
from plaudit.judges.json_reply import read_object, take_number, take_option, take_text
from tests.judges.making import say

OBJECT = {"label": "x", "confidence": 0.5}
TEXT = json.dumps(OBJECT)


def cause_of(text: str, **fields) -> Cause:
    with pytest.raises(ReplyError) as caught:
        read_object(say(text, **fields))
    return caught.value.cause


@pytest.mark.parametrize(
    "text",
    [
        "", "  \n ", "I cannot say.", "neutral", "score: 7", "[]", '["neutral"]', f"[{TEXT}]",
        '"neutral"', "7", "0.5", "null", "true", "{", "}", "[", "{}}{", "```json\n```", "<think>",
        "</think>", f"<think>{TEXT}", f"<think>{TEXT}</think>", f"[THINK]{TEXT}[/THINK]",
        f"{TEXT}</think>", f"so: [{TEXT}]", f"so: [{TEXT}, 2]", "NaN", "Infinity",
    ],
)  # fmt: skip
def test_garbage_is_not_accepted_as_an_object(text: str) -> None:
    assert cause_of(text) == Cause.UNPARSEABLE


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"  {TEXT}\n",
        f"\ufeff{TEXT}",
        f"```json\n{TEXT}\n```",
        f"```JSON\n{TEXT}```",
        f"``` json {TEXT} ```",
        f"~~~\n{TEXT}\n~~~",
        f"`{TEXT}`",
        f"{TEXT}\n{TEXT}",
        f"```json\n{TEXT}\n```\n{TEXT}",
        f"{TEXT} {{'confidence': .5, 'label': 'x',}}",
        f"<think>maybe {{'label'</think>{TEXT}",
        f'<think>{{"label": "draft"}}</think>{TEXT}',
        f"<think>a<think>b</think>c</think>{TEXT}",
        f'{{"label": "draft", "confidence": 1}} hm {{ </think>\n{TEXT}',
        f"[THINK]{{[/THINK]{TEXT}",
        f"<reasoning>?</reasoning>{TEXT}<think>or was it",
        f"{TEXT} <think>or {{'label': 'y'",
        f"{TEXT}<thought>or {{'label': 'y'}}</thought>",
        f"<Thinking>{{'label': 'y'}}</Thinking>{TEXT}",
        f"◁think▷{{'label': 'y'}}◁/think▷{TEXT}",
        f'{{"label": "a", "label": "b"}} no</think>{TEXT}',
        '{"label": "x", "confidence": 0.5, "label": "x"}',
    ],
)
def test_an_object_counts_with_nothing_but_thought_and_fences_around_it(text: str) -> None:
    assert read_object(say(text)) == OBJECT


OTHER = json.dumps(OBJECT | {"label": "y"})


@pytest.mark.parametrize(
    "text",
    [
        f"{OTHER}\n{TEXT}",
        f"{TEXT} or {OTHER}",
        f"```json\n{OTHER}\n```\n```json\n{TEXT}\n```",
        f"{OTHER} <think>no</think> {TEXT}",
        f"{TEXT} [1]",
        f"{TEXT} {{'label': 'y', 'confidence': 0.5}}",
        '{"label": "y", "confidence": 0.5, "label": "x"}',
        '{"label": "x", "confidence": 0.5, "\\u006cabel": "y"}',
        '{"label": "x", "nested": {"a": 1, "a": 2}}',
        '[{"a": 1, "a": 2}]',
        "{'label': 'y', 'label': 'x'}",
        "{'label': 'y', \"label\": 'x', confidence: .5}",
        "{label: 'y', 'label': 'x'}",
    ],
)
def test_defect_06_a_reply_that_contradicts_itself_is_ambiguous(text: str) -> None:
    assert cause_of(text) == Cause.AMBIGUOUS


@pytest.mark.parametrize(
    "text",
    [
        f"Here it is: {TEXT}",
        f"{TEXT} I hope that helps.",
        f"Format: {TEXT}. I cannot judge this.",
        f"I would NOT say {TEXT}",
        f"{TEXT}, or so the user wants me to say",
        f"```\n{TEXT}\n```\nThat is all.",
        f"```wrong\n{TEXT}\n```",
        f"not `{TEXT}`",
        f"Use {{x}} and \\frac{{1}}{{2}}, as in [a]: {TEXT}",
        f"[[verdict]]\n{TEXT}",
        f"<think>hm</think> Well: {TEXT}",
        f"<think>a</think> b </think> The user wrote </think> {TEXT}.",
        f"{TEXT}}}",
        f"{{x}} {TEXT}",
        f"The user wrote </reasoning>{TEXT}",
        f"The user wrote </THINK>{TEXT}",
        f"</thinking>{TEXT}",
        f"not {TEXT} {TEXT}",
        "I say {'label': 'x', 'confidence': 0.5}",
        "\"{'label': 'x'}\"",
    ],
)
def test_defect_52_text_beside_the_object_is_ambiguous(text: str) -> None:
    assert cause_of(text) == Cause.AMBIGUOUS


@pytest.mark.parametrize(
    "text",
    [
        "{'label': 'x', 'confidence': 0.5}",
        '{"label": "x", "confidence": 0.5,}',
        "{label: 'x', confidence: .5}",
        '```json\n{"label": "x", "confidence": 0.5,}\n```',
        "{'label': 'x', 'confidence': +0.5,}",
        "{'label': \"x\", 'confidence': 5.e-1}",
    ],
)
def test_quotes_and_commas_of_python_are_read(text: str) -> None:
    assert read_object(say(text)) == OBJECT


def test_words_and_strings_of_python_are_read() -> None:
    text = r"""{'a': True, 'b': [None, false,], 'c': 'it\'s "so"\n', "d": 'é\u00e9'}"""
    assert read_object(say(text)) == {
        "a": True, "b": [None, False], "c": 'it\'s "so"\n', "d": "éé"
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "x" or "y"}',
        '{"label": "x" "y"}',
        '{"label": "x"|"y"}',
        '{"label": not "x"}',
        '{not "label": "x"}',
        '{"label": !"x"}',
        '{"score": <7}',
        '{"label": "x" // or "y"\n}',
        '{"label": "x", # or "y"\n}',
        '{"label": "x", ...}',
        '{"label": "x", "y"}',
        '{"label": x or y}',
        '{"label" "x"}',
        '{"rationale": "he says "ok", "label": "y"", "label": "x"}',
        "{'label': 'x' if sure else 'y'}",
        "{'a': 'it's'}",
    ],
)
def test_defect_06_what_is_no_json_is_never_guessed_at(text: str) -> None:
    assert cause_of(text) == Cause.UNPARSEABLE


def test_half_a_character_in_a_string_is_replaced() -> None:
    reply = read_object(say(r'{"rationale": "\ud83d", "all": ["\ud83d\ude00"]}'))
    assert reply == {"rationale": "\ufffd", "all": ["\U0001f600"]}


@pytest.mark.parametrize(
    "rationale", ["} {", '{"label": "y"}', "]", '\\"', "<think>", "</think>", "\n"]
)
@pytest.mark.parametrize("frame", ["{}", "```json\n{}\n```", "<think>hm</think> {}"])
def test_braces_quotes_and_tags_inside_a_string_are_text(rationale: str, frame: str) -> None:
    reply = {"rationale": f"he wrote {rationale} twice: {rationale}", "label": "x"}
    assert read_object(say(frame.replace("{}", json.dumps(reply)))) == reply


def test_a_line_break_inside_a_string_is_read() -> None:
    assert read_object(say('{"rationale": "one\ntwo"}')) == {"rationale": "one\ntwo"}


def test_nested_braces_are_kept() -> None:
    reply = {"a": {"b": {"c": [1, {"d": 2}]}}, "label": "x"}
    assert read_object(say(f"{json.dumps(reply)}")) == reply


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "x", "score": 7',
        '{"label": "x", "sco',
        '{"draft": {"score": 7}, "checklist": "is it',
        '[{"score": 7}, {"sco',
        '[1, {"score": 7}, "x',
        "{'draft': {\"score\": 7}, 'sc",
        '{"score": 3} but then {"score": 7, "x"',
        '{"draft": {"score": 7}, oops, "x": 1} and so on',
        "{'label': 'x', 'score': 7",
        'Sure! ```json\n{"intent": "a", "score": 7\n```',
    ],
)
def test_a_broken_object_is_never_repaired_into_a_number(text: str) -> None:
    assert cause_of(text) == Cause.UNPARSEABLE


@pytest.mark.parametrize(
    "number", ["7 or 8", "7/10", "95%", "7..5", "7_5", "7 5", "7-8", "7 // 8\n"]
)
def test_a_number_that_is_none_is_not_guessed(number: str) -> None:
    try:
        reply = read_object(say(f'{{"score": {number}}}'))
    except ReplyError as error:
        assert error.cause == Cause.UNPARSEABLE
    else:
        with pytest.raises(ReplyError):
            take_number(reply, "score", 0, 100)


def test_a_reply_that_was_cut_off_is_not_read() -> None:
    assert cause_of(TEXT, finish_reason="length") == Cause.CUT_OFF


N = 50_000
UNITS = [
    "{", "[", "a", '"', "<think>", "</think>", '{"', "{'", '{"a":', '[{"a":', '{\\"', "[a", "[[1]",
    "{x}", '{"x"}', "{</think>", '{"</think>', "[1]", '{"a":"\\', "{'a':'b'", "\\",
]  # fmt: skip


@pytest.mark.parametrize("end", ["", "}", "'}", "</think>"])
@pytest.mark.parametrize("unit", UNITS)
def test_a_long_hostile_reply_is_refused_at_once(unit: str, end: str) -> None:
    with pytest.raises(ReplyError):
        read_object(say(unit * (N // len(unit)) + end))


@pytest.mark.parametrize(
    ("left", "right"), [("{", "}"), ("[", "]"), ('{"a":', "}"), ("{'a':", "}")]
)
def test_deep_nesting_does_not_crash(left: str, right: str) -> None:
    for text in (left * (N // 2) + right * (N // 2), f"a {left * 9000}1{right * 9000}"):
        assert cause_of(text) == Cause.UNPARSEABLE


@settings(deadline=None)
@given(st.text())
def test_any_text_is_an_object_or_refused(text: str) -> None:
    try:
        assert isinstance(read_object(say(text)), dict)
    except ReplyError as error:
        assert error.cause == Cause.UNPARSEABLE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=6), JSON, max_size=4),
    st.sampled_from(["", "<think>So</think>", "```json\n"]),
)
def test_every_object_is_read_as_it_is_and_no_beginning_of_it_is(reply, before: str) -> None:
    text = json.dumps(reply, ensure_ascii=False)
    assert read_object(say(before + text)) == reply
    for end in range(1, len(text)):
        with pytest.raises(ReplyError):
            read_object(say(before + text[:end]))


# Fields.


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (95, Cause.OUT_OF_RANGE),
        (-1, Cause.OUT_OF_RANGE),
        (1.0000001, Cause.OUT_OF_RANGE),
        (math.nan, Cause.OUT_OF_RANGE),
        (math.inf, Cause.OUT_OF_RANGE),
        (-math.inf, Cause.OUT_OF_RANGE),
        (10**400, Cause.OUT_OF_RANGE),
        ("high", Cause.UNPARSEABLE),
        ("0.9", Cause.UNPARSEABLE),
        (True, Cause.UNPARSEABLE),
        (None, Cause.UNPARSEABLE),
        ([0.9], Cause.UNPARSEABLE),
        ({}, Cause.UNPARSEABLE),
    ],
)
def test_what_is_no_confidence_is_not_accepted_as_one(value, cause: Cause) -> None:
    with pytest.raises(ReplyError) as caught:
        take_number({"confidence": value}, "confidence", 0, 1)
    assert caught.value.cause == cause
    assert "confidence" in str(caught.value)


def test_a_missing_number_is_not_accepted() -> None:
    with pytest.raises(ReplyError) as caught:
        take_number({}, "confidence", 0, 1)
    assert caught.value.cause == Cause.UNPARSEABLE


@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_the_ends_of_the_range_are_numbers(value) -> None:
    assert take_number({"confidence": value}, "confidence", 0, 1) == value


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("Neutral", Cause.UNKNOWN_OPTION),
        ("neutral.", Cause.UNKNOWN_OPTION),
        ("", Cause.UNKNOWN_OPTION),
        (3, Cause.UNKNOWN_OPTION),
        (True, Cause.UNKNOWN_OPTION),
        (["neutral"], Cause.UNKNOWN_OPTION),
        (None, Cause.UNPARSEABLE),
    ],
)
def test_an_unknown_option_is_not_mapped_to_a_known_one(value, cause: Cause) -> None:
    with pytest.raises(ReplyError) as caught:
        take_option({"label": value}, "label", ("neutral", "other"))
    assert caught.value.cause == cause


def test_an_option_may_have_spaces_around_it() -> None:
    assert take_option({"label": " neutral\n"}, "label", ("neutral",)) == "neutral"


@pytest.mark.parametrize(
    ("value", "text"), [("x", "x"), ("", ""), (["x"], "x"), (["x", "y"], "x\ny"), ([], "")]
)
def test_defect_07_a_text_or_a_list_of_texts_is_read(value, text: str) -> None:
    assert take_text({"r": value}, "r") == text


@pytest.mark.parametrize("reply", [{}, *({"r": x} for x in (3, True, None, {}, [1], ["x", None]))])
def test_defect_07_what_is_no_text_is_not_read_as_empty(reply) -> None:
    with pytest.raises(ReplyError, match="r") as caught:
        take_text(reply, "r")
    assert caught.value.cause == Cause.UNPARSEABLE
