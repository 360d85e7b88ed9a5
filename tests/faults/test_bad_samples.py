"""A few samples that a server never answers fail with their cause; the run is finished."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plaudit import Judge
from plaudit.sending.pool import SendPolicy
from tests.support.command import Done, Plaudit, rows_of, write_rows
from tests.support.server import Answer, FakeOpenAI, Reply, error

GOOD = json.dumps({"rationale": "Says thanks.", "label": "pos_praise", "confidence": 0.9})


async def hangs() -> Answer:
    await asyncio.sleep(3600)
    return GOOD


_COUNTED = json.dumps(
    {
        "choices": [{"message": {"role": "assistant", "content": GOOD}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10**30, "completion_tokens": 1},
    }
).encode()

KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "500": (lambda: error(500, "boom"), "server_error"),
    "hang": (hangs, "timeout"),
    "dropped": (lambda: Reply(cut=-1), "connection"),
    "403": (lambda: error(403, "blocked by the firewall"), "bad_request"),
    "not utf8": (
        lambda: Reply(200, b'{"choices": [{"message": {"content": "\xe9"}}]}'),
        "bad_response",
    ),
    "counter": (lambda: Reply(200, _COUNTED), "bad_response"),
}
"""What a server does to some samples for ever, and the cause that they fail with."""


def row(number: int, kind: str = "good") -> dict[str, str]:
    text = f"About case-{number}- of kind <{kind}>"
    return {"id": str(number), "query": text, "answer": "So.", "follow_up": "Thanks!"}


def play(body: Any) -> Any:
    """Answer a request as its row wants it."""
    kinds = re.findall(r"of kind <([\w ]+)>", json.dumps(body))
    kind = kinds[-1] if kinds else "good"
    return GOOD if kind == "good" else KINDS[kind][0]()


def asked(server: FakeOpenAI, start: int = 0) -> list[str]:
    """Return the rows that requests were about; "" stands for harmless text."""
    found = [re.findall(r"case-(\d+)-", json.dumps(body)) for body in server.bodies[start:]]
    return [numbers[-1] if numbers else "" for numbers in found]


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(play) as server:
        yield server


def judge_file(plaudit: Plaudit, server: FakeOpenAI, source: Path, *options: str) -> Done:
    return plaudit(
        "judge", "feedback", source, "-e", f"vllm:m@{server.url}", "-o", source.with_suffix(".out"),
        "--readout", "json", "--attempts", "3", "--timeout", "0.7", "--outage", "20", "--json",
        *options,
    )  # fmt: skip


BAD = {
    **dict.fromkeys(range(100, 900, 100), "500"),
    **{17: "403", 333: "not utf8", 444: "counter", 550: "hang", 999: "dropped"},
}
"""Which of 1,000 rows are bad."""


def test_defect_43_bad_samples_fail_and_the_rest_is_written(
    plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path
) -> None:
    rows = [row(number, BAD.get(number, "good")) for number in range(1000)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    done = judge_file(plaudit, server, source)
    assert done.status == 1, done.stderr
    verdicts = rows_of(source.with_suffix(".out"))
    assert [v["id"] for v in verdicts] == [row["id"] for row in rows]
    failed = {int(v["id"]): v["error"]["cause"] for v in verdicts if v["status"] == "failed"}
    assert failed == {number: KINDS[kind][1] for number, kind in BAD.items()}
    assert done.summary["ok"] == 1000 - len(BAD)
    assert done.summary["engine_calls"] == len(server.bodies)

    before = len(server.bodies)
    again = judge_file(plaudit, server, source)
    assert again.status == 1, again.stderr
    assert again.summary["failed"] == len(BAD)
    assert {*asked(server, before)} - {""} == {str(number) for number in BAD}
    assert rows_of(source.with_suffix(".out")) == verdicts


SEND = SendPolicy(attempts=6, backoff=0.001, max_backoff=0.002, timeout=0.7, outage=20)


def test_defect_43_in_python_a_judge_goes_on_with_good_rows(server: FakeOpenAI) -> None:
    engine = f"vllm:m@{server.url}"
    with_bad = [row(0), *(row(number, "500") for number in range(1, 9))]
    judge = Judge("feedback", engine=engine, readout="json", cache=False, send=SEND)
    try:
        statuses = [verdict.status for verdict in judge.judge_batch(with_bad)]
        assert statuses == ["ok", *["failed"] * 8]
        for number in range(10, 14):
            assert judge.judge(row(number, "dropped")).status == "failed"
            assert judge.judge(row(number)).status == "ok"
    finally:
        judge.close()


# Rejections


ECHO = "insufficient_quota and content_filter; maximum context length is 4096 tokens"
REJECTIONS: dict[str, Reply] = {
    **{f"{status}": error(status, "no") for status in (401, 402, 403, 404, 405)},
    "redirect": Reply(302, b"", {"Location": "http://127.0.0.1:9/"}),
    "no credit": error(429, "You exceeded your quota", code="insufficient_quota"),
    "quota in the text": error(400, f"cannot parse 'user said: {ECHO}'", type="invalid_request"),
    "the text comes first": error(400, f"{ECHO}: cannot be parsed"),
    "one word of the text": error(400, "cannot parse 'insufficient_quota'"),
    "the text in a plain body": Reply(422, json.dumps({"detail": f"{ECHO}?"})),
}


@pytest.mark.parametrize("name", REJECTIONS)
def test_defect_44_a_rejection_is_the_failure_of_its_sample(name: str) -> None:
    def reply(body: Any) -> Any:
        return REJECTIONS[name] if "case-3-" in json.dumps(body) else GOOD

    rows = [row(number) for number in range(20)]
    rows[3]["query"] += f": {ECHO}"
    with FakeOpenAI(reply) as server:
        judge = Judge(
            "feedback", engine=f"vllm:m@{server.url}", readout="json", cache=False, send=SEND
        )
        try:
            verdicts = judge.judge_batch(rows)
        finally:
            judge.close()
    assert [verdict.status for verdict in verdicts] == ["ok"] * 3 + ["failed"] + ["ok"] * 16
    assert verdicts[3].error is not None
    assert (verdicts[3].error.cause, verdicts[3].error.attempts) == ("bad_request", 1)
    assert asked(server).count("3") == 1


@pytest.mark.parametrize("status", [401, 404])
def test_defect_44_what_rejects_everything_ends_the_run(
    plaudit: Plaudit, tmp_path: Path, status: int
) -> None:
    answered: list[str] = []

    def reply(body: Any) -> Any:
        answered.append("")
        return GOOD if len(answered) <= 30 else error(status, "no more")

    source = write_rows(tmp_path / "in.jsonl", [row(number) for number in range(200)])
    with FakeOpenAI(reply) as server:
        done = judge_file(plaudit, server, source)
    assert done.status == 3
    assert f"answered {status}: no more" in done.stderr
    assert len(answered) < 100


# Waits


def later(status: int) -> Reply:
    return error(status, "come back tomorrow", headers={"Retry-After": "86400"})


@pytest.mark.parametrize(("status", "after"), [(429, 0), (429, 40), (503, 40)])
def test_defect_5_a_wait_beyond_an_outage_ends_the_run_at_once(
    plaudit: Plaudit, tmp_path: Path, status: int, after: int
) -> None:
    rows = [row(number) for number in range(60)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    with FakeOpenAI(play) as server:
        server.reply = lambda _: GOOD if len(server.bodies) <= after else later(status)
        done = judge_file(plaudit, server, source)
        assert done.status == 3
        assert "come back tomorrow" in done.stderr
        assert "asks to wait 86400 s" in done.stderr
        assert "same command" in done.stderr
        assert len(server.bodies) <= after + 20  # What was in flight.
        assert not source.with_suffix(".out").exists()
        server.reply = play
        before = len(server.bodies)
        again = judge_file(plaudit, server, source)
    assert again.status == 0
    assert len(server.bodies) - before == 60 - after


def test_defect_5_where_another_replica_is_willing_the_run_goes_on_there(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(number) for number in range(60)])
    with FakeOpenAI(later(429)) as closed, FakeOpenAI(play) as willing:
        done = plaudit(
            "judge", "feedback", source, "-e", f"vllm:m@{closed.url},{willing.url}", "--json",
            "--readout", "json", "--outage", "20",
        )  # fmt: skip
    assert done.status == 0, done.stderr
    assert "asks to wait 86400 s" in done.stderr
    assert len(closed.bodies) <= 10
    assert len({*asked(willing)}) == 60
