"""Every sample ends with the verdict that the server's last answer to it stands for."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from plaudit.judges.feedback import REWARDS
from plaudit.store.store import Store
from tests.faults import hostile
from tests.faults.serving import Asked, Server, last_answers, row, subjects
from tests.support.command import Done, Plaudit, rows_of

TRUE_CAUSES = {
    "429": {"rate_limited"},
    "500": {"server_error"},
    "503": {"server_error"},
    "hang": {"timeout"},
    "drip": {"timeout"},
    "reset": {"connection", "bad_response"},
    "truncated": {"bad_response"},
    "html": {"bad_response"},
    "empty": {"bad_response"},
    "list": {"bad_response"},
    "big": {"bad_response"},
}
"""What a sample's cause may be, by the last answer that it got."""
UNUSABLE_CAUSES = {
    "json": {"wrong": {"unknown_option"}, "cut": {"cut_off"}},
    "logprob": {"wrong": {"low_option_mass"}, "cut": {"low_option_mass"}},
}
SMALL = "all,429=2,hang=1,drip=1,big=1"


def check_verdict(verdict: dict[str, Any], last: Asked, asked: int, readout: str) -> None:
    """Compare a verdict with the last answer; `asked` counts the requests with its body."""
    label, confidence = hostile.truth(verdict["id"])
    if last.answer == "good":
        assert (verdict["status"], verdict["value"]) == ("ok", label)
        assert verdict["confidence"] == pytest.approx(confidence)
        assert verdict["error"] is None
        if readout == "json":
            assert verdict["reward"] == REWARDS[label]
        return
    error = verdict["error"]
    numbers = ("value", "reward", "confidence", "probabilities")
    assert [verdict[name] for name in numbers] == [None] * 4, verdict
    if last.answer in hostile.UNUSABLE:
        assert verdict["status"] == "invalid", (verdict, last)
        assert error["cause"] in UNUSABLE_CAUSES[readout][last.answer], (verdict, last)
    else:
        assert verdict["status"] == "failed", (verdict, last)
        assert error["cause"] in TRUE_CAUSES[last.answer], (verdict, last)
        assert error["attempts"] == asked, (verdict, last)


def check_store(path: Path, count: int, readout: str) -> None:
    """Nothing is stored but well-formed completions of the model."""
    cases = [row(n)["id"] for n in range(count)]
    kinds = ("good", "wrong", "cut")
    if readout == "json":
        allowed = {hostile.text(case, kind) for case in cases for kind in kinds}
    else:
        allowed = {hostile.candidates(case, kind)[0][0] for case in cases for kind in kinds}
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        keys = [key for (key,) in connection.execute("SELECT key FROM reply")]
    assert keys
    with Store(path) as store:
        replies = [store.get_reply(key) for key in keys]
    for reply in replies:
        assert reply is not None
        assert reply.text in allowed
        assert (reply.logprobs is None) == (readout == "json")


class Labelling:
    """One command line that is given again and again, against one server."""

    def __init__(
        self, plaudit: Plaudit, server: Server, source: Path, out: Path, *options: str
    ) -> None:
        self.plaudit, self.server, self.out = plaudit, server, out
        self.command = ("judge", "feedback", source, "-e", server.engine, "-o", out, "--json")
        self.options = options
        self.seen = 0

    def run(self, *options: str, timeout: float) -> tuple[Done, list[Asked]]:
        """Give the command; return what came of it and what the server was asked."""
        done = self.plaudit(*self.command, *self.options, *options, timeout=timeout)
        assert done.stdout, done.stderr[-2000:]
        asked = self.server.asked(self.seen)
        self.seen += len(asked)
        assert done.summary["engine_calls"] == len(asked)
        return done, asked

    def ids(self, *statuses: str) -> set[str]:
        return {v["id"] for v in rows_of(self.out) if v["status"] in statuses}


def label_all(labelling: Labelling, count: int, readout: str, timeout: float) -> None:
    """Give the command until all is well, checking every step."""
    done, asked = labelling.run(timeout=timeout)
    verdicts = rows_of(labelling.out)
    assert [v["id"] for v in verdicts] == [row(n)["id"] for n in range(count)]
    last = last_answers(asked)
    tries = {entry.subject: 0 for entry in asked}
    for entry in asked:
        tries[entry.subject] += entry.body == last[entry.subject].body
    for verdict in verdicts:
        check_verdict(verdict, last[verdict["id"]], tries[verdict["id"]], readout)
    check_store(labelling.plaudit.home / "store.sqlite", count, readout)
    failed, invalid = labelling.ids("failed"), labelling.ids("invalid")
    assert failed, "too few faults to show anything"
    assert done.status == 1
    assert [done.summary[k] for k in ("samples", "ok", "invalid", "failed")] == [
        count, count - len(failed) - len(invalid), len(invalid), len(failed)
    ]  # fmt: skip

    _, asked = labelling.run(timeout=timeout)
    assert subjects(asked) == failed
    assert labelling.ids("invalid") >= invalid

    for _ in range(40):
        unfinished = labelling.ids("failed", "invalid")
        done, asked = labelling.run("--retry-invalid", timeout=timeout)
        assert subjects(asked) == unfinished
        assert done.status == (1 if labelling.ids("failed", "invalid") else 0)
        if done.status == 0:
            break
    assert labelling.ids("ok") == {row(n)["id"] for n in range(count)}
    check_store(labelling.plaudit.home / "store.sqlite", count, readout)
    _, asked = labelling.run("--retry-invalid", timeout=timeout)
    assert not asked


@pytest.mark.timeout(300)
@pytest.mark.parametrize("readout", ["json", pytest.param("logprob", marks=pytest.mark.full)])
def test_every_sample_ends_with_the_verdict_that_its_last_answer_stands_for(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path, readout: str
) -> None:
    server = server_of("--faults", SMALL, "--no-usage")
    options = ("--readout", readout, "--prior", "none", "--timeout", "1", "--attempts", "2")
    out = tmp_path / "out.jsonl"
    label_all(Labelling(plaudit, server, source_of(300), out, *options), 300, readout, 100)
    honest = server_of("--no-usage")
    quiet = tmp_path / "quiet.jsonl"
    Labelling(Plaudit(tmp_path / "quiet"), honest, source_of(300), quiet, *options).run(timeout=60)
    assert out.read_bytes() == quiet.read_bytes()


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("readout", ["json", "logprob"])
def test_twenty_thousand_samples(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path, readout: str
) -> None:
    count = 20_000
    server = server_of("--faults", "all", "--no-usage")
    options = ("--readout", readout, "--prior", "none", "--timeout", "2")
    out = tmp_path / "out.jsonl"
    label_all(Labelling(plaudit, server, source_of(count), out, *options), count, readout, 900)
    honest = server_of("--no-usage")
    quiet = tmp_path / "quiet.jsonl"
    Labelling(Plaudit(tmp_path / "quiet"), honest, source_of(count), quiet, *options).run(
        timeout=300
    )
    assert out.read_bytes() == quiet.read_bytes()
