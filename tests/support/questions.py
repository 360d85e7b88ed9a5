"""A scripted model that writes questions about documents of our own."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plaudit.engines.callable import CallableEngine
from tests.support.command import write_rows

WHY = {
    "question": "Why did Pavel Stroh not sail with Alder?",
    "answer": "he had nursed his brother through scarlet fever",
    "supporting_text": "Stroh nursed his brother through scarlet fever",
    "difficulty": "medium",
}
WHO = {
    "question": "Who took the place of Pavel Stroh on Alder?",
    "answer": "Lene Moor",
    "supporting_text": "Lene Moor, who had been his understudy, was\ntaken in his place",
    "difficulty": "easy",
}
YEAR = {
    "question": "When was Alder's older sounding machine built?",
    "answer": "1889",
    "supporting_text": "The older one was built in 1889",
    "difficulty": "easy",
}


def reply(*questions: Any) -> dict[str, Any]:
    return {"text": json.dumps({"questions": questions})}


NOTHING = reply()


def line(match: Mapping[str, str], *replies: Mapping[str, Any]) -> dict[str, Any]:
    return {"match": match, "replies": list(replies)}


def passage(text: str) -> dict[str, str]:
    """Match a passage that begins so."""
    return {"contains": f"[[passage]]\n{text}"}


def answering(answer: Callable[[str], str]) -> CallableEngine:
    """Return an engine that answers each prompt with a function."""

    def all_of(prompts: Sequence[str]) -> list[str]:
        return [answer(prompt) for prompt in prompts]

    return CallableEngine(all_of, name="answering")


def script(folder: Path, lines: Sequence[Mapping[str, Any]], name: str = "script.jsonl") -> str:
    return f"scripted:{write_rows(folder / name, list(lines))}"
