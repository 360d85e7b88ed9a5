"""Options scored as continuations: only where a reply needs it, and never misread."""

import math
from pathlib import Path
from typing import Any

import pytest

from plaudit import Judge
from plaudit.engines.base import Capabilities, Completion, Request, TokenLogprob
from plaudit.judges.base import BaseJudge
from plaudit.runs.cached import RequestKeys
from plaudit.sending.pool import SendPolicy
from plaudit.types import Usage, Verdict
from tests.judges.making import ROWS, Ask, facts, is_no_number, make, over, sample_of, show
from tests.support.command import Here, rows_of, write_rows
from tests.support.scoring import Scorer
from tests.support.server import FakeOpenAI

ABLE = Capabilities(logprobs=20, completion=True, continuations=("completion", "chat"))
HIDDEN = show({" right": 0.1, " x": 0.1})  # so ` wrong` may have as much


class Scored(Ask):
    """Answers continuations from a table of probabilities, all else in turn."""

    def __init__(self, words: dict[str, float | None], *replies: Any) -> None:
        super().__init__(*replies)
        self.words = words

    async def __call__(self, request: Request) -> Completion:
        if not request.continuation:
            return await super().__call__(request)
        self.requests.append(request)
        p = self.words[request.continuation.strip()]
        logprobs = None if p is None else (TokenLogprob(request.continuation, math.log(p)),)
        return Completion(text=request.continuation, logprobs=logprobs, usage=Usage(100, 1))


def task(kind: str = "verify", able: Capabilities = ABLE, **config: Any) -> BaseJudge:
    return make(kind, facts(able), **{"mode": "completion"} | config)


async def judged(ask: Ask, judge: BaseJudge | None = None) -> Verdict:
    judge = judge or task()
    return await judge.decide(sample_of(judge.kind), ask)


async def test_a_reply_that_shows_enough_is_read_as_ever() -> None:
    judge = task()
    ask = Scored({}, over(judge, {"correct": 0.7, "incorrect": 0.2}))
    verdict = await judged(ask, judge)
    assert len(ask.requests) == 1
    assert "read_by" not in verdict.fields


async def test_options_that_are_not_shown_are_scored() -> None:
    ask = Scored({"right": 0.1, "wrong": 0.3}, HIDDEN)
    verdict = await judged(ask)
    assert (verdict.status, verdict.value) == ("ok", "incorrect")
    assert verdict.probabilities == pytest.approx({"correct": 0.25, "incorrect": 0.75})
    assert verdict.fields["read_by"] == "continuations"
    assert "censored" not in verdict.fields
    assert verdict.usage == Usage(210, 3)  # all of it is counted
    assert [r.continuation for r in ask.requests] == ["", " right", " wrong"]


async def test_the_space_is_what_the_place_calls_for(tmp_path: Path) -> None:
    chat = Scored({"right": 0.1, "wrong": 0.3}, HIDDEN)
    await judged(chat, task(mode="chat"))
    assert [r.continuation for r in chat.requests[1:]] == ["right", "wrong"]
    path = tmp_path / "own.jinja"
    path.write_text("{{ question }} {{ answer }} {{ references }}\n\n")
    line = Scored({"right": 0.1, "wrong": 0.3}, HIDDEN)
    judge = task(template=str(path))
    await judged(line, judge)
    assert [r.continuation for r in line.requests[1:]] == ["right", "wrong"]


async def test_the_case_is_that_of_the_reply() -> None:
    for shown, spelled in (
        ({"Right": 0.2, "right": 0.1, "The": 0.2}, ["Right", "Wrong"]),
        ({"Right": 0.1, "right": 0.2, "The": 0.2}, ["right", "wrong"]),
    ):
        ask = Scored(dict.fromkeys(("Right", "Wrong", "right", "wrong"), 0.3), show(shown))
        await judged(ask, task(mode="chat"))
        assert [r.continuation for r in ask.requests[1:]] == spelled


@pytest.mark.parametrize(
    "able",
    [
        Capabilities(logprobs=20, completion=True),
        Capabilities(logprobs=20, completion=True, continuations=("chat",)),
    ],
)
async def test_where_the_engine_cannot_the_verdict_stays_invalid(able: Capabilities) -> None:
    ask = Scored({"right": 0.1, "wrong": 0.3}, HIDDEN)
    verdict = await judged(ask, task(able=able))
    assert is_no_number(verdict)
    assert verdict.error.cause == "options_not_visible"
    assert len(ask.requests) == 1


@pytest.mark.parametrize("words", [{"right": None}, {"right": 0.9, "wrong": None}])
async def test_an_option_that_is_not_told_makes_it_invalid(words: dict[str, Any]) -> None:
    verdict = await judged(Scored(words, HIDDEN))
    assert is_no_number(verdict)
    assert verdict.error.cause == "options_not_visible"
    assert "does not score given continuations" in verdict.error.message


async def test_options_that_are_improbable_make_it_invalid() -> None:
    verdict = await judged(Scored({"right": 0.01, "wrong": 0.03}, HIDDEN))
    assert is_no_number(verdict)
    assert verdict.error.cause == "low_option_mass"


async def test_a_model_that_answers_otherwise_is_not_asked_for_each_option() -> None:
    """What is hidden is at most 1e-6, so no option can have much."""
    ask = Scored({}, show({"I": 0.9, " think": 0.09, "...": 1e-6}))
    verdict = await judged(ask)
    assert verdict.error.cause == "low_option_mass"
    assert len(ask.requests) == 1


