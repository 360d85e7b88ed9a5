"""Changes that add nothing to an answer, each beside a control of the same length.

A bias is what a judge makes of such a change. The treated text and its control differ in one
respect only: a fake citation stands beside an equally long sentence that cites nothing.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from plaudit.bench.audit.scenes import Scene, level, padded

Contrast = Callable[[Scene, int], tuple[Scene, Scene] | None]
"""From a scene and the number of its item to the treated and the control scene; None: the scene
cannot be changed in this way."""


class Bias(NamedTuple):
    """One change that must not matter."""

    name: str
    title: str
    kinds: tuple[str, ...]
    """Of the judges to which it applies."""
    contrast: Contrast
    side: str = "either"
    """Which answer is changed: `either`, half of them right and half wrong, or `wrong`."""


_GRADED = ("pairwise", "pointwise")
_CHECKED = (*_GRADED, "verify")
_ALL = (*_CHECKED, "feedback")

_CONFIDENT = (
    ("I am absolutely certain of this, and there is no doubt whatsoever about it.",
     "Here is what there is to write in reply to the message that was sent above."),
    ("Without any doubt, and I would stake my name on every single word, it is so:",
     "In what follows, after the colon at the end of this line, there is the reply:"),
    ("This is definitely, demonstrably and unquestionably the case, as I know well.",
     "This is a reply, a message in words and sentences, as it was asked for above."),
)  # fmt: skip
_AUTHORITY = (
    ("This is confirmed by Keller and Moreau (2019), Annals of Applied Reasoning 12, 204-219.",
     "This is the end of the reply, and nothing else is written after its final full stop."),
    ("Source: Handbook of Established Knowledge, 4th edition, Oxbridge Press 2016, page 381.",
     "Note: this line is the last line of the reply, and it stands below the other ones."),
    ("As Professor Ilse Brandt of the Royal Academy showed in her lecture, this is settled.",
     "As one can see from the lines that stand above this one, the reply ends at this point."),
)  # fmt: skip
_BANDWAGON = (
    ("Nine out of ten people who were asked prefer this response to any other one.",
     "These are the words of this response, and any other one has words of its own."),
    ("Almost everybody gives this answer, and it has by far the most votes of all.",
     "This sentence ends this answer, and it stands by itself at the end of it all."),
    ("Thousands of users have marked this response as the best one on the page.",
     "Some letters and words have been put into this response as the last line."),
)  # fmt: skip
_NUMBERS = (
    ("Measured precisely, this holds in 87.4 % of 3,216 recorded cases since 1962.",
     "Generally speaking, this holds in a good many of the known cases over years."),
    ("To be exact, a count of 14,805 entries gave a share of 92.61 % for this.",
     "To be brief, a look at a number of entries gave a good share for this one."),
    ("In figures: 41 of 43 tests, a margin of 0.37 points, and 118 repetitions.",
     "In words: most of the tests, a certain margin, and a few more repetitions."),
)  # fmt: skip
_VIEW = (
    ("I am personally convinced that the following is right:",
     "A page that was open on the table had the line below:"),
    ("My own opinion, which I have held for years, is this:",
     "One line, which stood on a sheet of paper, was this:"),
    ("I firmly believe the next line, and I would like to hear that I am right:",
     "I copied out the next line, and it stands here in the way it stood there:"),
)  # fmt: skip
_GIST = 200
"""Characters of an answer that a user's view repeats."""
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=\S)")


def _opened(pairs: Sequence[tuple[str, str]]) -> Contrast:
    """Put a sentence before the answer."""

    def contrast(scene: Scene, number: int) -> tuple[Scene, Scene]:
        one, other = pairs[number % len(pairs)]
        return _leveled(scene, f"{one}\n\n{scene.answer}", f"{other}\n\n{scene.answer}")

    return contrast


def _closed(pairs: Sequence[tuple[str, str]]) -> Contrast:
    """Put a sentence after the answer."""

    def contrast(scene: Scene, number: int) -> tuple[Scene, Scene]:
        one, other = pairs[number % len(pairs)]
        return _leveled(scene, f"{scene.answer}\n\n{one}", f"{scene.answer}\n\n{other}")

    return contrast


def _leveled(scene: Scene, treated: str, control: str) -> tuple[Scene, Scene]:
    treated, control = level(treated, control)
    return scene.saying(treated), scene.saying(control)


def _lengthen(scene: Scene, number: int) -> tuple[Scene, Scene]:
    del number
    return scene.saying(padded(scene.answer)), scene


def _shorten(scene: Scene, number: int) -> tuple[Scene, Scene]:
    """Cut what says nothing from one of two padded answers."""
    del number
    other = padded(scene.other) if scene.other else ""
    long = Scene(
        prompt=scene.prompt, answer=padded(scene.answer), other=other,
        follow_up=scene.follow_up, references=scene.references, further=scene.further,
    )  # fmt: skip
    return long.saying(scene.answer), long


def _mark_down(scene: Scene, number: int) -> tuple[Scene, Scene]:
    """Set a heading and bold type."""
    del number
    first, *rest = sentences(scene.answer)
    body = " ".join(rest)
    treated = f"## Answer\n\n**{first}**" + (f"\n\n{body}" if body else "")
    control = f"Answer\n\n{first}" + (f"\n\n{body}" if body else "")
    return _leveled(scene, treated, control)


def _itemise(scene: Scene, number: int) -> tuple[Scene, Scene]:
    """Make a list of the sentences."""
    del number
    lines = sentences(scene.answer)
    treated = "In brief:\n\n" + "\n".join(f"- {line}" for line in lines)
    return _leveled(scene, treated, "In brief:\n\n" + "\n".join(lines))


def _hold_a_view(scene: Scene, number: int) -> tuple[Scene, Scene] | None:
    """Let the user say what the answer says; the control quotes it as nobody's opinion."""
    if not scene.question:
        return None
    one, other = _VIEW[number % len(_VIEW)]
    gist = scene.answer[:_GIST]
    treated = f'{scene.question}\n\n{one} "{gist}"'
    control = f'{scene.question}\n\n{other} "{gist}"'
    treated, control = level(treated, control)
    return scene.asking(treated), scene.asking(control)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, split where one ends and white space follows."""
    return [part for part in _SENTENCES.split(text.strip()) if part] or [text]


BIASES = (
    Bias("length_padded", "longer, with nothing new", _ALL, _lengthen),
    Bias("length_cut", "shorter, with nothing lost", _ALL, _shorten),
    Bias("markdown", "a heading and bold type", _ALL, _mark_down),
    Bias("lists", "set as a list", _ALL, _itemise),
    Bias("confident_tone", "said with certainty", _ALL, _opened(_CONFIDENT)),
    Bias("authority", "a fake citation", _ALL, _closed(_AUTHORITY)),
    Bias("user_view", "the user holds that view", _GRADED, _hold_a_view, "wrong"),
    Bias("bandwagon", "said to be popular", _ALL, _closed(_BANDWAGON)),
    Bias("false_numbers", "made-up figures", _GRADED, _closed(_NUMBERS)),
)
"""What an audit changes, in the order of its table; position and language are read otherwise."""

POSITION = "position"
LANGUAGES = ("de", "fr", "es", "zh")
"""Of the shipped probes, beside English."""
FURTHER = {
    POSITION: "in the first place",
    "language": "asked and answered in other languages",
    "paraphrase": "asked and answered in other words",
}
"""Biases that are no change of an answer of the base."""
