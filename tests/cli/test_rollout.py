"""`plaudit rollout` end to end, with a script for the model."""

import http.server
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plaudit.rollouts.tokens.tokenizer import load_tokenizer
from plaudit.rollouts.traces import read_traces
from tests.rollouts.call_templates import HARMONY, TURNS, write_model
from tests.support.command import Done, Forked, Here, Plaudit, rows_of, write_rows
from tests.support.server import FakeOpenAI, completion

TOOLS = '''
import json, pathlib

LOG = pathlib.Path(__file__).with_name("searches.log")

def search(query: str) -> str:
    """Search the documents.

    Args:
        query: words to look for.
    """
    with LOG.open("a") as log:
        log.write(query + "\\n")
    return f"It was {query}."

def broken(query: str) -> bytes:
    """Return what is no text.

    Args:
        query: words to look for.
    """
    return b"bytes"
'''


def call(query: str, name: str = "search") -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": {"query": query}}]}


def question(n: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"q{n}", "question": f"Who is number {n}?", "answer": f"gold {n}", **fields}


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


@pytest.fixture
def tools(tmp_path: Path) -> str:
    (tmp_path / "mytools.py").write_text(TOOLS)
    return f"{tmp_path / 'mytools.py'}:search"


def script(tmp_path: Path, *lines: dict[str, Any]) -> str:
    return f"scripted:{write_rows(tmp_path / 'script.jsonl', list(lines))}"


@pytest.fixture
def engine(tmp_path: Path) -> str:
    """Number 2 fails, number 3 is right, all others search and are wrong."""
    return script(
        tmp_path,
        {"match": {"contains": "number 2?"}, "replies": [{"error": "timeout"}]},
        {"match": {"contains": "number 3?", "turn": "1"}, "replies": [{"text": "gold 3"}]},
        {"match": {"turn": "1"}, "replies": [{"text": "A"}, {"text": "B"}, {"text": "C"}]},
        {"match": {"turn": "0"}, "replies": [call("nobody")]},
    )


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "questions.jsonl", [question(n) for n in range(5)])


