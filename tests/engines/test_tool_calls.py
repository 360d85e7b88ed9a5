from plaudit.engines.base import Request, Sampling
from plaudit.engines.replies import made_calls
from plaudit.types import Message


def ask(*messages, turn="0"):
    return Request(prompt=messages or "text", sampling=Sampling(), turn=turn)


def ids(request, *given):
    return [call.id for call in made_calls(request, [(id_, "f", "{}") for id_ in given])]


def test_ids_of_the_engine_are_kept_and_missing_ones_made():
    assert ids(ask(turn="3"), "a", None, "b", "") == ["a", "call-3-1", "b", "call-3-3"]


def test_an_id_is_unique_in_its_reply_and_in_its_conversation():
    """Some servers number the calls of each reply anew, or give all of them one id."""
    before = Message("assistant", tool_calls=[{"id": "a"}, {"id": "call-1-1"}, {}])
    assert ids(ask(before, turn="1"), "a", "a", "c", "c") == [
        "call-1-0",
        "call-1-1-again",
        "c",
        "call-1-3",
    ]


def test_arguments_are_text_as_written_or_the_object_as_text():
    reported = [(None, "f", '{"a": 1'), (None, "f", {"q": ["é", 1.5, None]}), (None, "f", None)]
    assert [call.arguments for call in made_calls(ask(), reported)] == [
        '{"a": 1',
        '{"q":["é",1.5,null]}',
        "{}",
    ]
