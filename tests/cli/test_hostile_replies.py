"""`plaudit judge` against a server whose replies cannot be used: typed outcomes, for all rows."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from plaudit.cli.app import app
from tests.support.command import rows_of, write_rows
from tests.support.judged import labelled
from tests.support.server import FakeOpenAI, Reply, chat

GOOD = labelled("pos_praise")
WORDS = ("requirement", "correction", "confusion", "neutral", "next", "praise", "unrelated")


class Judged:
    """Runs `plaudit judge feedback` in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLAUDIT_HOME", str(folder / "home"))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
        self.folder = folder
        self.out = folder / "out.jsonl"
        self.status = -1
        self.summary: dict[str, Any] = {}

    def __call__(self, server: FakeOpenAI, follow_ups: Sequence[str], *options: str) -> list[Any]:
        rows = [{"id": said, "query": "q", "answer": "a", "follow_up": said} for said in follow_ups]
        source = write_rows(self.folder / "in.jsonl", rows)
        command = ["judge", "feedback", str(source), "-e", f"openai:m@{server.url}", "--json"]
        command += ["-o", str(self.out), "--attempts", "1", "--prior", "none", *options]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        self.status = done.exit_code
        self.summary = json.loads(done.stdout.splitlines()[-1])
        return [
            (v["status"], v["value"], (v["error"] or {}).get("cause")) for v in rows_of(self.out)
        ]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judged:
    return Judged(tmp_path, monkeypatch)


def by_text(**answers: Any) -> Callable[[Any], Any]:
    """Answer by a word that the sample holds; all else gets a good reply."""

    def answer(body: Any) -> Any:
        asked = body["messages"][-1]["content"]
        found = [reply for word, reply in answers.items() if word in asked]
        return found[0] if found else chat(GOOD)

    return answer


OK = ("ok", "pos_praise", None)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("defect 1", '{"choices": [{"message": {"content": "café"}}]}'.encode("latin-1")),
        ("nesting", b'{"choices": ' + b"[" * 100_000),
        ("large numbers", b'{"choices": [{"message": {"content": 1' + b"0" * 5000 + b"}}]}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_defect_01_one_reply_that_cannot_be_read_is_one_failure(
    judged: Judged, name: str, body: bytes
) -> None:
    with FakeOpenAI(by_text(odd=Reply(200, body))) as server:
        verdicts = judged(server, ["one", "two", "odd", "four", "five"], "--readout", "json")
    assert verdicts == [OK, OK, ("failed", None, "bad_response"), OK, OK]
    assert judged.status == 1


def test_defect_45_counts_beyond_all_sense_are_that_samples_alone(judged: Judged) -> None:
    unknown = chat(GOOD) | {"usage": {"prompt_tokens": 2**62, "completion_tokens": -(2**62)}}
    broken = chat(GOOD) | {"usage": {"prompt_tokens": 10**30, "completion_tokens": 1}}
    with FakeOpenAI(by_text(odd=unknown, huge=broken)) as server:
        verdicts = judged(server, ["one", "odd", "huge"], "--readout", "json")
    assert verdicts == [OK, OK, ("failed", None, "bad_response")]
    assert (judged.summary["input_tokens"], judged.summary["output_tokens"]) == (12, 3)


@pytest.mark.parametrize("impossible", [[0.9, 0.08], [710.0, -1.0], [1e308] * 7, [0.0] * 7])
def test_defect_09_probabilities_give_no_confidence(judged: Judged, impossible) -> None:
    sound = [("praise", math.log(0.9)), *((word, math.log(0.01)) for word in WORDS[:5])]
    odd = list(zip(WORDS, impossible, strict=False))

    def answer(body: Any) -> Any:
        return chat("praise", odd if "odd" in body["messages"][-1]["content"] else sound)

    with FakeOpenAI(answer) as server:
        assert judged(server, ["one", "odd"]) == [OK, ("invalid", None, "bad_response")]
    assert any("sends probabilities" in note for note in judged.summary["notes"])


def test_defect_04_the_logprob_readout_asks_for_one_token_and_says_so(judged: Judged) -> None:
    sound = [("praise", math.log(0.9)), *((word, math.log(0.01)) for word in WORDS[:5])]
    with FakeOpenAI(chat("praise", sound)) as server:
        assert judged(server, ["one"], "--max-tokens", "3072", "--temperature", "0.7") == [OK]
        assert "without effect" in judged.summary["notes"][0]
        assert judged(server, ["one"]) == [OK]
        (body,) = server.bodies
    assert (body["max_tokens"], body["temperature"]) == (1, 0.0)
    assert judged.summary["cached"] == 1


@pytest.mark.parametrize(("option", "most"), [("?logprobs=7", 7), ("", 256)])
def test_no_more_log_probabilities_are_asked_for_than_the_engine_has(
    judged: Judged, option: str, most: int
) -> None:
    sound = [("praise", math.log(0.9)), *((word, math.log(0.01)) for word in WORDS[:5])]
    with FakeOpenAI(chat("praise", sound)) as server:
        judged(server, ["one"], "-e", f"openai:m@{server.url}{option}")
        assert {body["top_logprobs"] for body in server.bodies} == {most}


def test_defect_50_a_finished_run_repeated_sends_nothing(judged: Judged) -> None:
    refusal = chat(None, message={"content": None, "refusal": "I cannot"})
    refused = by_text(refusal=refusal, filtered=chat("", finish_reason="content_filter"))
    with FakeOpenAI(refused) as server:
        rows = ["one", "refusal", "filtered"]
        verdicts = judged(server, rows, "--readout", "json")
        assert verdicts == [OK, *[("invalid", None, "refused")] * 2]
        written, sent = judged.out.read_bytes(), len(server.completions)
        judged(server, rows, "--readout", "json")
        assert judged.out.read_bytes() == written
        assert len(server.completions) == sent
        assert (judged.summary["engine_calls"], judged.summary["cached"]) == (0, 3)
        server.reply = chat(GOOD)
        assert judged(server, rows, "--readout", "json", "--retry-invalid") == [OK, OK, OK]
        assert judged.summary["engine_calls"] == 2
        assert judged(server, rows, "--readout", "json") == [OK, OK, OK]
        assert judged.summary["engine_calls"] == 0


def test_defect_50_a_reply_without_log_probabilities_is_not_asked_for_again(
    judged: Judged,
) -> None:
    with FakeOpenAI(chat("praise")) as server:
        for calls in (1, 0):
            verdicts = judged(server, ["one"], "--readout", "logprob")
            assert verdicts == [("invalid", None, "options_not_visible")]
            assert judged.summary["engine_calls"] == calls
        assert len(server.completions) == 1
