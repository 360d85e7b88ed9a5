"""What identifies rollouts, what they ask, what they write down and how it is scored."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit import SendPolicy
from plaudit.rollouts import evaluate, load_rewards, read_traces, rollout, score_traces
from tests.golden.session import Session, check, digest, shown

FORMS = (
    "native", "json", "hermes", "llama", "qwen", "mistral", "glm", "harmony", "gemma", "deepseek",
    "kimi", "lfm2", "minimax",
)  # fmt: skip
QUERY = {"query": "hut above the sea"}
SCRIPT = [
    {
        "match": {"turn": "0", "contains": "high above"},
        "replies": [{"tool_calls": [{"name": "search", "arguments": QUERY}]}],
    },
    {
        "match": {"turn": "0", "contains": "fire"},
        "replies": [
            {"tool_calls": [{"name": "search", "arguments": {"query": "fire in the workshop"}}]}
        ],
    },
    {"match": {"turn": "0", "contains": "dogs"}, "replies": [{"text": "<think>Hm.</think>All."}]},
    {"match": {"turn": "1", "contains": "31 metres"}, "replies": [{"text": "31 metres"}]},
    {"match": {"turn": "1", "contains": "seal-oil stove"}, "replies": [{"text": "A spark."}]},
    {"match": {}, "replies": [{"text": "I do not know."}, {"text": "29"}]},
]
AGAIN = [
    {"match": {"turn": "0"}, "replies": [{"tool_calls": [{"name": "search", "arguments": QUERY}]}]},
    {"match": {"contains": "How many"}, "replies": [{"text": "29"}]},
    {"match": {}, "replies": [{"text": "I do not know."}]},
]
NUMBERED = [
    {
        "match": {},
        "replies": [
            {
                "text": "31 metres",
                "token_ids": [5, 6, 7],
                "token_logprobs": [-0.1, -0.2, -0.3],
                "prompt_token_ids": [1, 2, 3, 4],
            }
        ],
    }
]
OWN = '''
def clock(city: str, hours: int = 0) -> str:
    """Say what time it is.

    Args:
        city: where.
        hours: how much later.
    """
    return f"noon in {city}"


def polite(trace, word="please"):
    """Whether the answer is polite."""
    return None if trace.final_answer is None else float(word in trace.final_answer.lower())
'''
SPEC = """
[rewards.correctness]
by = "rules"

