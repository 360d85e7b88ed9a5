"""Labels of people in the spellings that are common, mapped to those of the judges."""

from collections.abc import Mapping
from typing import Any

from plaudit.errors import InputError, UsageError
from plaudit.judges.feedback import REWARDS

_FEEDBACK = (*REWARDS, "topic_shift", "positive", "negative")

LABELS: Mapping[str, Mapping[str, str]] = {
    "pairwise": {
        **dict.fromkeys(("a", "a>b", "a>>b", "1", "first", "response_a", "model_a"), "A"),
        **dict.fromkeys(("b", "b>a", "b>>a", "2", "second", "response_b", "model_b"), "B"),
        **dict.fromkeys(("a=b", "tie", "equal", "tie (bothbad)", "both", "neither"), "A=B"),
    },
    "verify": {
        **dict.fromkeys(("correct", "true", "yes", "right", "1"), "correct"),
        **dict.fromkeys(("incorrect", "false", "no", "wrong", "0"), "incorrect"),
    },
    "feedback": {
        **{label: label for label in _FEEDBACK},
        **dict.fromkeys(("satisfied", "thumbs_up", "+1"), "positive"),
        **dict.fromkeys(("dissatisfied", "thumbs_down", "-1"), "negative"),
    },
}
"""By kind of judge, its label for each spelling in lower case. Double square brackets around a
spelling do not count. Numbers that sets use in two senses, such as 0 of a pair, are not there."""


def read_label(kind: str, value: Any) -> str | None:
    """Return the judge's label for that of a person; None where there is none.

    Args:
        kind: of the judge, one of `LABELS`.
        value: text, a number, true or false; null and blank text are no label.

    Raises:
        UsageError: no rows of this kind have labels.
        InputError: the spelling is unknown; names it and those that are known.
    """
    known = LABELS.get(kind)
    if known is None:
        raise UsageError(f"labels are read for {', '.join(LABELS)}, not for the {kind} judge")
    spelling = _spelling(value)
    if not spelling:
        return None
    if spelling not in known:
        raise InputError(
            f"the label {str(value)[:40]!r} is unknown; labels for the {kind} judge are "
            + ", ".join(dict.fromkeys(known.values()))
            + f" (or {', '.join(s for s, label in known.items() if s != label.casefold())})"
        )
    return known[spelling]


def _spelling(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().removeprefix("[[").removesuffix("]]").strip().casefold()
