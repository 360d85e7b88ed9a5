"""`plaudit judge --jury`, `--cascade`, `--prices` and `plaudit jury-weights` end to end."""

import json
import random
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Here, Plaudit, rows_of, write_rows
from tests.support.server import FakeOpenAI
from tests.support.waiting import wait_for_replies

LABELS = ["neg_correction", "neg_confusion", "neutral", "pos_progress", "pos_praise"]


def row(n: int, **more: Any) -> dict[str, Any]:
    return {"id": f"r{n}", "query": f"q{n}", "answer": "a", "follow_up": f"text {n}.", **more}


def said(label: str, confidence: float = 0.9) -> dict[str, Any]:
    return {"text": json.dumps({"rationale": "r", "label": label, "confidence": confidence})}


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


class Files:
    """Scripts, specifications and rows in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def script(self, name: str, by_id: dict[str, Any], other: Any) -> str:
        lines = [{"match": {"sample_id": k}, "replies": [v]} for k, v in by_id.items()]
        lines.append({"match": {}, "replies": [other]})
        return f"scripted:{write_rows(self.folder / f'{name}.jsonl', lines)}"

    def spec(self, name: str, **content: Any) -> Path:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return path

    def rows(self, rows: list[Any]) -> Path:
        return write_rows(self.folder / "in.jsonl", rows)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def jury(files: Files) -> Path:
    down = {"r1": {"error": "timeout"}, "r2": {"text": "?"}, "r3": said("neutral")}
    return files.spec(
        "jury",
        members=[
            {"name": "one", "engine": files.script("one", {}, said("pos_praise"))},
            {"name": "two", "engine": files.script("two", down, said("pos_praise"))},
            {
                "name": "three",
                "engine": files.script(
                    "three",
                    {"r2": {"error": "timeout"}, "r3": said("pos_praise", 0.1)},
                    said("pos_progress"),
                ),
            },
        ],
    )


def test_a_jury_end_to_end(plaudit: Plaudit, files: Files, jury: Path) -> None:
    source, out = files.rows([row(n) for n in range(5)]), files.folder / "out.jsonl"
    args = ("judge", "feedback", source, "--jury", jury, "-o", out, "--json")
    done = plaudit(*args)
    verdicts = rows_of(out)
    assert [v["status"] for v in verdicts] == ["ok", "abstained", "failed", "abstained", "ok"]
    assert [v["reward"] for v in verdicts] == [0.8, None, None, None, 0.8]
    assert [v["error"] and v["error"]["cause"] for v in verdicts] == [
        None, "jury_tie", "timeout", "jury_tie", None
    ]  # fmt: skip
    assert [m["value"] for m in verdicts[0]["fields"]["members"]] == [
        "pos_praise", "pos_praise", "pos_progress"
    ]  # fmt: skip
    assert done.status == 1
    panel = done.summary["panel"]
    assert (panel["form"], panel["combine"], panel["quorum"]) == ("jury", "majority", 2)
    assert [[m["ok"], m["abstained"], m["invalid"], m["failed"]] for m in panel["members"]] == [
        [5, 0, 0, 0], [3, 0, 1, 1], [3, 1, 0, 1]
    ]  # fmt: skip
    calls = [m["engine_calls"] for m in panel["members"]]
    assert calls == [5, 6, 5]  # one repair
    assert done.summary["engine_calls"] == 16
    assert done.summary["cost_usd"] == 0
    assert panel["agreement"]["samples"] == 4
    # Repeated: only what failed is asked, and the bytes are the same.
    before = out.read_bytes()
    again = plaudit(*args)
    assert again.summary["engine_calls"] == 2
    assert again.summary["cached"] == 3
    assert out.read_bytes() == before


def test_what_is_shown_of_a_jury(plaudit: Plaudit, files: Files, jury: Path) -> None:
    source = files.rows([row(n) for n in range(4)])
    printed = plaudit("judge", "feedback", source, "--jury", jury, "-v")
    for part in ("member", "three", "Krippendorff's alpha", "jury_tie"):
        assert part in printed.stdout, part
    assert "text 1." in printed.stderr
    shown = [json.loads(x) for x in plaudit("show", "last", "--json").stdout.splitlines()]
    assert [len(item["prompts"]) for item in shown] == [3, 3, 3, 3]
    assert len(shown[0]["replies"]) == 3
    assert [attempt[0] for attempt in shown[1]["attempts"]] == ["two: main"]
    assert "a jury of" in plaudit("runs").stdout


def test_an_interrupted_jury_goes_on_where_it_stopped(plaudit: Plaudit, files: Files) -> None:
    slow = {**said("pos_praise"), "delay": 0.05}
    members = [
        {"name": name, "engine": files.script(name, {}, slow), "max_tokens": 100 + n}
        for n, name in enumerate(("one", "two", "three"))
    ]
    spec, source = files.spec("jury", members=members), files.rows([row(n) for n in range(600)])
    out = files.folder / "out.jsonl"
    args = ("judge", "feedback", source, "--jury", spec, "-o", out, "--concurrency", "10", "--json")
    process = plaudit.start(*args)
    wait_for_replies(plaudit.home / "store.sqlite", 150)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "same command" in stderr
    assert not out.exists()
    done = plaudit(*args, "--concurrency", "100").summary
    assert done["cached"] > 0
    assert done["engine_calls"] <= 3 * 600 - 150
    assert [v["value"] for v in rows_of(out)] == ["pos_praise"] * 600
    listed = [json.loads(line) for line in plaudit("runs", "--json").stdout.splitlines()]
    assert [one["state"] for one in listed] == ["finished"]  # the same run


def test_an_unusable_endpoint_ends_the_run_and_is_named(plaudit: Plaudit, files: Files) -> None:
    steps = [
        {"name": "fine", "engine": files.script("fine", {}, said("neutral", 0.5)), "gate": 0.8},
        {"name": "gone", "engine": files.script("gone", {}, {"error": "unusable"})},
    ]
    spec, out = files.spec("spec", steps=steps), files.folder / "out.jsonl"
    out.write_text("untouched")
    source = files.rows([row(n) for n in range(3)])
    done = plaudit("judge", "feedback", source, "--cascade", spec, "-o", out)
    assert done.status == 3
    assert "judge 'gone': " in done.stderr
    assert out.read_text() == "untouched"


@pytest.mark.full
def test_nothing_listens_at_a_members_endpoint(plaudit: Plaudit, files: Files) -> None:
    members = [
        {"name": "fine", "engine": files.script("fine", {}, said("neutral"))},
        {"name": "away", "engine": "vllm:m@http://127.0.0.1:9/v1"},
    ]
    spec, source = files.spec("spec", members=members), files.rows([row(0)])
    done = plaudit("judge", "feedback", source, "--jury", spec, "--readout", "json")
    assert done.status == 3
    assert "judge 'away': " in done.stderr


def test_a_panel_that_cannot_be_is_wrong_usage(plaudit: Plaudit, files: Files, jury: Path) -> None:
    source = files.rows([row(0)])
    mixed = files.spec("mixed", members=[{"name": "a"}, {"name": "b", "kind": "verify"}])
    ungated = files.spec("c", steps=[{"name": "a", "gate": 0.6}, {"name": "b"}, {"name": "c"}])
    for more, message in (
        (("--jury", mixed), "all are of one kind"),
        (("--jury", jury, "--cascade", jury), "not both"),
        (("--jury", jury, "--launch", "1"), "start those of a panel yourself"),
        (("--cascade", ungated), "'b' has no gate"),
    ):
        done = plaudit("judge", "verify" if "c.json" in str(more) else "feedback", source, *more)
        assert done.status == 2, more
        assert message in " ".join(done.stderr.split())


# Cascades.


def simulated(files: Files, n: int) -> tuple[list[dict[str, Any]], str, str, list[float]]:
    """A judge that is right in 70 % and knows where, and one that is right in 95 %."""
    draw = random.Random(3)
    rows, first, second, right = [], {}, {}, [0, 0]

    def answer(judge: int, label: str, p: float) -> str:
        correct = draw.random() < p
        right[judge] += correct
        return label if correct else draw.choice([x for x in LABELS if x != label])

    for number in range(n):
        label, easy = draw.choice(LABELS), draw.random() < 0.6
        rows.append(row(number, label=label))
        confidence = draw.uniform(0.85, 1) if easy else draw.uniform(0.3, 0.9)
        first[f"r{number}"] = said(answer(0, label, 0.97 if easy else 0.295), round(confidence, 3))
        second[f"r{number}"] = said(answer(1, label, 0.95), 0.9)
    other = said("neutral")
    scripts = files.script("small", first, other), files.script("large", second, other)
    return rows, *scripts, [count / n for count in right]


def test_a_cascade_has_the_better_judges_agreement_for_under_half_its_calls(
    plaudit: Plaudit, files: Files
) -> None:
    n = 500
    rows, small, large, alone = simulated(files, n)
    source, out = files.rows(rows), files.folder / "out.jsonl"
    steps = [{"name": "small", "engine": small, "gate": 0.85}, {"name": "large", "engine": large}]
    spec = files.spec("cascade", steps=steps)
    args = ("judge", "feedback", source, "--json", "--cascade", spec, "-o", out)
    done = plaudit(*args).summary
    assert alone == pytest.approx([0.7, 0.95], abs=0.03)
    assert done["ok"] == n
    assert done["agree"] / n > alone[1] - 0.02
    first, last = done["panel"]["members"]
    assert (first["engine_calls"], last["engine_calls"]) == (n, last["samples"])
    assert last["samples"] == n - first["settled"] <= n / 2
    assert done["panel"]["saved"]["samples"] == first["settled"]
    before = out.read_bytes()
    again = plaudit(*args).summary
    assert (again["engine_calls"], again["cached"]) == (0, n)
    assert out.read_bytes() == before
    assert again["panel"]["saved"] == done["panel"]["saved"]
    shown = [json.loads(x) for x in plaudit("show", done["run"], "--json").stdout.splitlines()]
    asked = [len(item["verdict"]["fields"]["members"]) for item in shown]
    assert [len(item["prompts"]) for item in shown] == asked
    assert sum(asked) == n + last["samples"]


def test_a_dry_run_counts_every_member_and_what_it_would_cost(
    plaudit: Plaudit, files: Files, jury: Path
) -> None:
    source = files.rows([row(n) for n in range(4, 8)])
    priced = files.spec("prices", m={"input": 10, "output": 20})
    members = json.loads(jury.read_text())["members"][:1]
    members.append({"name": "away", "engine": "vllm:m@http://127.0.0.1:9/v1", "readout": "json"})
    spec = files.spec("spec", members=members)
    args = ("judge", "feedback", source, "--jury", spec, "--dry-run", "--json")
    plan = plaudit(*args, "--prices", priced).summary
    one, away = plan["members"]
    assert (plan["calls"], one["calls"], away["calls"]) == (8, 4, 4)
    assert one["cost_usd_limit"] == 0
    tokens = away["input_tokens_estimated"] * 10 + away["output_tokens_limit"] * 20
    assert plan["cost_usd_limit"] == away["cost_usd_limit"] == round(tokens / 1e6, 9)
    unknown = plaudit(*args).summary
    assert unknown["cost_usd_limit"] is None
    assert [m["cost_usd_limit"] for m in unknown["members"]] == [0, None]
    text = plaudit(*args[:-1]).stdout
    assert "--prices FILE" in text
    assert "--prices FILE" in text
    assert ("plaudit[prices]" in text) == (find_spec("genai_prices") is None)


def test_a_run_tells_what_it_cost_where_a_price_is_known(plaudit: Plaudit, files: Files) -> None:
    source = files.rows([row(n) for n in range(3)])
    prices = files.spec("prices", m={"input": 1000, "output": 2000})
    args = ("judge", "feedback", source, "--readout", "json", "--json", "-e")
    with FakeOpenAI(said("neutral")["text"]) as server:
        known = plaudit(*args, f"vllm:m@{server.url}", "--prices", prices).summary
        tokens = (known["input_tokens"], known["output_tokens"])
        assert min(tokens) > 0
        assert known["cost_usd"] == pytest.approx((tokens[0] * 1000 + tokens[1] * 2000) / 1e6)
        unknown = plaudit(*args, f"vllm:m@{server.url}", "--fresh").summary
        assert (unknown["engine_calls"], unknown["cost_usd"]) == (3, None)
        stored = plaudit(*args, f"vllm:m@{server.url}").summary
        assert (stored["engine_calls"], stored["cost_usd"]) == (0, 0)
        text = plaudit(*args[:-2], "-e", f"vllm:m@{server.url}", "--fresh").stdout
        assert "cost unknown" in text


# Weights.


def test_weights_are_learned_from_labels_and_used(plaudit: Plaudit, files: Files) -> None:
    draw = random.Random(4)
    labels = [draw.choice(LABELS) for _ in range(120)]

    def script(name: str, right: float) -> str:
        answers = {
            f"r{n}": said(label if draw.random() < right else draw.choice(LABELS))
            for n, label in enumerate(labels)
        }
        return files.script(name, answers, said("neutral"))

    members = [
        {"name": n, "engine": script(n, p)} for n, p in (("a", 0.95), ("b", 0.3), ("c", 0.3))
    ]
    source = files.rows([row(n, label=label) for n, label in enumerate(labels)])
    out, weights = files.folder / "out.jsonl", files.folder / "weights.json"
    spec = files.spec("jury", members=members)
    args = ("judge", "feedback", source, "-o", out, "--json", "--jury")
    votes = plaudit(*args, spec).summary
    learned = plaudit("jury-weights", out, "-o", weights)
    assert learned.status == 0
    found = json.loads(weights.read_text())
    assert found["a"]["weight"] > 2 * found["b"]["weight"] > 0
    assert found["a"]["samples"] == 120
    weighed = plaudit(*args, files.spec("weighed", members=members, weights=str(weights))).summary
    assert weighed["engine_calls"] == 0
    assert weighed["agree"] > votes["agree"]
    assert weighed["panel"]["members"][0]["weight"] == found["a"]["weight"]
    changed = [members[0] | {"max_tokens": 99}, *members[1:]]
    refused = plaudit(*args, files.spec("x", members=changed, weights=str(weights)))
    assert refused.status == 2
    assert "was learned for the judge" in " ".join(refused.stderr.split())
