"""The examples, judged through real servers. Run with -s to see the figures."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import LiveServer
from tests.support.command import EXAMPLES, Plaudit, rows_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

KINDS = ("feedback", "pointwise", "pairwise", "verify")
HARMLESS = {"options_not_visible", "low_option_mass", "below_gate", "topic_shift"}
HARMLESS |= {"order_conflict", "cut_off", "unparseable", "out_of_range", "undecided_votes"}
"""What a small model may bring about, and a broken connection may not."""

Verdicts = list[dict[str, Any]]


class Judged:
    """Judges examples and returns the verdicts; what was judged before is not judged again."""

    def __init__(self, plaudit: Plaudit, folder: Path) -> None:
        self._plaudit, self._folder = plaudit, folder
        self._count = 0

    def __call__(self, kind: str, engine: str, *args: str) -> Verdicts:
        self._count += 1
        out = self._folder / f"{self._count}.jsonl"
        source = EXAMPLES / f"{kind}.jsonl"
        done = self._plaudit(
            "judge", kind, source, "-e", engine, "-o", out, "--json", *args, timeout=1500
        )
        assert done.status in (0, 1), done.stderr
        return rows_of(out)


@pytest.fixture
def judged(plaudit: Plaudit, tmp_path: Path) -> Judged:
    return Judged(plaudit, tmp_path)


def check(verdicts: Verdicts) -> None:
    for verdict in verdicts:
        assert (verdict["reward"] is None) == (verdict["status"] != "ok")
        if verdict["error"]:
            assert verdict["error"]["cause"] in HARMLESS, verdict["error"]


@pytest.mark.parametrize("mode", ["chat", "completion"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_logprob_readout(server: LiveServer, judged: Judged, kind: str, mode: str) -> None:
    verdicts = judged(kind, server.engine, "--readout", "logprob", "--mode", mode)
    check(verdicts)
    read = [v for v in verdicts if v["probabilities"]]
    print(f"\n{kind} {mode} logprob: {len(verdicts)} judged, {statuses(verdicts)}")
    assert read
    for verdict in read:
        assert abs(sum(verdict["probabilities"].values()) - 1) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_json_readout(server: LiveServer, judged: Judged, kind: str) -> None:
    patience = ("--max-tokens", "400", "--timeout", "600")  # a small model may write on and on
    verdicts = judged(kind, server.engine, "--readout", "json", "--limit", "12", *patience)
    check(verdicts)
    print(f"\n{kind} json: {len(verdicts)} judged, {statuses(verdicts)}")
    assert any(v["value"] is not None for v in verdicts)


@pytest.mark.parametrize("mode", ["chat", "completion"])
@pytest.mark.parametrize("kind", ["feedback", "pointwise", "verify"])
def test_the_logprob_readout_agrees_with_the_embedded_engine(
    server: LiveServer, embedded: str, judged: Judged, kind: str, mode: str
) -> None:
    """Without prior and head, which are measured engine by engine."""
    args = ("--readout", "logprob", "--prior", "none", "--mode", mode)
    pairs = list(
        zip(judged(kind, server.engine, *args), judged(kind, embedded, *args), strict=True)
    )
    both = [(a, b) for a, b in pairs if a["probabilities"] and b["probabilities"]]
    apart = [distance(a["probabilities"], b["probabilities"]) for a, b in both]
    same = sum(a["value"] == b["value"] for a, b in both)
    print(
        f"\n{kind} {mode}: {same} of {len(both)} values agree ({len(pairs)} samples), "
        f"probabilities apart by {max(apart):.3f} at most, {sum(apart) / len(apart):.3f} on average"
    )
    assert len(both) >= len(pairs) / 3
    assert same >= 0.85 * len(both)
    assert sum(apart) / len(apart) < 0.05


def test_the_json_readout_mostly_agrees_with_the_embedded_engine(
    server: LiveServer, embedded: str, judged: Judged
) -> None:
    """A greedy text parts ways at the first near-tie, so only most of the labels can agree."""
    args = ("--readout", "json", "--mode", "completion", "--limit", "16")
    ours, theirs = judged("feedback", embedded, *args), judged("feedback", server.engine, *args)
    both = [(a, b) for a, b in zip(ours, theirs, strict=True) if a["value"] and b["value"]]
    same = sum(a["value"] == b["value"] for a, b in both)
    print(f"\nfeedback completion json: {same} of {len(both)} labels agree")
    assert len(both) >= 12
    assert same >= 0.6 * len(both)


def test_a_server_killed_and_started_again_costs_nothing_but_time(
    server: LiveServer, plaudit: Plaudit, tmp_path: Path
) -> None:
    if not server.is_ours:
        pytest.skip("needs a command that starts a server")
    source, out = EXAMPLES / "feedback.jsonl", tmp_path / "out.jsonl"
    args = ("--readout", "logprob", "--mode", "chat", "--prior", "none", "--concurrency", "2")
    calm = plaudit(
        "judge", "feedback", source, "-e", server.engine, "-o", tmp_path / "calm.jsonl", "--json",
        "--no-cache", *args, timeout=900,
    )  # fmt: skip
    assert calm.status in (0, 1), calm.stderr
    home = Plaudit(tmp_path / "home")
    running = home.start("judge", "feedback", source, "-e", server.engine, "-o", out, "-v", *args)
    try:
        wait_for_verdicts(running, 8)
        server.kill()
        time.sleep(5)
        server.start()
        _, stderr = running.communicate(timeout=900)
    finally:
        running.kill()
    assert running.returncode in (0, 1), stderr
    before, after = rows_of(tmp_path / "calm.jsonl"), rows_of(out)
    assert [v["id"] for v in after] == [v["id"] for v in before]
    assert not any(v["status"] == "failed" for v in after)
    same = sum(a["value"] == b["value"] for a, b in zip(before, after, strict=True))
    print(f"\nkilled and restarted: {len(after)} verdicts, none failed, {same} values as before")
    assert same >= 0.95 * len(after)


def wait_for_verdicts(running: Any, count: int) -> None:
    """Wait until so many samples were shown by -v on standard error."""
    for line in running.stderr:
        count -= line.startswith("sample ")
        if not count:
            return
    raise AssertionError("the run ended too early")


def statuses(verdicts: Verdicts) -> str:
    found = [v["status"] for v in verdicts]
    return ", ".join(f"{found.count(status)} {status}" for status in sorted(set(found)))


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    return max(abs(one[label] - other[label]) for label in one)
