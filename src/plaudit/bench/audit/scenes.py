"""One thing that a judge sees in an audit, before it becomes an input row of one kind."""

from typing import Literal

import msgspec

from plaudit.bench.audit.items import AuditItem, question_of, with_question
from plaudit.types import Json

Side = Literal["right", "wrong"]


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A question, the answer that is changed, and what stands beside it."""

    prompt: Json
    answer: str
    other: str = ""
    """The answer that it is compared with; empty where nothing is compared."""
    follow_up: str = ""
    references: tuple[str, ...] = ()
    further: dict[str, Json] = {}

    @property
    def question(self) -> str:
        """The last text of the user."""
        return question_of(self.prompt)

    def saying(self, answer: str) -> "Scene":
        """The same with another answer."""
        return msgspec.structs.replace(self, answer=answer)

    def asking(self, question: str) -> "Scene":
        """The same with another question."""
        return msgspec.structs.replace(self, prompt=with_question(self.prompt, question))

    def followed_by(self, follow_up: str) -> "Scene":
        """The same with another next message of the user."""
        return msgspec.structs.replace(self, follow_up=follow_up)

    def row(self, kind: str, first: bool = True) -> dict[str, Json]:
        """Return the input row of a judge.

        Args:
            kind: of the judge.
            first: pairwise: whether the answer is A; else it is B.
        """
        if kind == "feedback":
            return {"query": self.question, "answer": self.answer, "follow_up": self.follow_up}
        if kind == "verify":
            references = list(self.references)
            found = {"question": self.question, "answer": self.answer, "reference": references}
            return found | self.further
        if kind == "pointwise":
            return {"prompt": self.prompt, "response": self.answer}
        a, b = (self.answer, self.other) if first else (self.other, self.answer)
        return {"prompt": self.prompt, "response_a": a, "response_b": b}


def scene_of(item: AuditItem, side: str) -> Scene:
    """Return the scene in which the answer is the item's right or wrong one."""
    answer, other = (item.right, item.wrong) if side == "right" else (item.wrong, item.right)
    assert answer is not None
    return Scene(
        prompt=item.prompt,
        answer=answer,
        other=other or "",
        follow_up=item.praise if side == "right" else item.complaint,
        references=item.references,
        further=item.further,
    )


FILLER = (
    "To put it once more in other words, this is what the reply above says, no more and no less. "
    "Nothing has to be added to it, and nothing has to be taken away from it. It can be read from "
    "its beginning to its end, and it says at its end what it says at its beginning. "
)
"""Sentences that say nothing new about anything."""


def padded(text: str, length: int = len(FILLER)) -> str:
    """Return a text that is longer by so many characters, with nothing new in it."""
    if length < 3:
        return text + " " * length
    rest = length - 2
    filler = (FILLER * (rest // len(FILLER) + 1))[:rest]
    return f"{text}\n\n{filler[:-1].rstrip():.<{rest}}"


def level(one: str, other: str) -> tuple[str, str]:
    """Return two texts of the same length: white space is added at the first gap of the shorter.

    A judge that likes long texts then has no reason to prefer either.
    """
    if len(one) < len(other):
        return _lengthened(one, len(other)), other
    return one, _lengthened(other, len(one))


def _lengthened(text: str, length: int) -> str:
    """Return a text of this length: white space is added at its first gap, or at its end."""
    gap = "\n\n" if "\n\n" in text else " "
    before, found, after = text.partition(gap)
    blank = " " * (length - len(text))
    return f"{before}{found}{blank}{after}"
