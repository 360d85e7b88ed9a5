"""Input rows: every accepted form, and an error that names the field for every other."""

import datetime
import json
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from plaudit import CallableEngine, FeedbackSample, InputError, Judge
from plaudit.judges.load import task_type
from plaudit.judges.rows import plain_row, plain_sample
from tests.judges.making import KINDS, ROWS, sample_of


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def read(kind: str, row: Any, index: int = 0) -> list[Any]:
    return task_type(kind).read_row(row, index)


def texts(sample) -> tuple[str, str, str]:
    return sample.query, sample.answer, sample.follow_up


# Feedback.


@pytest.mark.parametrize(
    "row",
    [
        {"query": "q", "answer": "a", "follow_up": "f"},
        {"query_t": "q", "answer_t": "a", "query_t1": "f"},
        {"query": "q", "answer_t": "a", "query_t1": "f"},
        {"messages": [user("q"), assistant("a"), user("f")]},
        {"messages": [{"role": "system", "content": "s"}, user("q"), assistant("a"), user("f")]},
        {"messages": [user([{"type": "text", "text": "q"}]), assistant("a"), user("f")]},
    ],
)
def test_feedback_rows(row) -> None:
    (sample,) = read("feedback", row)
    assert texts(sample) == ("q", "a", "f")


def test_every_triple_of_a_conversation_is_taken_and_numbered_from_one() -> None:
    talk = [user("q1"), assistant("a1"), user("q2"), assistant("a2"), user("q3"), assistant("a3")]
    samples = read("feedback", {"id": "r", "messages": talk, "label": "x", "n": 1}, 5)
    assert [texts(s) for s in samples] == [("q1", "a1", "q2"), ("q2", "a2", "q3")]
    assert [s.id for s in samples] == ["r#1", "r#2"]
    assert [s.index for s in samples] == [5, 6]
    assert [s.metadata for s in samples] == [{"label": "x", "n": 1}] * 2


def test_consecutive_messages_of_one_role_are_joined() -> None:
    talk = [user("q"), user("and"), assistant("a"), assistant("b"), user("f"), user("g")]
    (sample,) = read("feedback", {"messages": talk})
    assert texts(sample) == ("q\n\nand", "a\n\nb", "f\n\ng")


def test_tools_stay_out_of_the_triples() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    talk = [
        user("q"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "result", "tool_call_id": "1"},
        assistant("a"),
        user("f"),
    ]
    (sample,) = read("feedback", {"messages": talk})
    assert texts(sample) == ("q", "a", "f")


@pytest.mark.parametrize(
    "talk",
    [
        [user("q")],
        [user("q"), assistant("a")],
        [assistant("a"), user("f")],
        [user("q"), user("f")],
        [{"role": "system", "content": "s"}],
        [user("q"), assistant(""), user("f")],
    ],
)
def test_a_conversation_without_a_triple_is_refused(talk) -> None:
    with pytest.raises(InputError, match="messages"):
        read("feedback", {"messages": talk})


# The others.


@pytest.mark.parametrize(
    "row",
    [
        {"conversation": [user("p"), assistant("r")]},
        {"messages": [user("p"), assistant("r")]},
        {"prompt": "p", "response": "r"},
        {"prompt": [user("p")], "response": "r"},
    ],
)
def test_pointwise_rows(row) -> None:
    (sample,) = read("pointwise", row)
    assert [m.content for m in sample.prompt] == ["p"]
    assert (sample.response, sample.reference) == ("r", None)
    assert sample.id == sample_of("pointwise", {"prompt": "p", "response": "r"}).id
    (sample,) = read("pointwise", row | {"reference": "ref"})
    assert sample.reference == "ref"


@pytest.mark.parametrize(
    "row",
    [
        {
            "conversation_A": [user("p"), assistant("a")],
            "conversation_B": [user("p"), assistant("b")],
        },
        {"prompt": "p", "response_a": "a", "response_b": "b"},
        {"prompt": [user("p")], "response_a": "a", "response_b": "b"},
    ],
)
def test_pairwise_rows(row) -> None:
    (sample,) = read("pairwise", row)
    assert [m.content for m in sample.conversation_a] == ["p", "a"]
    assert [m.content for m in sample.conversation_b] == ["p", "b"]
    swapped = sample.swap()
    assert (swapped.conversation_a, swapped.conversation_b) == (
        sample.conversation_b, sample.conversation_a
    )  # fmt: skip
    assert swapped.swap() == sample


