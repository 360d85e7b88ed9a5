"""The rows that every adapter and every dialect scores, and the forms that trainers give them."""

import random
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
Values = Sequence[float | None]

UNSCORED = -99.0
"""Stands for a missing value where the trainer takes no null; no reward here is as low."""
SEED = 15
ROWS = 200


def single_turns(seed: int = SEED, count: int = ROWS) -> list[Row]:
    """Rows of one turn: right, wrong, undecided, without a reference, empty, unicode, long."""
    random_ = random.Random(seed)
    makers = (_right, _wrong, _undecided, _no_reference, _empty, _unicode, _long, _plain)
    return [makers[number % len(makers)](random_, number) for number in range(count)]


def _sum(random_: random.Random) -> tuple[str, int]:
    a, b = random_.randrange(2, 90), random_.randrange(2, 90)
    return f"What is {a} + {b}?", a + b


def _right(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    said = random_.choice(["{}", "The sum is {}.", "<think>Let me add.</think>\n\nIt is **{}**."])
    return {"prompt": asked, "completion": said.format(found), "answer": str(found)}


def _wrong(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    return {"prompt": asked, "completion": f"The answer is {found + 1}.", "answer": str(found)}


def _undecided(random_: random.Random, number: int) -> Row:
    keeper = random_.choice(["Ada Brenning", "Tomas Lind", "Ruth Okafor"])
    said = "It was the keeper who stayed through the second winter on the island."
    return {"prompt": f"Who kept lamp {number}?", "completion": said, "answer": keeper}


def _no_reference(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    return {"prompt": asked, "completion": str(found), "answer": None}


def _empty(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    return {"prompt": asked, "completion": random_.choice(["", "\n"]), "answer": str(found)}


def _unicode(random_: random.Random, number: int) -> Row:
    town = random_.choice(["Zürich", "東京", "Αθήνα", "São Paulo", "القاهرة"])
    said = random_.choice([town, f"🧭 {town}!", "Łódź"])
    return {"prompt": f"Welche Stadt ist № {number}? 🗺️", "completion": said, "answer": town}


def _long(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    said = "I count on and on. " * random_.randrange(10, 300) + f"So it is {found}."
    return {"prompt": asked, "completion": said, "answer": str(found)}


def _plain(random_: random.Random, number: int) -> Row:
    boat = random_.choice(["the boat", "the sledge", "in the tent"])
    return {
        "prompt": 'Where was the rope?\nSay "unknown" if nobody wrote it down.',
        "completion": boat.capitalize() + ".",
        "answer": random_.choice([boat, "the boat"]),
    }


def tool_chats(seed: int = SEED, count: int = 24) -> list[Row]:
    """Rows of several turns: calls, results, answers; some end on a result."""
    random_ = random.Random(seed)
    return [_tool_chat(random_, number) for number in range(count)]


def _tool_chat(random_: random.Random, number: int) -> Row:
    place = random_.choice(["boat", "sledge", "tent"])
    completion: list[Row] = []
    for turn in range(random_.randrange(0, 3)):
        function = {"name": "search", "arguments": f'{{"query": "rope {turn}"}}'}
        call = {"id": f"c{turn}", "type": "function", "function": function}
        completion.append({"role": "assistant", "content": "", "tool_calls": [call]})
        text = f"Note {turn}: the rope was in the {place}."
        completion.append({"role": "tool", "tool_call_id": f"c{turn}", "content": text})
    if number % 5 or not completion:
        said = random_.choice([f"In the {place}.", "In the hut.", "It is not known."])
        completion.append({"role": "assistant", "content": said})
    prompt = [
        {"role": "system", "content": "Search, then answer."},
        {"role": "user", "content": f"Where was the rope on day {number}?"},
    ]
    answer = None if number % 7 == 3 else place
    return {"prompt": prompt, "completion": completion, "answer": answer}


# Forms of a row


def messages(row: Row, column: str, role: str) -> list[Row]:
    given = row[column]
    return [{"role": role, "content": given}] if isinstance(given, str) else given


def asked(row: Row) -> list[Row]:
    return messages(row, "prompt", "user")


def wrote(row: Row) -> list[Row]:
    return messages(row, "completion", "assistant")


def without(value: float) -> float | None:
    return None if value == UNSCORED else value
