"""A harmless row for each kind of judge, by which an engine is tried."""

from collections.abc import Mapping

from plaudit.judge import Judge
from plaudit.types import Json, Verdict

_ROWS: Mapping[str, dict[str, Json]] = {
    "feedback": {"query": "What is 2 + 2?", "answer": "4.", "follow_up": "Thank you."},
    "pointwise": {"prompt": "What is 2 + 2?", "response": "4."},
    "pairwise": {"prompt": "What is 2 + 2?", "response_a": "4.", "response_b": "5."},
    "verify": {
        "question": "Why is the sky blue?",
        "answer": "Air scatters short waves of light the most.",
        "reference": "Rayleigh scattering",
    },
}


async def probe_judge(judge: Judge) -> Verdict | None:
    """Have a judge judge a harmless row anew; None: there is no such row for its kind.

    Raises:
        EngineUnusableError: its engine can answer nothing.
    """
    row = _ROWS.get(judge.config.kind)
    return None if row is None else await judge.ajudge(row, cache=False)