@pytest.mark.parametrize(("given", "references"), [("x", ("x",)), (["x", "y"], ("x", "y"))])
def test_verify_rows(given, references) -> None:
    (sample,) = read("verify", {"question": "q", "answer": "a", "reference": given})
    assert (sample.question, sample.answer, sample.references) == ("q", "a", references)


TEXT_FIELDS = [(kind, field) for kind in KINDS for field in ROWS[kind]]


@pytest.mark.parametrize("value", [None, 3, True, {}, 1.5])
@pytest.mark.parametrize(("kind", "field"), TEXT_FIELDS)
def test_a_field_of_the_wrong_type_is_named(kind: str, field: str, value) -> None:
    with pytest.raises(InputError, match=field):
        read(kind, ROWS[kind] | {field: value})


@pytest.mark.parametrize(("kind", "field"), TEXT_FIELDS)
def test_a_missing_field_is_named(kind: str, field: str) -> None:
    with pytest.raises(InputError, match=field):
        read(kind, {name: value for name, value in ROWS[kind].items() if name != field})


@pytest.mark.parametrize(
    ("kind", "field"),
    [pair for pair in TEXT_FIELDS if pair not in (("pointwise", "prompt"), ("pairwise", "prompt"))],
)
@pytest.mark.parametrize("value", [[], [3], [None], [[]]])
def test_a_list_is_no_text(kind: str, field: str, value) -> None:
    with pytest.raises(InputError, match=field):
        read(kind, ROWS[kind] | {field: value})


GOOD_TALK = [user("p"), assistant("r")]
DIALOGUES = [
    ("feedback", "messages", {}),
    ("pointwise", "conversation", {}),
    ("pointwise", "messages", {}),
    ("pointwise", "prompt", {"response": "r"}),
    ("pairwise", "conversation_A", {"conversation_B": GOOD_TALK}),
    ("pairwise", "conversation_B", {"conversation_A": GOOD_TALK}),
    ("pairwise", "prompt", {"response_a": "a", "response_b": "b"}),
]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        3,
        None,
        ["hello"],
        [None],
        [{}],
        [{"content": "x"}],
        [{"role": None, "content": "x"}],
        [{"role": 3, "content": "x"}],
        [{"role": "user", "content": 3}],
        [{"role": "user", "content": [3]}],
        [{"role": "user", "content": {"text": "x"}}],
        [{"role": "assistant", "content": "x", "tool_calls": "f()"}],
        [{"role": "", "content": "x"}],
        [{"role": "user]]\n[[response", "content": "x"}],
        [{"role": "user\n", "content": "x"}],
        [{"role": "a b", "content": "x"}],
        [{"role": "u" * 40, "content": "x"}],
        [{"role": "<|im_start|>", "content": "x"}],
    ],
)
@pytest.mark.parametrize(("kind", "field", "others"), DIALOGUES)
def test_messages_that_are_none_are_refused_by_name(kind, field, others, value) -> None:
    with pytest.raises(InputError, match=field):
        read(kind, {field: value, **others})


@pytest.mark.parametrize(("kind", "field", "others"), [d for d in DIALOGUES if "conv" in d[1]])
@pytest.mark.parametrize(
    "talk", [[user("p"), assistant("r"), user("f")], [user("p")], [assistant("r")]]
)
def test_a_conversation_that_holds_no_response_is_refused(kind, field, others, talk) -> None:
    with pytest.raises(InputError, match=field):
        read(kind, {field: talk, **others})


@pytest.mark.parametrize("kind", ["pointwise", "pairwise"])
@pytest.mark.parametrize("value", [3, ["x"], {}, True])
def test_a_reference_that_is_no_text_is_refused(kind: str, value) -> None:
    with pytest.raises(InputError, match="reference"):
        read(kind, ROWS[kind] | {"reference": value})


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_row_is_refused(kind: str) -> None:
    with pytest.raises(InputError):
        read(kind, {})


# Identity and metadata.


@pytest.mark.parametrize("kind", KINDS)
def test_a_rows_own_id_is_kept(kind: str) -> None:
    assert sample_of(kind, ROWS[kind] | {"id": "mine"}).id == "mine"
    assert sample_of(kind, ROWS[kind] | {"id": 7}).id == "7"
    assert sample_of(kind, ROWS[kind] | {"id": None}).id == sample_of(kind).id


