"""The Python API: sync, async, in a notebook's loop, in other processes."""

import asyncio
import json
import multiprocessing
import os
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from plaudit import (
    CallableEngine,
    FeedbackSample,
    InputError,
    Judge,
    JudgeConfig,
    Request,
    SendPolicy,
    UsageError,
    Verdict,
    reward_and_update,
)
from plaudit.judges.load import make_config
from plaudit.runs.runtime import Runtimes
from plaudit.store.damage import in_use

ROW = {"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."}
REPLY = json.dumps({"rationale": "r", "label": "neg_correction", "confidence": 0.9})


class Fake:
    """A function engine that counts what it is asked."""

    def __init__(self, reply: str = REPLY) -> None:
        self.reply = reply
        self.requests: list[Request] = []
        self.batches: list[int] = []

    def __call__(self, prompts: list[Any], requests: Sequence[Request]) -> list[str]:
        self.batches.append(len(prompts))
        self.requests.extend(requests)
        return [self.reply] * len(prompts)


def make(fake: Fake, tmp_path: Path, *, cache: bool = True, **config: Any) -> Judge:
    engine = CallableEngine(fake, name="fake", cache=cache)
    return Judge("feedback", engine=engine, cache=tmp_path / "store.sqlite", **config)


def test_three_lines_give_a_verdict(tmp_path: Path) -> None:
    verdict = make(Fake(), tmp_path).judge(ROW)
    assert (verdict.status, verdict.value, verdict.reward) == ("ok", "neg_correction", -0.8)
    assert reward_and_update(verdict) == (-0.8, True)
    assert verdict.raw == [REPLY]


def test_a_sync_call_inside_a_running_event_loop_learns(tmp_path: Path) -> None:
    async def notebook() -> Verdict:
        return make(Fake(), tmp_path).judge(ROW)

    assert asyncio.run(notebook()).value == "neg_correction"


async def test_async_forms_and_several_loops(tmp_path: Path) -> None:
    judge = make(Fake(), tmp_path)
    assert (await judge.ajudge(ROW)).status == "ok"
    verdicts = await judge.ajudge_batch([ROW, ROW | {"follow_up": "again"}])
    assert [v.index for v in verdicts] == [0, 1]
    assert (await asyncio.to_thread(judge.judge, ROW)).status == "ok"
    await judge.aclose()


def test_defect_14_a_judge_is_called_like_a_function_and_closed_by_with(tmp_path: Path) -> None:
    fake = Fake()
    with make(fake, tmp_path) as judge:
        verdict = judge(ROW)
        assert verdict == judge.judge(ROW)
        assert judge(ROW, temperature=0.7).status == "ok"
        assert in_use(tmp_path / "store.sqlite")
        assert judge.sent == 2
    assert not in_use(tmp_path / "store.sqlite")
    assert judge.sent == 0
    assert judge(ROW) == verdict, "it may be used again"
    assert len(fake.requests) == 2
    judge.close()


async def test_defect_14_a_judge_is_closed_by_async_with(tmp_path: Path) -> None:
    async with make(Fake(), tmp_path) as judge:
        assert (await judge.ajudge(ROW)).status == "ok"
        assert judge(ROW).status == "ok", "also from inside a running loop"
        assert in_use(tmp_path / "store.sqlite")
    assert not in_use(tmp_path / "store.sqlite")


async def test_a_judge_that_another_event_loop_uses_can_be_closed(tmp_path: Path) -> None:
    judge = make(Fake(), tmp_path)
    assert (await judge.ajudge(ROW)).status == "ok"
    assert judge.judge(ROW).status == "ok"
    judge.close()  # In the background loop, while this one waits for it.
    assert not in_use(tmp_path / "store.sqlite")
    assert judge.sent == 0
    assert (await judge.ajudge(ROW)).status == "ok"
    await judge.aclose()


def test_a_batch_keeps_order_and_gathers_requests(tmp_path: Path) -> None:
    fake, seen = Fake(), []
    rows = [ROW | {"id": f"r{n}", "follow_up": f"no {n}"} for n in range(150)]
    verdicts = make(fake, tmp_path).judge_batch(rows, progress=seen.append)
    assert [v.id for v in verdicts] == [f"r{n}" for n in range(150)]
    assert len(seen) == 150
    assert max(fake.batches) > 10


