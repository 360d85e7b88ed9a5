"""Judges with a known fault, as Python functions behind the engine that users give them to."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

from plaudit.bench.audit.items import probes, shipped_base
from plaudit.bench.audit.run import AuditDone, AuditOptions, AuditRecord, run_audit
from plaudit.engines.callable import CallableEngine
from plaudit.io.progress import Progress
from plaudit.judges.config import JudgeConfig
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import RunSettings
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store

Answer = Callable[[str], str]

RIGHT = {item.right or "" for item in shipped_base("pairwise").items} | {
    version.right or "" for probe in probes() for version in probe.versions.values()
}
_PAIR = re.compile(
    r"\[\[A, the first response\]\]\n(.*?)\n"
    r"\[\[B, the second response\]\]\n(.*?)\n\[\[decision\]\]",
    re.DOTALL,
)
_RESPONSE = re.compile(r"\[\[response to grade\]\]\n(.*?)\n\[\[grade\]\]", re.DOTALL)


def sides(prompt: str) -> tuple[str, str]:
    found = _PAIR.search(prompt)
    assert found is not None
    return found[1], found[2]


def response(prompt: str) -> str:
    found = _RESPONSE.search(prompt)
    assert found is not None
    return found[1]


def choose(choice: str) -> str:
    texts = ("analysis of A", "analysis of B", "reason of A=B", "reason of A>B", "reason of B>A")
    return json.dumps({**dict.fromkeys(texts, "-"), "choice": choice})


def grade(score: int) -> str:
    texts = ("intent", "checklist", "strengths", "weaknesses")
    return json.dumps({**dict.fromkeys(texts, "-"), "score": score})


def better(a: float, b: float) -> str:
    return choose("A=B" if a == b else "A++" if a > b else "B++")


def is_right(text: str) -> bool:
    return any(right in text for right in RIGHT)


def fair(prompt: str) -> str:
    a, b = sides(prompt)
    return better(is_right(a), is_right(b))


def first(prompt: str) -> str:
    del prompt
    return choose("A++")


def longer(prompt: str) -> str:
    a, b = sides(prompt)
    return better(len(a), len(b))


def believer(prompt: str) -> str:
    a, b = ('"choice"' in side or "Verdict:" in side for side in sides(prompt))
    return fair(prompt) if a == b else better(a, b)


def thinker(prompt: str) -> str:
    text = response(prompt)
    return grade(10 if text.strip() == "Thought process:" or is_right(text) else 2)


def silent(prompt: str) -> str:
    del prompt
    return "I would rather not say."


def audit(
    answer: Answer, home: Path, kind: str = "pairwise", items: int = 30, **options: list[str]
) -> AuditDone:
    """Audit a planted judge on shipped items."""

    def complete(prompts: list[list[dict[str, str]]]) -> list[str]:
        return [answer(prompt[-1]["content"]) for prompt in prompts]

    engine = CallableEngine(complete, name=answer.__name__, mode="chat", gather=0.001)
    asked = AuditOptions(items=items, **options)
    record = AuditRecord(judge=JudgeConfig(kind=kind), engine=engine.uri, options=asked)
    base = shipped_base(kind, items)
    with Store(home / "store.sqlite") as store:
        settings = RunSettings(
            store=store, progress=Progress("audit", enabled=False), send=SendPolicy(),
            cache=CachePolicy(), prices=Prices(),
        )  # fmt: skip
        return asyncio.run(run_audit(settings, record, engine, base, home / "rows"))


def found(done: AuditDone) -> set[str]:
    """What an audit accuses a judge of."""
    return {one.name for one in (*done.results.effects, *done.results.attacks) if one.found}