def test_every_rollout_has_one_trace_in_order(plaudit, engine, tools, questions, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    done = plaudit("rollout", questions, "-e", engine, "-t", tools, "-o", out, "-n", 2, "--json")
    traces = rows_of(out)
    assert [t["id"] for t in traces] == [f"q{n}/{d}" for n in range(5) for d in range(2)]
    assert [t["stop_reason"] for t in traces] == ["answered"] * 4 + ["failed"] * 2 + [
        "answered"
    ] * 4
    assert [t["final_answer"] for t in traces[:2]] == ["A", "B"]
    assert traces[4]["error"]["cause"] == "timeout"
    assert done.status == 1
    summary = done.summary
    assert (summary["questions"], summary["rollouts"], summary["answered"]) == (5, 10, 8)
    assert summary["stop_reasons"] == {"answered": 8, "failed": 2}
    assert summary["causes"] == {"timeout": 2}
    assert summary["engine_calls"] == 8 * 2 + 2
    assert summary["calls"] == {"search": 0.8}


def test_what_is_finished_costs_nothing_again_and_what_failed_is_asked_again(
    plaudit, engine, tools, questions, tmp_path
) -> None:
    out, log = tmp_path / "out.jsonl", tmp_path / "searches.log"
    command = ("rollout", questions, "-e", engine, "-t", tools, "-o", out, "--json")
    plaudit(*command)
    before, searched = rows_of(out), log.read_text()
    again = plaudit(*command)
    assert again.summary["engine_calls"] == 1
    assert again.summary["cached"] == 4
    assert log.read_text() == searched
    rows = rows_of(out)
    del before[2], rows[2]  # the failed one, whose time differs
    assert rows == before
    everything = plaudit(*command, "--no-cache")
    assert everything.summary["engine_calls"] == 9
    fresh = plaudit(*command, "--fresh")
    assert fresh.summary["engine_calls"] == 9


def test_more_samples_keep_those_that_there_are(plaudit, engine, tools, tmp_path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [question(0), question(1)])
    out = tmp_path / "out.jsonl"
    command = (
        "rollout",
        source,
        "-e",
        engine,
        "-t",
        tools,
        "-o",
        out,
        "--temperature",
        1,
        "--json",
    )
    assert plaudit(*command, "-n", 2).summary["engine_calls"] == 8
    more = plaudit(*command, "-n", 3)
    assert (more.summary["engine_calls"], more.summary["cached"]) == (4, 4)
    assert len(rows_of(out)) == 6


def test_the_date_is_fixed_when_the_run_begins(plaudit, engine, tools, questions, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    command = ("rollout", questions, "-e", engine, "-t", tools, "-o", out, "--json")
    first = plaudit(*command, "--date", "2020-02-29")
    assert first.summary["date"] == "2020-02-29"
    assert "2020-02-29" in rows_of(out)[0]["messages"][0]["content"]
    again = plaudit(*command)  # the next day: it goes on with the day on which it began
    assert again.summary["date"] == "2020-02-29"
    assert again.summary["engine_calls"] == 1
    assert plaudit(*command, "--fresh").summary["date"] > "2020-02-29"
    assert plaudit(*command, "--date", "yesterday").status == 2


def test_splits_and_limits(plaudit, engine, tools, tmp_path) -> None:
    rows = [question(n, split="test" if n % 2 else "train") for n in range(6)]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    command = ("rollout", source, "-e", engine, "-t", tools, "-o", out, "--json")
    plaudit(*command, "--split", "test")
    assert [t["question_id"] for t in rows_of(out)] == ["q1", "q3", "q5"]
    plaudit(*command, "--split", "test", "--limit", 2, "-n", 2)
    assert [t["id"] for t in rows_of(out)] == ["q1/0", "q1/1", "q3/0", "q3/1"]
    none = write_rows(tmp_path / "none.jsonl", [question(0, split="train")])
    done = plaudit("rollout", none, "-e", engine, "-t", tools, "--split", "test")
    assert done.status == 2
    assert "there is no question of the split test" in done.stderr


def test_malformed_questions_are_set_aside(plaudit, engine, tools, tmp_path) -> None:
    source = tmp_path / "in.jsonl"
    bad = ['{"question": ""}', "{broken", '{"question": 3}', '{"question": "x", "split": "dev"}']
    source.write_text("\n".join([json.dumps(question(0)), *bad, json.dumps(question(1))]) + "\n")
    out = tmp_path / "out.jsonl"
    done = plaudit("rollout", source, "-e", engine, "-t", tools, "-o", out, "--json")
    assert (done.status, done.summary["rejected"]) == (1, 4)
    assert [t["question_id"] for t in rows_of(out)] == ["q0", "q1"]
    rejected = rows_of(tmp_path / "out.rejected.jsonl")
    assert [r["where"] for r in rejected] == [f"{source}:{n}" for n in (2, 3, 4, 5)]
    strict = plaudit("rollout", source, "-e", engine, "-t", tools, "-o", out, "--strict")
    assert strict.status == 2
    assert f"{source}:2: 'question' is empty" in strict.stderr


def test_answers_are_graded_and_logged_with_the_verifiers_words(
    plaudit, engine, tools, questions, tmp_path
) -> None:
    out, log = tmp_path / "out.jsonl", tmp_path / "qa.jsonl"
    path = Path(engine.removeprefix("scripted:"))
    undecided = {
        "match": {"contains": "number 0?", "turn": "1"},
        "replies": [{"text": "the golden one"}],
    }
    write_rows(path, [undecided, *rows_of(path)])
    verdict = {"reasoning": "It names somebody else.", "verdict": "incorrect", "confidence": 0.9}
    judge = write_rows(
        tmp_path / "judge.jsonl", [{"match": {}, "replies": [{"text": json.dumps(verdict)}]}]
    )
    done = plaudit(
        "rollout", questions, "-e", engine, "-t", tools, "-o", out, "--qa-log", log,
        "--verifier", f"scripted:{judge}", "--json",
    )  # fmt: skip
    rows = rows_of(log)
    assert [row["id"] for row in rows] == [f"q{n}/0" for n in range(5)]
    assert rows[3] == {
        "id": "q3/0",
        "question": "Who is number 3?",
        "reference": "gold 3",
        "answer": "gold 3",
        "stop_reason": "answered",
        "correct": 1.0,
        "verifier": rows[3]["verifier"],
    }
    assert "correct by text" in rows[3]["verifier"]
    assert "It names somebody else." in rows[0]["verifier"]
    assert (rows[2]["correct"], rows[2]["answer"]) == (None, None)  # failed is not wrong
    summary = done.summary
    assert summary["accuracy"]["value"] == 0.25
    assert 0 < summary["accuracy"]["low"] < 0.25 < summary["accuracy"]["high"] < 1
    assert summary["rewards"]["correctness"]["scored"] == 4
    assert summary["rewards"]["correctness"]["unscored"] == {"broken_off": 1}
    assert rows_of(out)[3]["rewards"]["correctness"]["value"] == 1.0


def test_a_bad_result_of_a_tool_is_told_and_the_rollout_goes_on(
    plaudit, tools, questions, tmp_path
) -> None:
    engine = script(
        tmp_path,
        {"match": {"turn": "0"}, "replies": [call("x", "broken")]},
        {"match": {}, "replies": [{"text": "I do not know."}]},
    )
    out = tmp_path / "out.jsonl"
    broken = tools.replace(":search", ":broken")
    done = plaudit("rollout", questions, "-e", engine, "-t", broken, "-o", out, "--json")
    assert done.status == 1
    assert done.summary["bad_calls"] == {"bad_result": 5}
    assert done.summary["tool_failed"] == 5
    assert {t["final_answer"] for t in rows_of(out)} == {"I do not know."}


FRAGILE = '''
import pathlib, time
from plaudit.rollouts import ToolError, ToolResult

FAULT = pathlib.Path(__file__).with_name("fault")

def search(query: str) -> str:
    """Search the documents.

    Args:
        query: words to look for.
    """
    match FAULT.read_text():
        case "down":
            raise ConnectionError("the index is down")
        case "slow":
            time.sleep(60)
        case "not text":
            return b"bytes"
        case "declines":
            raise ToolError("there is no such page")
    return ToolResult(f"gold {query}", [{"chunk_id": "c1", "rank": 1, "score": 1.0}])
'''


def outage(
    plaudit: Plaudit, tmp_path: Path, fault: str
) -> tuple[Callable[..., Done], Callable[[str], object]]:
    """A command whose tool has a fault, and what gives it another one."""
    (tmp_path / "fragile.py").write_text(FRAGILE)
    engine = script(
        tmp_path,
        {"match": {"turn": "0"}, "replies": [call("1")]},
        {"match": {"contains": "gold 1"}, "replies": [{"text": "gold 1"}]},
        {"match": {}, "replies": [{"text": "I do not know."}]},
    )
    asked = write_rows(tmp_path / "asked.jsonl", [question(1, chunk_ids=["c1"])])
    command = (
        "rollout", asked, "-e", engine, "-t", f"{tmp_path}/fragile.py:search", "-o",
        tmp_path / "out.jsonl", "--rewards", "default", "--json",
    )  # fmt: skip
    put = (tmp_path / "fault").write_text
    put(fault)
    return lambda *more: plaudit(*command, *more), put


READ_TOOLS = ("search_effort", "chunk_hit", "answer_support")


@pytest.mark.parametrize(
    ("fault", "status"), [("down", "raised"), ("slow", "timeout"), ("not text", "bad_result")]
)
def test_defect_21_an_outage_of_a_tool_is_no_number_and_is_rolled_out_again(
    plaudit: Plaudit, tmp_path: Path, fault: str, status: str
) -> None:
    run, put = outage(plaudit, tmp_path, fault)
    done = run(*(("--tool-timeout", "0.2") if fault == "slow" else ()))
    (trace,) = rows_of(tmp_path / "out.jsonl")
    assert (done.status, done.summary["tool_failed"]) == (1, 1)
    assert done.summary["bad_calls"] == {status: 1}
    assert done.summary["notes"][0].startswith("the tool search failed: Error: ")
    for name in (*READ_TOOLS, "total"):
        assert trace["rewards"][name]["value"] is None
        assert trace["rewards"][name]["cause"] == "tool_failed"
    assert trace["rewards"]["correctness"]["value"] == 0.0
    put("none")
    done, (trace,) = run(), rows_of(tmp_path / "out.jsonl")
    assert (done.status, done.summary["tool_failed"]) == (0, 0)
    assert done.summary["engine_calls"] == 1  # The first reply is in the store.
    assert trace["final_answer"] == "gold 1"
    assert [trace["rewards"][name]["value"] for name in READ_TOOLS] == [0.5, 1.0, 1.0]
    put("down")
    done = run()
    assert (done.status, done.summary["cached"], done.summary["tool_failed"]) == (0, 1, 0)


def test_defect_21_a_call_that_a_tool_declines_is_the_models(plaudit, tmp_path: Path) -> None:
    run, put = outage(plaudit, tmp_path, "declines")
    done, (trace,) = run(), rows_of(tmp_path / "out.jsonl")
    assert (done.status, done.summary["tool_failed"]) == (0, 0)
    assert [one["status"] for one in trace["tool_calls"]] == ["declined"]
    assert [trace["rewards"][name]["value"] for name in READ_TOOLS] == [0.0, 0.0, 0.0]
    put("none")
    assert run().summary["cached"] == 1


def test_defect_30_a_tool_whose_helper_was_edited_is_called_again(
    engine, tools, questions, tmp_path
) -> None:
    plaudit = Forked(tmp_path / "home")  # A process loads a file once.
    file, out = tmp_path / "mytools.py", tmp_path / "out.jsonl"
    edited = TOOLS.replace('f"It was {query}."', "shown(query)") + (
        '\ndef shown(query):\n    return f"It was {query}."\n'
    )
    file.write_text(edited)
    command = ("rollout", questions, "-e", engine, "-t", tools, "-o", out, "--limit", "1", "--json")
    plaudit(*command)
    assert plaudit(*command).summary["cached"] == 1
    file.write_text(edited.replace("It was", "Now it is"))
    assert plaudit(*command).summary["engine_calls"] == 1  # The first turn is as before.
    assert rows_of(out)[0]["messages"][3]["content"] == "Now it is nobody."


def test_defect_30_two_questions_with_one_id_are_no_group(plaudit, engine, tools, tmp_path) -> None:
    asked = [question(1), question(0, id="q1"), question(3)]
    source, out = write_rows(tmp_path / "asked.jsonl", asked), tmp_path / "out.jsonl"
    command = ("rollout", source, "-e", engine, "-t", tools, "-o", out, "--json")
    done = plaudit(*command)
    assert (done.status, done.summary["rejected"]) == (1, 1)
    assert [trace["group"] for trace in rows_of(out)] == ["q1", "q3"]
    (rejected,) = rows_of(tmp_path / "out.rejected.jsonl")
    assert f"the id 'q1' stands at {source}:1 too" in rejected["error"]
    strict = plaudit(*command, "--strict")
    assert strict.status == 2
    assert f"{source}:2: the id 'q1' stands at" in strict.stderr


def test_without_an_output_the_rollouts_are_shown(plaudit, engine, tools, questions) -> None:
    done = plaudit("rollout", questions, "-e", engine, "-t", tools)
    assert done.status == 1
    assert "Who is number 3?" in done.stdout
    assert "gold 3" in done.stdout
    assert "1 broken off" in done.stdout
    verbose = plaudit("rollout", questions, "-e", engine, "-t", tools, "-v", "--limit", "1")
    assert "It was nobody." in verbose.stderr
    assert "ended by answered: A" in verbose.stderr


def test_traces_go_to_standard_output(plaudit, engine, tools, questions) -> None:
    done = plaudit("rollout", questions, "-e", engine, "-t", tools, "-o", "-")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [
        f"q{n}/0" for n in range(5)
    ]
    assert "5 questions" in done.stderr


def test_traces_go_to_a_table_that_is_read_again(
    plaudit, engine, tools, questions, tmp_path
) -> None:
    table, lines = tmp_path / "out.parquet", tmp_path / "out.jsonl"
    for out in (table, lines):
        plaudit("rollout", questions, "-e", engine, "-t", tools, "-o", out, "--limit", 2)
    assert list(read_traces(table)) == list(read_traces(lines))


def test_the_policy_is_never_told_the_answer(plaudit, tools, tmp_path) -> None:
    """The script fails on every request that holds a gold answer or what supports it."""
    gold = {"answer": "the gold answer", "supporting_text": "the gold passage"}
    engine = script(
        tmp_path,
        {"match": {"contains": "gold"}, "replies": [{"error": "bad_request"}]},
        {"match": {"turn": "0"}, "replies": [call("x")]},
        {"match": {}, "replies": [{"text": "y"}]},
    )
    rows = [question(n, chunk_ids=["gold-chunk"], note="gold too") | gold for n in range(3)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    done = plaudit("rollout", source, "-e", engine, "-t", tools, "--json")
    assert done.summary["stop_reasons"] == {"answered": 3}


def test_two_runs_are_compared_question_by_question(
    plaudit, engine, tools, questions, tmp_path
) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    asked = ("rollout", questions, "-e", engine, "-t", tools, "--rewards", spec(tmp_path))
    plaudit(*asked, "-o", first)
    plaudit(*asked, "-o", second, "--max-turns", 1)
    done = plaudit("compare", first, second, "--json")
    measures = done.summary["measures"]
    assert measures["correctness"]["difference"]["value"] == -0.25
    assert (measures["correctness"]["questions"], measures["correctness"]["worse"]) == (4, 1)
    assert measures["answered"]["second"] == 0
    shown = plaudit("compare", first, second)
    assert "-0.250" in shown.stdout
    assert "5 questions in both" in shown.stdout
    assert plaudit("compare", first, tmp_path / "none.jsonl").status == 2


def spec(tmp_path: Path) -> Path:
    path = tmp_path / "rewards.toml"
    path.write_text('[rewards.correctness]\nby = "rules"\n')
    return path


def test_spans_are_exported_to_where_the_environment_says(
    plaudit, engine, tools, questions
) -> None:
    posted: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            posted.append((self.path, self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        plaudit.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
        done = plaudit("rollout", questions, "-e", engine, "-t", tools, "--otel", "--json")
        server.shutdown()
        thread.join()
    assert done.status == 1, done.stderr
    assert {path for path, _ in posted} == {"/v1/traces"}
    scored = b"".join(body for _, body in posted)
    assert b"invoke_agent plaudit" in scored
    assert b"execute_tool search" in scored


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--tools-as", "smoke"], 2, "--tools-as is 'smoke'"),
        (["--tools-as", "native"], 0, ""),
        (["--tokens", "many"], 2, "--tokens is 'many'"),
        (["--split", "dev"], 2, "--split is 'dev'"),
        (["--qa-log", "x.jsonl"], 2, "add --verifier"),
        (["--system", "nowhere.jinja"], 2, "nowhere.jinja"),
        (["--rewards", "nowhere.toml"], 2, "nowhere.toml"),
        (["-t", "nothing:here"], 2, "nothing"),
        (["-e", "scripted:nowhere.jsonl"], 2, "nowhere.jsonl"),
        (["-o", "/nowhere/out.jsonl"], 2, "/nowhere"),
        (["--max-turns", "0"], 2, "--max-turns"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(
    plaudit, tools, tmp_path, flags, status, message
) -> None:
    engine = script(tmp_path, {"match": {}, "replies": [call("x"), {"text": "y"}]})
    source = write_rows(tmp_path / "in.jsonl", [question(0)])
    done = plaudit("rollout", source, "-e", engine, "-t", tools, "--max-turns", "1", *flags)
    assert done.status == status, done.stderr
    assert message in done.stderr


def test_an_engine_that_cannot_be_used_ends_the_run_at_once(
    plaudit, tools, questions, tmp_path
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("before\n")
    engine = script(tmp_path, {"match": {}, "replies": [{"error": "unusable"}]})
    done = plaudit("rollout", questions, "-e", engine, "-t", tools, "-o", out)
    assert done.status == 3
    assert out.read_text() == "before\n"
    gone = plaudit("rollout", questions, "-e", "openai:m@http://127.0.0.1:9/v1", "-t", tools)
    assert gone.status == 3


def test_an_interrupted_run_goes_on_and_is_listed(plaudit, tools, tmp_path) -> None:
    slow = {"text": "slow", "delay": 0.4}
    engine = script(
        tmp_path,
        {"match": {"turn": "0"}, "replies": [call("x")]},
        {"match": {}, "replies": [slow]},
    )
    source = write_rows(tmp_path / "in.jsonl", [question(n) for n in range(40)])
    out = tmp_path / "out.jsonl"
    command = (
        "rollout",
        source,
        "-e",
        engine,
        "-t",
        tools,
        "-o",
        out,
        "--json",
        "--concurrency",
        4,
    )
    process = plaudit.start(*command)
    log = tmp_path / "searches.log"
    end = time.monotonic() + 60
    while not log.exists() or len(log.read_text().splitlines()) < 20:
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)
    assert process.returncode == 130
    assert not out.exists()
    assert "interrupted" in plaudit("runs").stdout
    done = plaudit(*command)
    assert done.status == 0, done
    assert [t["question_id"] for t in rows_of(out)] == [f"q{n}" for n in range(40)]
    assert 0 < done.summary["cached"] < 40
    assert done.summary["engine_calls"] < 80
    assert done.summary["run"] == "rollout-0001"
    shown = plaudit("show", "last")
    assert (shown.status, "its output" in shown.stderr) == (2, True)


def test_killed_and_given_again_none_is_lost_and_none_is_there_twice(
    plaudit, tools, tmp_path
) -> None:
    engine = script(
        tmp_path,
        {"match": {"turn": "0"}, "replies": [call("x") | {"delay": 0.02}]},
        {"match": {}, "replies": [{"text": "done", "delay": 0.05}]},
    )
    source = write_rows(tmp_path / "in.jsonl", [question(n) for n in range(150)])
    out, log = tmp_path / "out.jsonl", tmp_path / "searches.log"
    command = ("rollout", source, "-e", engine, "-t", tools, "-o", out, "-n", 2, "--json")
    flags = ("--concurrency", 8)
    for searches in (40, 120):
        process = plaudit.start(*command, *flags)
        end = time.monotonic() + 60
        while not log.exists() or len(log.read_text().splitlines()) < searches:
            assert time.monotonic() < end
            time.sleep(0.01)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
    done = plaudit(*command, *flags)
    assert done.status == 0, done
    assert [t["id"] for t in rows_of(out)] == [f"q{n}/{d}" for n in range(150) for d in range(2)]
    assert done.summary["cached"] > 50
    assert done.summary["engine_calls"] <= 600 - 2 * 50
    assert len(log.read_text().splitlines()) <= 300 + 2 * 2 * 16 + 60  # those in flight at a kill


def serving(folder: Path, *replies: str) -> Any:
    """Samples a reply a turn; the texts lack special tokens, as those of servers do."""
    tokenizer = load_tokenizer(folder)

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        prompt = tokenizer.native.decode(body["prompt"], skip_special_tokens=False)
        ids = tokenizer.ids(replies["It was" in prompt])
        text = tokenizer.native.decode(ids, skip_special_tokens=True)
        logprobs = {"tokens": [], "token_logprobs": [-0.5] * len(ids), "top_logprobs": None}
        done = completion(text, token_ids=ids)
        done["choices"][0]["logprobs"] = logprobs
        done["usage"] = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}
        return done | {"prompt_token_ids": body["prompt"]}

    return reply


@pytest.mark.parametrize(
    ("template", "call", "answer", "tools_as"),
    [
        (
            HARMONY,
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary "
            'to=functions.search <|constrain|>json<|message|>{"query": "gold"}<|call|>',
            "<|channel|>final<|message|>gold 0<|return|>",
            "template",
        ),
        (
            TURNS.replace("CALLS", "<@{{ m.tool_calls[0].function.arguments }}@>"),
            '<tool_call>{"name": "search", "arguments": {"query": "gold"}}</tool_call><|im_end|>',
            "gold 0<|im_end|>",
            "hermes",
        ),
    ],
    ids=["read back", "text form"],
)
def test_defect_22_a_call_is_never_the_answer(
    plaudit, tools, tmp_path, template, call, answer, tools_as
) -> None:
    folder = write_model(template, tmp_path / "model")
    asked = write_rows(tmp_path / "q.jsonl", [question(0)])
    out = tmp_path / "out.jsonl"
    with FakeOpenAI(serving(folder, call, answer)) as server:
        engine = f"vllm:fake-model@{server.url}"
        done = plaudit(
            "rollout", asked, "-e", engine, "-t", tools, "--tokenizer", folder, "-o", out, "--json"
        )  # fmt: skip
    (trace,) = rows_of(out)
    assert (trace["final_answer"], trace["tokens"]["exactness"]) == ("gold 0", "exact")
    assert [one["arguments"] for one in trace["tool_calls"]] == [{"query": "gold"}]
    assert (tmp_path / "searches.log").read_text() == "gold\n"
    summary = done.summary
    assert (done.status, summary["tools_as"]) == (0, tools_as)
    said = [note for note in summary["notes"] if "cannot be read back" in note]
    assert len(said) == (tools_as == "hermes")
