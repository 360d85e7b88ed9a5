"""Rows of Python programs: NumPy's values are plain ones, half a character rejects one row."""

import datetime
import json
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from plaudit import CallableEngine, FeedbackSample, InputError, Judge
from plaudit.judges.plain import plain_row, plain_sample

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
