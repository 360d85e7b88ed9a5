from types import SimpleNamespace
from typing import Any

import pytest

from plaudit.integrations.nat.collecting import Collected, collect


def step(name: str = "move", kind: str = "TTC_END", **data: Any) -> Any:
    data = {"turn_id": "t", "candidate_index": None, "score": 0.5, "input": "q"} | data
    payload = {"event_type": kind, "name": name, "metadata": None, "UUID": "u"}
    return SimpleNamespace(payload=SimpleNamespace(**payload, data=Data(**data)))


class Data(SimpleNamespace):
    def model_dump(self, mode: str) -> dict[str, Any]:
        assert mode == "json"
        return dict(vars(self))


def item(identity: Any, *steps: Any) -> Any:
    return SimpleNamespace(id=identity, trajectory=list(steps))


def found(*items: Any) -> Collected:
    return collect(items, "move")


def test_candidates_are_steps_of_the_name_that_ended() -> None:
    got = found(
        item("e", step(output="a"), step("other"), step(kind="TTC_START"), step(output="b"))
    )
    assert [[bytes(one.response) for one in turn] for turn in got.turns] == [[b'"a"', b'"b"']]
    assert got.seen == {("TTC_END", "move"): 2, ("TTC_END", "other"): 1, ("TTC_START", "move"): 1}


def test_D2_turns_are_those_of_an_item_and_nothing_is_joined_or_lost() -> None:
    got = found(
        item("a::b", step(output="1"), step(output="2", turn_id="u")),
        item("a", step(output="3", turn_id="b::t")),
        item("a", step(output="4", turn_id="b::t")),
        item(1, step(output="5")),
        item("1", step(output="6")),
    )
    assert [len(turn) for turn in got.turns] == [1] * 6
    assert [turn[0].example_id for turn in got.turns] == ["a::b", "a::b", "a", "a", 1, "1"]


@pytest.mark.parametrize("identity", [None, True, 2.5, ("a", 1)])
def test_any_id_is_told_as_text(identity: Any) -> None:
    assert found(item(identity, step(output="x"))).turns[0][0].example_id == str(identity)


def test_D2_what_is_skipped_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    got = found(
        item("e", step(turn_id=None), step(score=[1]), step(output=object()), step(output="a"))
    )
    assert (got.unread, [len(turn) for turn in got.turns]) == (3, [1])
    assert caplog.text.count("step u of example 'e' is left out") == 3


def test_D3_a_candidate_that_does_not_fit_keeps_its_place_without_a_score() -> None:
    call = {"role": "assistant", "tool_calls": [{"id": "1"}]}
    got = found(item("e", step(output=[call]), step(output="a")))
    assert [one.score for one in got.turns[0]] == [None, 0.5]
    assert got.not_text == 1