[rewards.polite]
function = "own.py:polite"
arguments = {word = "metres"}
low = 0
high = 1
weight = 0.2
on_none = "renormalise"
"""
PASSAGE = "he nursed his brother through scarlet fever"


def asked(question: str, answer: str, text: str) -> dict[str, str]:
    return {
        "question": question, "answer": answer, "supporting_text": text, "difficulty": "easy",
    }  # fmt: skip


WRITER = [
    {
        "match": {"contains": "[[passage]]\n### 1.1"},
        "replies": [{"text": json.dumps({"questions": [
            asked("Why did Pavel Stroh not sail with Alder?", f"he had {PASSAGE[3:]}", PASSAGE),
            asked("What does the passage say about Lene Moor?", "she was taken", ""),
        ]})}],
    },
    {"match": {}, "replies": [{"text": json.dumps({"questions": []})}]},
]  # fmt: skip
TEST = ("rollout", "examples/questions.jsonl", "--split", "test", "--date", "2026-11-21")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = Session(tmp_path)
    session.write("script.jsonl", SCRIPT)
    session.write("again.jsonl", AGAIN)
    session.write("numbered.jsonl", NUMBERED)
    session.write("own.py", OWN)
    session.write("mine.toml", SPEC)
    session.write("system.jinja", "Answer briefly. Today is {{ date }}.\n")
    session.run("corpus", "build", "examples/expedition.md", "-o", "index", log=False)
    return session


def test_rollouts_ask_and_write_the_same(session: Session) -> None:
    run = (*TEST, "-t", "search:index", "--json")
    engine = ("-e", "scripted:script.jsonl")
    rewards = ("--rewards", "default", "--qa-log", "answers.jsonl")
    session.run(*run, *engine, "-o", "traces.jsonl", *rewards)
    session.run(*run, *engine, "-o", "three.jsonl", "-n", "3", "--seed", "4", "--limit", "1")
    session.run(*run, "-e", "scripted:again.jsonl", "-o", "again.traces.jsonl", *rewards)
    session.run("compare", "traces.jsonl", "again.traces.jsonl", "--json")
    session.run("score", "traces.jsonl", "--rewards", "mine.toml", "-o", "mine.jsonl", "--json")
    session.run("score", "traces.jsonl", "--rewards", "default", "-o", "default.jsonl", "--json")
    session.run("pairs", "three.jsonl", "default.jsonl", "-o", "pairs.jsonl", "--json")
    session.show_files(
        "*.traces.jsonl", "t*.jsonl", "answers.jsonl", "mine.jsonl", "default.jsonl", most=900
    )
    session.show_store()
    check("rollouts", session.record)


def test_an_option_makes_the_same_rollouts(session: Session) -> None:
    run = (*TEST, "-e", "scripted:script.jsonl", "--limit", "2", "--json")
    for number, options in enumerate(OPTIONS):
        session.run(*run, "-o", f"{number}.jsonl", *options)
    session.show_files("[0-9].jsonl", most=900)
    session.show_store()
    check("rollouts options", session.record)


OPTIONS = (
    (),
    ("--max-turns", "1", "-t", "search:index?k=2"),
    ("--system", "system.jinja", "-t", "own.py:clock"),
    ("--temperature", "0.5", "--top-p", "0.9", "--seed", "9", "--generation", "top_k=3"),
    ("--max-new-tokens", "50", "--max-tool-calls", "1", "-t", "search:index"),
    ("--verifier", "none:", "--tokens", "off"),
    ("-e", "scripted:numbered.jsonl", "--tokens", "exact", "--tokenizer", "examples/tokenizer"),
    ("-e", "scripted:numbered.jsonl", "--max-length", "4"),
)


@pytest.mark.parametrize("form", FORMS)
def test_tools_are_shown_to_a_model_the_same(session: Session, form: str) -> None:
    tools = ("-t", "search:index", "-t", "own.py:clock", "--tools-as", form)
    engine = ("-e", "scripted:script.jsonl")
    session.run(*TEST, *engine, "--limit", "1", "-o", "out.jsonl", *tools, "--json")
    session.show_files("out.jsonl", most=900)
    session.show_store()
    check(f"rollouts tools {form}", session.record)


def test_a_corpus_and_its_questions_are_the_same(session: Session) -> None:
    session.write("writer.jsonl", WRITER)
    session.run(
        "corpus", "build", "examples/alder.md", "-o", "alder", "--chunk-size", "500", "--json"
    )
    session.run("corpus", "search", "alder", "Why was the navigator replaced?", "-k", "2", "--json")
    questions = ("corpus", "questions", "alder", "-e", "scripted:writer.jsonl")
    session.run(*questions, "-o", "questions.jsonl", "--json")
    session.show_files("questions.jsonl")
    session.show_store()
    check("corpus", session.record)


def test_python_rolls_out_the_same(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(session.folder)
    options: Any = {
        "cache": "home/store.sqlite", "date": "2026-11-21", "send": SendPolicy(concurrency=2),
    }  # fmt: skip
    engine, questions = "scripted:script.jsonl", "examples/questions.jsonl"
    found = rollout(
        engine, questions, ["search:index"], split="test", samples_per_question=2,
        rewards="default", tokenizer="examples/tokenizer", **options,
    )  # fmt: skip
    measured = evaluate(
        engine, ["How high above the sea?", {"question": "A fire?", "answer": "a spark"}],
        verifier="none:", **options,
    )  # fmt: skip
    scored = score_traces(read_traces(_traces(session)), "mine.toml")
    session.record["python"] = {
        "completion ids": [digest(str(ids)) for ids in found.completion_ids],
        "masks": [digest(str(mask)) for mask in found.masks],
        "rewards": found.values,
        "accuracy": repr(measured.accuracy),
        "fingerprint": load_rewards("mine.toml").fingerprint,
        "scores": [shown(msgspec.json.encode(trace).decode(), 10) for trace in scored],
    }
    session.show_store()
    check("python rollouts", session.record)


def _traces(session: Session) -> Path:
    run = (*TEST, "-e", "scripted:script.jsonl", "-t", "search:index")
    session.run(*run, "-o", "traces.jsonl", "--json", "--tokens", "off")
    return session.folder / "traces.jsonl"


def test_what_is_shown_of_rollouts_is_the_same(session: Session) -> None:
    run = (*TEST, "-t", "search:index", "-e")
    rewards = ("--rewards", "default")
    session.run(*run, "scripted:script.jsonl", "-o", "traces.jsonl", *rewards)
    session.run(*run, "scripted:again.jsonl", "-o", "again.traces.jsonl", *rewards)
    session.run("compare", "traces.jsonl", "again.traces.jsonl")
    session.run("score", "traces.jsonl", "--rewards", "mine.toml")
    session.run("score", "--probe")
    session.run("score", "--probe", "--rewards", "mine.toml")
    session.run("rollout", "examples/feedback.jsonl", "-e", "scripted:script.jsonl")
    session.run(*run, "scripted:script.jsonl", "--date", "today")
    session.run(*run, "scripted:script.jsonl", "-t", "nothing.py:clock")
    check("screens rollouts", session.record)