@pytest.mark.parametrize("kind", KINDS)
def test_the_id_of_a_row_without_one_is_its_content(kind: str) -> None:
    row = ROWS[kind]
    other_order = dict(reversed(row.items()))
    assert (
        sample_of(kind, other_order).id
        == sample_of(kind, row | {"label": 1}).id
        == sample_of(kind).id
    )
    for field in row:
        changed = row | {field: "something else"}
        assert sample_of(kind, changed).id != sample_of(kind).id


def test_the_id_of_a_conversation_does_not_depend_on_key_order() -> None:
    talk = [user("q"), assistant("a"), user("f")]
    reordered = [dict(reversed(message.items())) for message in talk]
    ids = [read("feedback", {"messages": t})[0].id for t in (talk, reordered)]
    assert ids[0] == ids[1]
    assert ids[0].endswith("#1")


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_columns_and_the_label_are_kept(kind: str) -> None:
    extra = {"label": "neutral", "source": {"a": [1]}, "n": None}
    assert sample_of(kind, ROWS[kind] | extra | {"id": "x"}).metadata == extra


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_becomes_a_row_that_reads_as_the_same_sample(kind: str) -> None:
    talk = [user("p"), assistant("r1"), user([{"type": "text", "text": "x"}]), assistant("r2")]
    rows = {
        "feedback": ROWS["feedback"],
        "pointwise": {"messages": talk, "reference": "ref"},
        "pairwise": {"conversation_A": talk, "conversation_B": talk[:2], "reference": "ref"},
        "verify": {"question": "q", "answer": "a", "reference": ["x", "y"]},
    }
    sample = sample_of(kind, rows[kind])
    again = sample_of(kind, task_type(kind).row_of(None, sample))
    assert again == sample


# What says nothing.

BLANKS = ["", "  ", "\n\t", "\u200b", "\u2060 \ufeff"]
SAID = {
    "feedback": ("query", "answer", "follow_up"),
    "pointwise": ("prompt", "response"),
    "pairwise": ("prompt",),
    "verify": ("reference",),
}


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize(("kind", "field"), [(kind, name) for kind in SAID for name in SAID[kind]])
def test_defect_11_a_row_without_anything_to_judge_is_refused(kind, field, blank) -> None:
    with pytest.raises(InputError, match="is empty"):
        read(kind, ROWS[kind] | {field: blank})


@pytest.mark.parametrize("blank", [*BLANKS, None, []])
def test_defect_11_a_conversation_that_ends_with_nothing_is_refused(blank) -> None:
    talk = [user("p"), assistant(blank)]
    with pytest.raises(InputError, match="response is empty"):
        read("pointwise", {"messages": talk})
    with pytest.raises(InputError, match="each response is empty"):
        read("pairwise", {"conversation_A": talk, "conversation_B": talk})
    with pytest.raises(InputError, match="no user message"):
        read("feedback", {"messages": [*GOOD_TALK, user(blank)]})


@pytest.mark.parametrize("follow_up", ["?", "...", "👍", "  x "])
def test_a_short_reaction_is_one(follow_up: str) -> None:
    (sample,) = read("feedback", ROWS["feedback"] | {"follow_up": follow_up})
    assert sample.follow_up == follow_up


def test_a_pair_of_something_and_nothing_is_judged() -> None:
    (sample,) = read("pairwise", ROWS["pairwise"] | {"response_a": ""})
    assert [m.content for m in sample.conversation_a] == ["Name a prime.", ""]


def test_an_empty_answer_is_judged_by_rule() -> None:
    (sample,) = read("verify", ROWS["verify"] | {"answer": "", "reference": ["", "x"]})
    assert (sample.answer, sample.references) == ("", ("", "x"))


def test_an_answer_that_only_calls_a_tool_is_a_response() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    talk = [user("p"), {"role": "assistant", "content": None, "tool_calls": [call]}]
    (sample,) = read("pointwise", {"messages": talk})
    assert sample.response.startswith("[tool call]")


# Rows and samples of Python programs.


ROW = {"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."}
REPLY = json.dumps({"rationale": "r", "label": "neg_correction", "confidence": 0.9})
HALF = "\ud83d"


