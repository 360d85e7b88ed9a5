"""Formats that candidates are read from, and how the format of a file is found."""

from collections.abc import Sequence

from plaudit.errors import InputError
from plaudit.preferences.formats.base import CandidateFormat, ReadOptions, object_in
from plaudit.preferences.formats.pairwise import Comparisons
from plaudit.preferences.formats.rows import LISTS, CandidateRows, PairRows, ResponseLists
from plaudit.preferences.formats.traces import Steps, Traces, is_step_row
from plaudit.preferences.formats.verdicts import Feedback, VerdictFormat, read_verdict

__all__ = ["CandidateFormat", "ReadOptions", "detect"]

_HINTS = (
    ({"chosen", "rejected"}, "a pair needs prompt, chosen and rejected"),
    (
        {"messages", "conversation"},
        "responses need scores: judge them with plaudit judge pointwise, or score traces with "
        "plaudit score",
    ),
    (
        {"response_a", "conversation_A"},
        "compare the responses first with plaudit judge pairwise",
    ),
    ({"follow_up", "query_t1"}, "judge the reactions first with plaudit judge feedback"),
    ({"question"}, "check the answers first with plaudit judge verify"),
)
_SHOWN = 20


def detect(line: bytes, options: ReadOptions) -> CandidateFormat:
    """Return the format of the file that a row is the first of.

    Args:
        line: the first row that is a JSON object, its columns renamed (`ReadOptions.columns`).
        options: how files are read that leave a choice.

    Raises:
        InputError: it is of no format that holds candidates; the message names its columns.
    """
    held = object_in(line)
    names = held.keys()
    if names >= {"judge", "status", "reward"}:
        return _of_verdicts(line, options)
    if "messages" in names and not names.isdisjoint({"schema", "rewards"}):
        return Traces()
    if is_step_row(names) and "score" not in names:
        return Steps(options.step_name)
    if names >= {"prompt", "response"}:
        return CandidateRows()
    if names >= {"chosen", "rejected"} and ("prompt" in names or bytes(held["chosen"])[:1] == b"["):
        return PairRows()
    if not names.isdisjoint({"prompt", "instruction"}) and not names.isdisjoint(LISTS):
        return ResponseLists(options.columns)
    raise _unknown(list(names))


def _of_verdicts(line: bytes, options: ReadOptions) -> CandidateFormat:
    verdict = read_verdict(line)
    if verdict.kind == "pairwise":
        return Comparisons(options.scores)
    if verdict.kind == "feedback":
        return Feedback()
    return VerdictFormat(verdict.kind)


def _unknown(columns: Sequence[str]) -> InputError:
    seen = ", ".join(columns[:_SHOWN]) + (", ..." if len(columns) > _SHOWN else "")
    hint = next((text for names, text in _HINTS if not names.isdisjoint(columns)), "")
    return InputError(
        "no candidates: a row needs prompt, response and score, or must be a verdict, a trace or "
        f"an intermediate step; its columns are {seen or 'none at all'}" + (hint and f" ({hint})")
    )