def test_samples_and_conversations_are_taken_too(tmp_path: Path) -> None:
    judge = make(Fake(), tmp_path)
    sample = FeedbackSample(id="s", index=9, query="q", answer="a", follow_up="f")
    turns = ("user", "assistant", "user", "assistant", "user")
    talk = {"id": "c", "messages": [{"role": r, "content": f"{n}"} for n, r in enumerate(turns)]}
    verdicts = judge.judge_batch([sample, talk])
    assert [(v.index, v.id) for v in verdicts] == [(0, "s"), (1, "c#1"), (2, "c#2")]
    with pytest.raises(InputError, match="2 samples"):
        judge.judge(talk)


def test_generation_parameters_per_call_reach_the_engine_and_the_key(tmp_path: Path) -> None:
    fake = Fake()
    judge = make(fake, tmp_path)
    judge.judge(ROW)
    judge.judge(ROW)
    judge.judge(ROW, temperature=0.7, max_tokens=99, top_k=5)
    assert len(fake.requests) == 2
    sampling = fake.requests[1].sampling
    assert (sampling.temperature, sampling.max_tokens) == (0.7, 99)
    assert sampling.extra == (("top_k", 5),)


def test_a_callables_replies_are_not_kept_unless_asked(tmp_path: Path) -> None:
    fake = Fake()
    judge = make(fake, tmp_path, cache=False)
    judge.judge(ROW)
    judge.judge(ROW)
    assert len(fake.requests) == 2
    kept = make(fake, tmp_path)
    kept.judge(ROW)
    kept.judge(ROW)
    kept.judge(ROW, cache=False)
    assert len(fake.requests) == 4


def test_a_malformed_row_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    fake = Fake()
    with pytest.raises(InputError, match="row 1: the field 'answer' is missing"):
        make(fake, tmp_path).judge_batch([ROW, {"query": "q"}])
    with pytest.raises(InputError, match="row 0: not a dict, but of type int"):
        make(fake, tmp_path).judge_batch([3])  # type: ignore[list-item]
    assert fake.requests == []