def judge() -> Judge:
    engine = CallableEngine(lambda prompts: [REPLY] * len(prompts), name="model")
    return Judge("feedback", engine=engine, cache=False)


def sample(**fields: Any) -> FeedbackSample:
    return FeedbackSample(**{"id": "s", "index": 0} | ROW | fields)


BROKEN = {
    "'follow_up'": ROW | {"follow_up": f"No {HALF}"},
    "'id'": ROW | {"id": HALF},
    "'source'": ROW | {"source": {"a": [HALF]}},
    "a name": ROW | {HALF: 1},
    "'messages'": {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [{"type": "text", "text": HALF}]},
            {"role": "user", "content": "f"},
        ]
    },
    "follow_up": sample(follow_up=HALF),
    "metadata": sample(metadata={"a": HALF}),
}


@pytest.mark.parametrize("field", BROKEN)
async def test_defect_02_half_a_character_rejects_its_row_by_name(field: str) -> None:
    rows = [ROW, BROKEN[field], ROW | {"follow_up": "Thanks!"}]
    rejected: list[tuple[int, str]] = []

    def note(number: int, error: InputError) -> None:
        rejected.append((number, str(error)))

    own = judge()
    assert [v.status for v in await own.ajudge_batch(rows, on_reject=note)] == ["ok", "ok"]
    streamed = [v.status async for v in own.astream(iter(rows), on_reject=note)]
    assert streamed == ["ok", "ok"]
    assert [number for number, _ in rejected] == [1, 1]
    for _, message in rejected:
        assert message.startswith(f"row 1: {field}")
        assert "surrogate" in message and message.isascii()
    with pytest.raises(InputError, match=f"row 1: {field}"):
        await own.ajudge_batch(rows)
    await own.aclose()


def test_defect_02_half_a_character_leaves_the_rest_of_a_map_batch() -> None:
    batch = {name: [text, text] for name, text in ROW.items()}
    batch["follow_up"] = ["No.", HALF]
    found = judge().map_batch(batch)
    assert found["plaudit_status"] == ["ok", "rejected"]
    assert "'follow_up'" in found["plaudit_message"][1]


def test_defect_02_strings_and_numbers_of_numpy_are_strings_and_numbers() -> None:
    row = {name: np.str_(text) for name, text in ROW.items()}
    row |= {"id": np.int64(7), "label": np.str_("neutral"), "n": np.float32(0.5), "b": np.bool_(1)}
    row |= {"deep": {"x": [np.float64(1.5)]}, "array": np.array([1, 2])}
    verdict = judge().judge(row)
    assert (verdict.status, verdict.id) == ("ok", "7")
    plain = {"label": "neutral", "n": 0.5, "b": True, "deep": {"x": [1.5]}, "array": [1, 2]}
    assert verdict.metadata == plain
    assert json.loads(json.dumps(verdict.metadata)) == plain
    assert type(verdict.metadata["label"]) is str


def test_the_id_of_a_row_does_not_depend_on_the_type_of_its_texts() -> None:
    strange = {name: np.str_(text) for name, text in ROW.items()}
    ids = {verdict.id for verdict in judge().judge_batch([ROW, strange])}
    assert len(ids) == 1


def test_messages_in_an_array_are_a_list() -> None:
    talk = np.array(
        [{"role": role, "content": np.str_("x")} for role in ("user", "assistant", "user")]
    )
    assert judge().judge({"messages": talk}).status == "ok"


class Word(StrEnum):
    A = "a"


def test_what_is_no_text_stays_as_it_is() -> None:
    day, thing = datetime.date(2026, 1, 2), object()
    row = plain_row({"day": day, "thing": thing, "word": Word.A, "pair": (1, Word.A)})
    assert row == {"day": day, "thing": thing, "word": "a", "pair": (1, "a")}
    assert type(row["word"]) is str


def test_a_plain_row_is_not_copied() -> None:
    assert plain_row(ROW) is ROW
    whole = sample()
    assert plain_sample(whole) is whole


def test_a_row_that_is_nested_too_deeply_is_rejected() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match="nested"):
        plain_row({"x": deep})


@pytest.mark.parametrize("field", ROW)
def test_defect_11_a_sample_without_anything_to_judge_is_rejected(field: str) -> None:
    with pytest.raises(InputError, match=f"'{field}' is empty"):
        judge().judge(sample(**{field: " "}))
