"""Candidates from feedback verdicts: corrected answers against those that followed."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from plaudit.errors import InputError
from plaudit.preferences.formats import detect
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.formats.verdicts import Feedback
from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.types import Candidate, PairOptions, Tally
from tests.support.judged import JudgeSession, labelled


def talk(id: str, *said: str, **columns: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    return {"id": id, "messages": messages} | columns


def read(lines: Sequence[bytes]) -> list[Candidate]:
    found = detect(lines[0], ReadOptions())
    return [one for n, line in enumerate(lines) for one in found.read(line, n)]


def plain(raw: Any) -> Any:
    return msgspec.json.decode(raw)


def content(response: Any) -> Any:
    said = plain(response)
    return said["content"] if isinstance(said, dict) else said


CHAT = talk("r", "q1", "a1", "q2", "a2", "q3", "a3", "thanks", source="s")
REPLIES = {
    "r#1": labelled("neutral"),
    "r#2": labelled("neg_correction"),
    "r#3": labelled("pos_praise"),
}


def test_the_corrected_answer_competes_with_the_next(judge: JudgeSession) -> None:
    first, second = read(judge("feedback", [CHAT], REPLIES))
    assert [content(one.response) for one in (first, second)] == ["a2", "a3"]
    assert [(one.score, one.index) for one in (first, second)] == [(-0.8, 0), (0.8, 1)]
    assert (first.example_id, first.turn_id) == (second.example_id, second.turn_id) == ("r", 1)
    assert first.prompt == second.prompt
    assert plain(first.prompt) == [
        {"role": "user", "content": "q1"},
        {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "q2"},
    ]
    assert plain(first.metadata) == {"source": "s"}
    assert first.confidence == 0.9


def test_a_first_question_is_the_whole_prompt(judge: JudgeSession) -> None:
    chat = talk("r", "q1", "a1", "no", "a2", "ok")
    replies = {"r#1": labelled("neg_constraint_restate"), "r#2": labelled("pos_praise")}
    found = read(judge("feedback", [chat], replies))
    assert [(plain(one.prompt), plain(one.response), one.score) for one in found] == [
        ("q1", "a1", -1.0), ("q1", "a2", 0.8)
    ]  # fmt: skip


def test_without_the_beginning_the_question_stands_alone(judge: JudgeSession) -> None:
    first, second = read(judge("feedback", [CHAT], REPLIES)[1:])
    assert (plain(first.prompt), plain(second.prompt)) == ("q2", "q2")


def test_each_correction_of_several_is_a_turn(judge: JudgeSession) -> None:
    replies = {f"r#{n}": labelled("neg_correction") for n in (1, 2)} | {
        "r#3": labelled("pos_praise")
    }
    found = read(judge("feedback", [CHAT], replies))
    assert [(one.turn_id, content(one.response), one.score) for one in found] == [
        (0, "a1", -0.8), (0, "a2", -0.8), (1, "a2", -0.8), (1, "a3", 0.8)
    ]  # fmt: skip


def test_an_answer_whose_reaction_is_not_ok_has_no_score(judge: JudgeSession) -> None:
    replies = REPLIES | {"r#3": labelled("pos_praise", confidence=0.2)}
    first, second = read(judge("feedback", [CHAT], replies))
    assert (first.score, second.score) == (-0.8, None)
    tally = Tally()
    assert pair_turn([first, second], PairOptions(), tally) is None
    assert tally.dropped == {"no_score": 1, "single_candidate": 1}


@pytest.mark.parametrize(
    "reply", [labelled("neg_correction", confidence=0.3), labelled("neg_confusion"), "junk"]
)
def test_other_reactions_and_unsure_ones_make_no_turn(judge: JudgeSession, reply: str) -> None:
    assert read(judge("feedback", [CHAT], REPLIES | {"r#2": reply})) == []


def test_a_correction_at_the_end_has_nothing_to_compete_with(judge: JudgeSession) -> None:
    rows = [talk("r", "q1", "a1", "no"), talk("s", "q1", "b1", "fine", "b2", "ok")]
    replies = {id: labelled("neg_correction") for id in ("r#1", "s#2")}
    assert read(judge("feedback", rows, replies | {"s#1": labelled("pos_praise")})) == []


def test_conversations_of_one_id_are_not_mixed(judge: JudgeSession) -> None:
    rows = [talk("r", "q1", "a1", "no"), talk("r", "p1", "b1", "no!", "b2", "ok")]
    replies = {"r#1": labelled("neg_correction"), "r#2": labelled("pos_praise")}
    lines = judge("feedback", rows, replies)
    found = read([lines[0], *lines[2:], *lines[1:]])
    assert [content(one.response) for one in found] == ["b1", "b2"]
    assert [plain(one.prompt) for one in found] == ["p1", "p1"]


def test_flat_rows_have_no_next_turn(judge: JudgeSession) -> None:
    rows = [
        {"id": "r", "query": "q1", "answer": "a1", "follow_up": "no"},
        {"id": "s", "query": "no", "answer": "a2", "follow_up": "ok"},
    ]
    replies = {"r": labelled("neg_correction"), "s": labelled("pos_praise")}
    lines = judge("feedback", rows, replies)
    found = Feedback()
    assert [found.read(line, n) for n, line in enumerate(lines)] == [(), ()]
    said = found.nothing_found()
    assert "neg_correction (ok), pos_praise (ok)" in said
    assert "messages" in said


def test_tables_give_what_json_lines_give(judge: JudgeSession) -> None:
    lines = judge("feedback", [CHAT], REPLIES)
    assert read(judge("feedback", [CHAT], REPLIES, out="v.parquet")) == read(lines) != []


def test_a_column_names_the_example(judge: JudgeSession) -> None:
    found = read(judge("feedback", [CHAT | {"example_id": 5}], REPLIES))
    assert [one.example_id for one in found] == [5, 5]


def test_a_row_that_cannot_be_read_breaks_its_conversation_off(judge: JudgeSession) -> None:
    one, two, three = judge("feedback", [CHAT], REPLIES)
    found = Feedback()
    found.read(one, 0)
    found.read(two, 1)
    with pytest.raises(InputError, match="not a verdict"):
        found.read(b"{", 2)
    assert found.read(three, 3) == ()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"input": {"query": "q"}}, "answer"),
        ({"input": None}, "--no-input"),
        ({"judge": "pointwise/0"}, "among those of the feedback judge"),
    ],
)
def test_a_malformed_verdict_is_an_error(wrong: dict[str, Any], message: str) -> None:
    held = {"id": "r#1", "status": "ok", "judge": "feedback/0", "reward": 0.0}
    line = json.dumps(held | {"input": {"query": "q", "answer": "a", "follow_up": "f"}} | wrong)
    with pytest.raises(InputError, match=message):
        Feedback().read(line.encode(), 0)


def test_values_seen_do_not_grow_without_end() -> None:
    found = Feedback()
    for n in range(200):
        row = {"id": "x", "status": "ok", "judge": "feedback/0", "value": f"{n}" * 50}
        said = {"query": "q", "answer": "a", "follow_up": "f"}
        found.read(json.dumps(row | {"input": said}).encode(), n)
    assert len(found.nothing_found()) < 2_000
