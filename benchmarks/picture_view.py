"""Picture pages of the viewer for README and docs/reference/view.md.

    python benchmarks/picture_view.py [FOLDER]

The verdicts, the trace and the labels are made up. The pages are those that `plaudit view` sends,
as Chromium (`chromium` on the PATH) shows them: each is opened by the URL with its token.
"""

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from screenshot import screenshot
from view import viewing

OUT = Path(__file__).parents[1] / "docs" / "images"
COLORS = 96
REACTIONS = {
    "pos_praise": ("Perfect, that is the clearest answer I got.", 0.8),
    "pos_progress": ("Good. Now the same for the second table.", 0.4),
    "neutral": ("And what about Tuesday?", 0.0),
    "neg_confusion": ("Wait, what is a burr?", -0.6),
    "neg_correction": ("No, the invoice is from March, not May.", -0.8),
}
ASKED = (
    ("Which invoice is still open?", "The one of **May** is open:\n\n- number 118\n- 240 euros"),
    ("How do I clean a coffee grinder?", "Brush the *burrs*, then wipe the bin. No water."),
    ("Plan a day in Oslo in January.", "1. The fortress\n2. Lunch at the harbour\n3. The museum"),
)


def verdicts(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return verdicts of a judge of user reactions that does not exist."""
    draw = random.Random(seed)
    found: list[dict[str, Any]] = []
    for number in range(count):
        value = draw.choices(list(REACTIONS), (5, 8, 6, 2, 3))[0]
        text, reward = REACTIONS[value]
        query, answer = draw.choice(ASKED)
        confidence = round(draw.betavariate(5, 1.3), 3)
        shares = {name: draw.random() for name in REACTIONS if name != value}
        left = (1 - confidence) / sum(shares.values())
        shares = {value: confidence} | {name: one * left for name, one in shares.items()}
        ok = confidence >= 0.6
        label = value if draw.random() < confidence else draw.choice(list(REACTIONS))
        found.append({
            "index": number, "id": f"chat-{number:04}", "status": "ok" if ok else "abstained",
            "value": value, "confidence": confidence,
            "reward": round(reward * confidence + draw.gauss(0, 0.04), 3) if ok else None,
            "probabilities": shares, "fields": {"raw_confidence": confidence},
            "judge": "feedback/0123456789ab", "metadata": {"label": label},
            "usage": {"input_tokens": 1100, "output_tokens": 1},
            "error": None if ok else {"cause": "below_gate", "message":
                                      f"confidence {confidence} is under the gate of 0.6"},
            "input": {"query": query, "answer": answer, "follow_up": text},
        })  # fmt: skip
    return found


def traces() -> list[dict[str, Any]]:
    """Return four rollouts of one question."""
    question = "How high above the sea did the hut stand?"
    found: list[dict[str, Any]] = []
    for draw, (answer, value) in enumerate(
        (("31 metres", 1.0), ("13 metres", 0.0), ("31 m", 1.0), ("It is not said.", 0.1))
    ):
        search = {"name": "search", "arguments": '{"query": "hut above the sea"}'}
        call = {"id": "c1", "type": "function", "function": search}
        found.append({
            "id": f"skarvik-08/{draw}", "question_id": "skarvik-08", "group": "skarvik-08",
            "draw": draw, "question": {"question": question, "answer": ["31 metres", "31 m"]},
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content":
                 "The hut stood on a shelf of rock 31 metres above the sea."},
                {"role": "assistant", "content": answer},
            ],
            "turns": [{"reasoning": "The report should say it. I search for the hut.",
                       "usage": {"output_tokens": 38}}, {"usage": {"output_tokens": 9}}],
            "tool_calls": [{"id": "c1", "name": "search", "status": "ok", "seconds": 0.02}],
            "stop_reason": "answered", "final_answer": answer,
            "rewards": {"total": {"value": value, "reason": "correctness, times 1"},
                        "correctness": {"value": value, "reason": "compared as a quantity"},
                        "grounding": {"value": None, "cause": "nothing_to_check",
                                      "reason": "no quotation"}},
            "tokens": {"mask": [0] * 120 + [1] * 38 + [0] * 44 + [1] * 9, "prompt_length": 120,
                       "forks": 0, "truncated": 0, "exactness": "exact"},
            "timing": {"total": 1.42, "engine": 1.31, "tools": 0.02},
            "usage": {"input_tokens": 322, "output_tokens": 47}, "engine": "vllm:agent",
        })  # fmt: skip
    return found


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def picture(out: Path) -> None:
    """Draw the table, a trace and a sample to be labelled."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        chats = write(home / "chats.jsonl", verdicts(600))
        agent = write(home / "agent.jsonl", traces())
        for file, name, place, size in (
            (chats, "view_table.png", "", (1280, 860)),
            (chats, "view_verdict.png", "/3", (1280, 1130)),
            (agent, "view_trace.png", "/0", (1280, 1330)),
            (chats, "view_label.png", "label", (1280, 800)),
        ):
            with viewing(file, home) as viewer:
                path = viewer.path.replace("/d/", "/label/") if place == "label" else viewer.path
                row = "" if place == "label" else place
                screenshot(viewer.address(path + row), out / name, size, COLORS)


if __name__ == "__main__":
    picture(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
