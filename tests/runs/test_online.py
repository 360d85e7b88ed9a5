"""Online updates: the formula, restarts and crashes, bounds, damaged files, and the example."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from plaudit import InputError, OnlineUpdate, PolicyUpdate, UsageError, Verdict
from plaudit.errors import Cause
from plaudit.types import Failure
from tests.support.command import write_rows
from tests.support.judged import labelled

EXAMPLE = Path(__file__).parents[2] / "examples" / "online.py"


def ok(id: str, reward: float, confidence: float | None = 0.9) -> Verdict:
    return Verdict(index=0, id=id, status="ok", reward=reward, confidence=confidence)


def failed(id: str, status: Any = "failed") -> Verdict:
    error = Failure(Cause.TIMEOUT, "no reply came")
    return Verdict(index=0, id=id, status=status, error=error, confidence=0.3)


def some_turns(count: int, seed: int = 0) -> list[tuple[str, Verdict]]:
    draw = random.Random(seed)
    turns = []
    for n in range(count):
        verdict = ok(f"t{n}", draw.uniform(-1, 1)) if draw.random() < 0.8 else failed(f"t{n}")
        turns.append((draw.choice("abcde"), verdict))
    return turns


def test_the_baseline_is_the_mean_of_the_users_turns_before() -> None:
    online = OnlineUpdate()
    before: dict[str, list[float]] = {}
    for user, verdict in some_turns(200):
        update = online.add(verdict, user)
        if verdict.reward is None:
            assert update is None
            continue
        assert update is not None
        mean = fmean(before[user]) if user in before else 0.0
        assert update.baseline == pytest.approx(mean, abs=1e-12)
        assert update.advantage == pytest.approx(verdict.reward - mean, abs=1e-12)
        before.setdefault(user, []).append(verdict.reward)
    assert online.number == sum(map(len, before.values()))


@pytest.mark.parametrize("status", ["failed", "invalid", "abstained"])
def test_an_unscored_turn_changes_nothing_and_may_come_again(status: str) -> None:
    online = OnlineUpdate(start=0.25)
    online.add(ok("1", 0.5), "a")
    assert online.add(failed("2", status), "a") is None
    assert (online.number, online.baseline("a"), online.baseline("b")) == (1, 0.5, 0.25)
    again = online.add(ok("2", -0.5), "a")
    assert again is not None
    assert (again.number, again.advantage) == (2, -1.0)
    assert online.add(ok("2", -0.5), "a") is None
    assert online.add(ok("2", -0.5), "b") is not None


def test_the_gate_may_be_the_confidence() -> None:
    online = OnlineUpdate(gate="confidence")
    update = online.add(ok("1", 0.5, 0.8), "a")
    assert update is not None
    assert (update.gate, update.advantage, update.baseline) == (0.8, 0.4, 0.0)
    with pytest.raises(UsageError, match="'2' has no confidence"):
        online.add(ok("2", 0.5, None), "a")
    assert (online.number, online.baseline("a")) == (1, 0.5)


def test_a_horizon_follows_a_user_who_changes() -> None:
    mean, recent = OnlineUpdate(), OnlineUpdate(horizon=5)
    for n in range(100):
        for one in (mean, recent):
            one.add(ok(str(n), -1.0 if n < 50 else 1.0), "a")
    assert mean.baseline("a") == pytest.approx(0, abs=1e-12)
    assert recent.baseline("a") == pytest.approx(1 - 2 * 0.8**50)


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "online.json"
    with OnlineUpdate(path, users=3, ids=5) as online:
        for n in range(1000):
            online.add(ok(str(n), 1.0), f"user {n % 4 if n < 990 else n}")
            online.add(ok(f"again {n}", 1.0), "often")
        assert online.baseline("often") == 1.0
        assert online.baseline("user 1") == 0.0
        online.save()
    state = json.loads(path.read_bytes())
    assert [name for name, _ in state["users"]] == ["user 998", "user 999", "often"]
    assert len(state["ids"]) == 5


@pytest.mark.parametrize("seed", range(20))
def test_each_turn_is_learned_once_over_crashes(tmp_path: Path, seed: int) -> None:
    turns = some_turns(60, seed)
    whole = OnlineUpdate()
    expected = [u for user, verdict in turns if (u := whole.add(verdict, user)) is not None]
    draw = random.Random(seed)
    policy: list[PolicyUpdate] = []  # What is written with the weights, number and all.
    done = False
    while not done:
        applied = policy[-1].number if policy else 0
        with OnlineUpdate(tmp_path / "online.json", applied=applied) as online:
            for n in range(online.position or 0, len(turns)):
                user, verdict = turns[n]
                update = online.add(verdict, user)
                if update is not None:
                    policy.append(update)
                if draw.random() < 0.1:
                    break  # A crash after the policy has learned, and before the state is saved.
                online.position = n + 1
                if draw.random() < 0.3:
                    online.save()
            else:
                done = True
    assert policy == expected


def test_a_turn_that_comes_again_after_a_restart_is_known(tmp_path: Path) -> None:
    path = tmp_path / "online.json"
    with OnlineUpdate(path) as online:
        online.add(ok("1", 0.5), "a")
        online.save()
    with OnlineUpdate(path) as online:
        assert online.add(ok("1", 0.5), "a") is None
        assert (online.number, online.baseline("a")) == (1, 0.5)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "online.json is damaged"),
        (b'{"format": "plaudit online upd', "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[1]", "is damaged"),
        (b"[" * 100_000, "is damaged"),
        (b'{"a": 1}', "holds no state of OnlineUpdate"),
        (b'{"format": "plaudit online updates", "schema": 2}', "written by a newer plaudit"),
        (b'{"format": "plaudit online updates", "schema": 1}', "is damaged"),
        (b'{"format": "plaudit online updates", "options": {}, "users": [["a", 1]]}', "is damaged"),
    ],
)
def test_a_damaged_file_is_refused_and_left_as_it_is(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    path = tmp_path / "online.json"
    path.write_bytes(data)
    for _ in range(2):  # The second time the lock is free again.
        with pytest.raises(InputError, match=problem):
            OnlineUpdate(path)
    assert path.read_bytes() == data


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "online.json"
    with OnlineUpdate(path, horizon=5) as online:
        online.save()
        with pytest.raises(UsageError, match="is used by another process"):
            OnlineUpdate(path, horizon=5)
    with pytest.raises(UsageError, match="was made with horizon=5, not None"):
        OnlineUpdate(path)
    with pytest.raises(UsageError, match="there is no option 'user'"):
        OnlineUpdate(user=5)
    with pytest.raises(UsageError, match="users must be"):
        OnlineUpdate(users=0)
    with pytest.raises(UsageError, match="gate"):
        OnlineUpdate(gate="sometimes")
    with pytest.raises(InputError, match="cannot be read"):
        (tmp_path / "folder").mkdir()
        OnlineUpdate(tmp_path / "folder")


# The example


def chat(id: str, user: str, *follow_ups: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Question of {user}?"}]
    for text in follow_ups:
        messages += [{"role": "assistant", "content": "An answer."}]
        messages += [{"role": "user", "content": text}]
    return {"id": id, "user": user, "messages": messages}


class Follower:
    """The example as a process."""

    def __init__(self, folder: Path, **environment: str) -> None:
        script = [
            {"match": {"contains": f"{word}"}, "replies": [{"text": labelled(label)}]}
            for word, label in (("Wrong", "neg_correction"), ("Thanks", "pos_praise"))
        ]
        write_rows(folder / "script.jsonl", script)
        self.folder = folder
        self.chats, self.updates = folder / "chats.jsonl", folder / "updates.jsonl"
        self.command = [
            sys.executable, str(EXAMPLE), str(self.chats), str(self.updates),
            "-e", f"scripted:{folder / 'script.jsonl'}", "--readout", "json",
        ]  # fmt: skip

    def append(self, *rows: dict[str, Any]) -> None:
        with open(self.chats, "a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)

    def once(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, "--once"], capture_output=True, text=True, cwd=self.folder, check=False
        )

    def learned(self) -> list[tuple[int, str, float]]:
        rows = map(json.loads, self.updates.read_text().splitlines())
        return [(row["number"], row["id"], round(row["advantage"], 6)) for row in rows]


@pytest.fixture
def follower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follower:
    monkeypatch.setenv("PLAUDIT_HOME", str(tmp_path / "home"))
    return Follower(tmp_path)


def test_the_example_goes_on_where_it_was_and_survives_a_crash(follower: Follower) -> None:
    follower.append(chat("door", "anna", "Thanks!"), chat("cat", "ben", "Wrong."))
    first = follower.once()
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == [
        "1 anna door#1: +0.80 (reward +0.80, baseline +0.00)",
        "2 ben cat#1: -0.80 (reward -0.80, baseline +0.00)",
    ]
    state = follower.updates.with_name("updates.jsonl.state")
    before = state.read_bytes()
    follower.append(chat("door", "anna", "Thanks!", "Wrong!"), chat("sea", "anna", "Thanks!"))
    with open(follower.chats, "a") as file:
        file.write('no chat\n{"id": "half", "mess')
    second = follower.once()
    learned = follower.learned()
    assert learned == [
        (1, "door#1", 0.8),
        (2, "cat#1", -0.8),
        (3, "door#2", -1.6),
        (4, "sea#1", 0.8),
    ]
    assert second.stderr.count("a line was left out") == 1
    # As after a crash: the policy has learned, the last line is cut off, the state is the old one.
    state.write_bytes(before)
    whole = follower.updates.read_bytes()
    follower.updates.write_bytes(whole[:-20])
    crashed = follower.once()
    assert crashed.returncode == 0, crashed.stderr
    assert follower.updates.read_bytes() == whole
    assert crashed.stdout.splitlines() == second.stdout.splitlines()[-1:]
    follower.chats.write_text("")
    other = follower.once()
    assert other.returncode == 2
    assert "it is another file" in other.stderr


def test_the_example_follows_a_file_that_grows(follower: Follower) -> None:
    follower.append(chat("door", "anna", "Thanks!"))
    process = subprocess.Popen(
        follower.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("1 anna door#1: +0.80")
        follower.append(chat("cat", "anna", "Wrong."))
        assert process.stdout.readline().startswith("2 anna cat#1: -1.60")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