async def test_options_outside_of_few_candidates_are_found() -> None:
    """Nothing shown is an option, and what is hidden may be as probable as what is shown."""
    ask = Scored({"right": 0.2, "wrong": 0.1}, show({"The": 0.3, "It": 0.2}))
    verdict = await judged(ask)
    assert (verdict.status, verdict.value) == ("ok", "correct")


async def test_both_orders_of_a_pair() -> None:
    words = {"first": 0.4, "second": 0.1, "equal": 0.1}
    shown = show({" first": 0.11, " x": 0.1})
    judge = task("pairwise")
    verdict = await judged(Scored(words, shown), judge)
    assert verdict.error.cause == "order_conflict"
    assert verdict.fields["read_by"] == "continuations"
    assert [order["read_by"] for order in verdict.fields["orders"]] == ["continuations"] * 2


async def test_the_prior_is_measured_the_same_way() -> None:
    """Every reply hides options; what is scored is divided by what is scored on the prior's set."""
    judge = make("feedback", facts(ABLE), mode="completion", prior="auto")
    word = {o.label: o.word for o in judge.options}
    words = dict.fromkeys(word.values(), 0.1) | {word["neutral"]: 0.3}
    ask = Scored(words, show({f" {word['neutral']}": 0.11, " x": 0.1}))
    await judge.prepare(ask)
    probes = [r for r in ask.requests if r.continuation]
    assert len(probes) == len(judge.logprobs.rows) * len(words)
    assert {r.turn for r in probes} == {"prior-continuation"}
    ask.words = words | {word["pos_praise"]: 0.2}  # twice its prior
    verdict = await judge.decide(sample_of("feedback"), ask)
    assert verdict.value == "pos_praise"
    even = 1 / (len(words) + 1)
    assert verdict.probabilities["pos_praise"] == pytest.approx(2 * even)
    assert verdict.probabilities["neutral"] == pytest.approx(even)


def test_the_fingerprint_tells_whether_it_may_happen() -> None:
    without = Capabilities(logprobs=20, completion=True)
    assert task().fingerprint != task(able=without).fingerprint
    json = {"readout": "json"}
    assert task(**json).fingerprint == task(able=without, **json).fingerprint


def test_request_keys_differ_in_the_continuation() -> None:
    key = RequestKeys("m").key
    plain = task().render(sample_of("verify"))
    keys = {
        key(Request(prompt="p", sampling=plain.sampling, continuation=c))
        for c in ("", " a", "a", "b")
    }
    assert len(keys) == 4


# The whole way, over a real socket.

WORDS = {"right": 0.1, "wrong": 0.3}
FEW = {" right": 0.1, " x": 0.1}


def judge_at(server: FakeOpenAI, store: Path, scheme: str = "vllm") -> Judge:
    return Judge(
        "verify",
        engine=f"{scheme}:m@{server.url}",
        mode="completion",
        cache=store,
        send=SendPolicy(attempts=1),
    )


@pytest.mark.parametrize(
    ("scheme", "form"), [("vllm", "vllm"), ("sglang", "echo"), ("together", "together")]
)
def test_every_form_gives_the_same_verdict(tmp_path: Path, scheme: str, form: str) -> None:
    with FakeOpenAI(Scorer(WORDS, form=form, shown=FEW)) as server:
        judge = judge_at(server, tmp_path / "s.db", scheme)
        verdict = judge.judge(ROWS["verify"])
        judge.close()
    assert verdict.value == "incorrect"
    assert verdict.probabilities == pytest.approx({"correct": 0.25, "incorrect": 0.75})


@pytest.mark.parametrize("form", ["ignored", "refused"])
def test_a_server_that_does_not_tell_is_not_asked_again(tmp_path: Path, form: str) -> None:
    with FakeOpenAI(Scorer(WORDS, form=form, shown=FEW)) as server:
        judge = judge_at(server, tmp_path / "s.db")
        first = judge.judge(ROWS["verify"])
        sent = len(server.completions)
        judge.close()
        again = judge_at(server, tmp_path / "s.db")
        assert again.judge(ROWS["verify"]) == first
        again.close()
        assert len(server.completions) == sent == 2
    assert is_no_number(first)
    assert first.error.cause == "options_not_visible"


def test_a_call_that_fails_makes_it_failed(tmp_path: Path) -> None:
    with FakeOpenAI(Scorer(WORDS, form="broken", shown=FEW)) as server:
        judge = judge_at(server, tmp_path / "s.db")
        verdict = judge.judge(ROWS["verify"])
        judge.close()
    assert is_no_number(verdict)
    assert (verdict.status, verdict.error.cause) == ("failed", "bad_response")


def test_the_command_line(tmp_path: Path) -> None:
    """A finished run repeated sends nothing and writes the same bytes."""
    plaudit = Here(tmp_path / "home")
    rows = write_rows(tmp_path / "in.jsonl", [ROWS["verify"]])
    with FakeOpenAI(Scorer(WORDS, shown=FEW)) as server:
        args = ("judge", "verify", rows, "-e", f"vllm:m@{server.url}", "--mode", "completion")
        done = plaudit(*args, "-o", tmp_path / "a.jsonl", "--raw", "--json")
        assert done.status == 0, done.stderr
        assert done.summary["engine_calls"] == 3
        repeated = plaudit(*args, "-o", tmp_path / "b.jsonl", "--raw", "--json")
        assert (repeated.summary["engine_calls"], repeated.summary["cached"]) == (0, 1)
        shown = plaudit("show", "last")
    (verdict,) = rows_of(tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert verdict["fields"]["read_by"] == "continuations"
    assert verdict["raw"] == [" right", " right", " wrong"]
    assert shown.status == 0, shown.stderr
    assert "continuations" in shown.stdout