def test_wrong_options_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="no option 'gates'"):
        Judge("feedback", gates=1)
    with pytest.raises(UsageError, match="no judge"):
        Judge("magic")
    with pytest.raises(UsageError, match="gate"):
        Judge("feedback", gate="high")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_tokens": 0}, "max_tokens must be in 1..2147483647, not 0"),
        ({"max_tokens": 10**24}, "max_tokens must be in 1..2147483647, not a number of 80 bits"),
        ({"temperature": -1}, "temperature must be in 0..100, not -1"),
        ({"temperature": float("nan")}, "temperature must be in 0..100, not nan"),
        ({"temperature": float("inf")}, "temperature must be in 0..100, not inf"),
        ({"top_p": 1.5}, "top_p must be in 0..1, not 1.5"),
        ({"top_p": -0.1}, "top_p must be in 0..1, not -0.1"),
        ({"seed": 10**24}, "seed must be a whole number"),
        ({"votes": 0}, "votes must be in 1..1000, not 0"),
        ({"gate": float("nan")}, "gate must be in 0..1, not nan"),
        ({"reward_map": {"neutral": float("nan")}}, "reward_map must hold finite numbers"),
        ({"generation": {"top_k": 10**24}}, "generation must hold whole numbers"),
        ({"generation": {"min_p": float("inf")}}, "generation must hold finite numbers"),
    ],
)
def test_defect_15_python_checks_what_the_command_line_checks(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    fake = Fake()
    judge = make(fake, tmp_path)
    for ask in (
        lambda: Judge("feedback", engine=judge.engine, **options),
        lambda: JudgeConfig(kind="feedback", **options),
        lambda: judge.judge(ROW, **options),
        lambda: judge.judge_batch([ROW], **options),
        lambda: next(judge.stream([ROW], **options)),
    ):
        with pytest.raises(UsageError, match=re.escape(says)):
            ask()
    assert fake.requests == []


@pytest.mark.parametrize("window", [0, -1, 10**9])
def test_defect_15_a_window_is_checked(tmp_path: Path, window: int) -> None:
    with pytest.raises(UsageError, match=r"window must be in 1\.\.1000000"):
        next(make(Fake(), tmp_path).stream([ROW], window=window))


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0}, {"concurrency": 10**6}, {"timeout": 0}, {"timeout": float("nan")},
        {"attempts": 0}, {"outage": -1}, {"outage": float("inf")}, {"tokens_per_minute": 0},
    ],
)  # fmt: skip
def test_defect_15_how_requests_are_sent_is_checked(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(UsageError, match=f"^{name} must be "):
        SendPolicy(**options)


def test_an_outage_can_be_told_from_neutral_users(tmp_path: Path) -> None:
    def broken(prompts: list[str]) -> list[str]:
        raise RuntimeError("down")

    judge = Judge("feedback", engine=CallableEngine(broken), cache=tmp_path / "s.sqlite")
    verdicts = judge.judge_batch([ROW] * 3)
    assert {v.status for v in verdicts} == {"failed"}
    assert {reward_and_update(v) for v in verdicts} == {(None, False)}


def scripted(tmp_path: Path) -> Judge:
    path = tmp_path / "script.jsonl"
    path.write_text(json.dumps({"match": {}, "replies": [{"text": REPLY}]}) + "\n")
    return Judge("feedback", engine=f"scripted:{path}", cache=tmp_path / "store.sqlite")


def judge_in_child(judge: Judge) -> tuple[int, str | int | float | None]:
    return os.getpid(), judge.judge(ROW | {"follow_up": f"{os.getpid()}"}).value


def test_a_judge_pickles_with_what_it_has_done(tmp_path: Path) -> None:
    judge = scripted(tmp_path)
    judge.judge(ROW)
    again = pickle.loads(pickle.dumps(judge))
    assert again.judge(ROW).value == "neg_correction"
    assert again.config == judge.config


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_judge_works_in_worker_processes_with_one_store(tmp_path: Path, method: str) -> None:
    judge = scripted(tmp_path)
    judge.judge(ROW)
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(judge_in_child, [judge] * 8)
    assert {value for _, value in found} == {"neg_correction"}
    assert os.getpid() not in {pid for pid, _ in found}
    assert judge.judge(ROW | {"follow_up": "after"}).status == "ok"


def test_shots_of_one_call(tmp_path: Path) -> None:
    fake = Fake()
    judge = make(fake, tmp_path, shots=2)
    shot = {"query": "SHOT", "answer": "a", "follow_up": "b", "label": "neutral"}
    given: list[dict[str, Any]] = [
        {}, {"shots": [shot]}, {"shots": "READY {{ text }}"}, {"shots": 0},
        {"shots": 3, "select": "random"}, {},
    ]  # fmt: skip
    verdicts = [judge.judge(ROW, **options) for options in given]
    texts = [str(request.prompt) for request in fake.requests]
    assert [text.count("Reaction:") for text in texts] == [3, 2, 1, 1, 4]  # the last one is stored
    assert [("SHOT" in text, "READY {{ text }}" in text) for text in texts] == [
        (False, False), (True, False), (False, True), (False, False), (False, False)
    ]  # fmt: skip
    assert len({verdict.judge for verdict in verdicts}) == 5
    assert verdicts[0] == verdicts[5]


def test_defect_08_shots_of_a_call_take_the_place_of_the_pool(tmp_path: Path) -> None:
    shots = [
        {"query": f"SHOT {n}", "answer": "a", "follow_up": "b", "label": label}
        for n, label in enumerate(("neutral", "pos_praise"))
    ]
    pool = tmp_path / "p.jsonl"
    pool.write_text("\n".join(map(json.dumps, shots)), encoding="utf-8")
    fake = Fake()
    judge = make(fake, tmp_path, pool=str(pool), select="random", cache=False)
    given: list[dict[str, Any]] = [
        {}, {"shots": [shots[1] | {"query": "MINE"}]}, {"shots": ["ONE", "TWO"]}, {"shots": 1}
    ]  # fmt: skip
    for options in given:
        judge.judge(ROW, **options)
    with pytest.raises(UsageError, match="need no pool"):
        judge.judge(ROW, shots="ready", pool=str(pool))
    texts = [str(request.prompt) for request in fake.requests]
    assert [text.count("SHOT") for text in texts] == [2, 0, 0, 1]
    assert ["MINE" in text for text in texts] == [False, True, False, False]
    assert "ONE\n\nTWO" in texts[2]
    own = make(fake, tmp_path, shots=["READY"], cache=False)
    own.judge(ROW, pool=str(pool))
    assert fake.requests[-1].prompt.count("SHOT") == 2
    assert "READY" not in fake.requests[-1].prompt


async def test_many_calls_with_shots_of_their_own_do_not_pile_up(tmp_path: Path) -> None:
    engine = CallableEngine(Fake(), name="fake")
    runtime = Runtimes([engine], SendPolicy(), tmp_path / "store.sqlite").here()
    for number in range(70):
        config = make_config("feedback", {"shots": [f"Example {number}."]})
        await runtime.session(config, None, True)
    assert len(runtime.sessions) == 64
    await runtime.close()


def test_a_changed_pool_changes_what_datasets_hashes(tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text("one")
    judge = make(Fake(), tmp_path, pool=str(pool))
    before = pickle.dumps(judge)
    pool.write_text("two")
    assert pickle.dumps(judge) != before
