"""Which format a file has, by its first row."""

from collections.abc import Sequence

from plaudit.errors import InputError
from plaudit.preferences.formats.base import Format, ReadOptions, columns_of
from plaudit.preferences.formats.feedback import Feedback
from plaudit.preferences.formats.pairwise import Comparisons
from plaudit.preferences.formats.rows import Rows
from plaudit.preferences.formats.steps import Steps, is_step_row
from plaudit.preferences.formats.traces import Traces
from plaudit.preferences.formats.verdicts import Verdicts, read_verdict

_HINTS = (
    (
        {"chosen", "rejected"},
        "these are pairs already: plaudit export takes them where each has an example_id and a "
        "margin above 0",
    ),
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


def detect(line: bytes, options: ReadOptions) -> Format:
    """Return the format of the file that a row is the first of.

    Args:
        line: the first row that is a JSON object.
        options: how files are read that leave a choice.

    Raises:
        InputError: it is of no format that holds candidates; the message names its columns.
    """
    columns = columns_of(line)
    names = set(columns)
    if names >= {"judge", "status", "reward"}:
        return _of_verdicts(line, options)
    if "messages" in names and not names.isdisjoint({"schema", "rewards"}):
        return Traces()
    if is_step_row(columns) and "score" not in names:
        return Steps(options.step_name)
    if names >= {"prompt", "response"}:
        return Rows()
    raise _unknown(columns)


def _of_verdicts(line: bytes, options: ReadOptions) -> Format:
    verdict = read_verdict(line)
    if verdict.kind == "pairwise":
        return Comparisons(options.scores)
    if verdict.kind == "feedback":
        return Feedback()
    if verdict.kind in ("pointwise", "verify"):
        return Verdicts(verdict.kind)
    raise InputError(f"no candidates are in verdicts by {verdict.judge!r}")


def _unknown(columns: Sequence[str]) -> InputError:
    seen = ", ".join(columns[:_SHOWN]) + (", ..." if len(columns) > _SHOWN else "")
    hint = next((text for names, text in _HINTS if not names.isdisjoint(columns)), "")
    return InputError(
        "no candidates: a row needs prompt, response and score, or must be a verdict, a trace or "
        f"an intermediate step; its columns are {seen or 'none at all'}" + (hint and f" ({hint})")
    )
