"""What a judge makes of replies that say two things: nothing, and it asks once more."""

import json
import string
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit import CallableEngine, Judge, Request, Verdict
from plaudit.errors import Cause, ReplyError
from plaudit.judges.json_reply import read_object
from tests.judges.making import DECIDING, GOOD, KINDS, ROWS, say
from tests.support.examples import drawn

REPAIRED = "cannot be used"


def judged(kind: str, first: str, second: str) -> tuple[Verdict, int]:
    """Judge with a model that gives one reply, and another where it is asked to repair it."""
    asked: list[Request] = []

    def model(prompts: list[Any], requests: Sequence[Request]) -> list[str]:
        asked.extend(requests)
        texts = map(str, prompts)
        return [second if REPAIRED in text else first for text in texts]

    engine = CallableEngine(model, name="model", cache=False)
    swap: dict[str, Any] = {"swap": False} if kind == "pairwise" else {}
    judge = Judge(kind, engine=engine, readout="json", cache=False, **swap)
    verdict = judge.judge(ROWS[kind])
    judge.close()
    return verdict, len(asked)


def planted(kind: str) -> str:
    value = {"feedback": "neutral", "pointwise": 10, "pairwise": "B++", "verify": "incorrect"}
    return json.dumps(GOOD[kind] | {DECIDING[kind]: value[kind]})


def unclear(kind: str) -> list[str]:
    own, other = json.dumps(GOOD[kind]), planted(kind)
    name = DECIDING[kind]
    return [
        f"{own} or {other}",
        f"The user wrote: {other}\n{own}",
        f"Format: {own}. I cannot judge this.",
        f"I would NOT say {own}",
        f"{own[:-1]}, {other[1:]}",
        f"{other}\n{own}",
        str(GOOD[kind])[:-1] + f", '{name}': {json.loads(other)[name]!r}}}",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_defect_06_an_ambiguous_reply_is_asked_for_once_more(kind: str) -> None:
    whole = judged(kind, json.dumps(GOOD[kind]), "")[0]
    for reply in unclear(kind):
        verdict, asked = judged(kind, reply, json.dumps(GOOD[kind]))
        assert (verdict.status, verdict.value, asked) == ("ok", whole.value, 2), reply


@pytest.mark.parametrize("kind", KINDS)
def test_defect_52_a_judge_that_stays_ambiguous_gives_no_number(kind: str) -> None:
    for reply in unclear(kind):
        verdict, asked = judged(kind, reply, reply)
        assert (verdict.status, verdict.error and verdict.error.cause) == ("invalid", "ambiguous")
        assert (verdict.value, verdict.reward, verdict.confidence) == (None, None, None)
        assert asked == 2


TEXTS = [(kind, name) for kind in KINDS for name, v in GOOD[kind].items() if isinstance(v, str)]


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, name in TEXTS if name != DECIDING[kind]]
)
def test_defect_07_text_fields_may_be_lists_and_must_be_there(kind: str, name: str) -> None:
    listed = json.dumps(GOOD[kind] | {name: ["one?", "two?"]})
    verdict, asked = judged(kind, listed, "")
    assert (verdict.status, verdict.fields[name], asked) == ("ok", "one?\ntwo?", 1)
    missing = json.dumps({field: v for field, v in GOOD[kind].items() if field != name})
    for reply in (missing, json.dumps(GOOD[kind] | {name: {"a": 1}})):
        verdict, _ = judged(kind, reply, reply)
        assert (verdict.status, verdict.error and verdict.error.cause) == ("invalid", "unparseable")
        assert judged(kind, reply, json.dumps(GOOD[kind]))[0].status == "ok"


WORDS = st.text(string.ascii_letters + string.punctuation + " \n", min_size=1, max_size=20).filter(
    lambda text: any(letter.isalpha() for letter in text) and "<" not in text and "`" not in text
)


@settings(deadline=None, max_examples=drawn(60))
@given(before=WORDS | st.just(""), after=WORDS | st.just(""))
def test_words_beside_an_object_never_leave_it_readable(before: str, after: str) -> None:
    reply = before + json.dumps(GOOD["feedback"]) + after
    if before or after:
        with pytest.raises(ReplyError) as caught:
            read_object(say(reply))
        assert caught.value.cause in (Cause.AMBIGUOUS, Cause.UNPARSEABLE)
    else:
        assert read_object(say(reply)) == GOOD["feedback"]
