"""What rewards read of a trace: what the model wrote, what it called, and what tools answered.

The two are kept apart with care: a reward for the model reads only what the model wrote, and a tool
result is evidence, never an answer.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from plaudit._util.packages import DeferredModule
from plaudit.judges import rows
from plaudit.judges.answers.base import AnswerCase
from plaudit.rollouts.calls.parsing import read_reply
from plaudit.rollouts.calls.reply import MalformedCall
from plaudit.rollouts.tools.base import shown_chars
from plaudit.rollouts.trace import CallRecord, CallStatus, Trace
from plaudit.types import Json, Message

if TYPE_CHECKING:
    from plaudit.judges.answers import decision
    from plaudit.judges.answers.guards import guard as guards
else:
    decision = DeferredModule("plaudit.judges.answers.decision")
    guards = DeferredModule("plaudit.judges.answers.guards.guard")


class Result(NamedTuple):
    """What a tool answered, as the model read it."""

    call: CallRecord
    text: str

    @property
    def chunks(self) -> list[str] | None:
        """The ids of the chunks that the model was shown whole, best first; None: not known.

        The tool names them in `CallRecord.data`: a list of objects with `chunk_id`, in the order in
        which the model read them. Where the result was cut, each also needs its `end`, the number
        of characters up to its last one, since a chunk that was cut counts as not shown.
        """
        data = self.call.data
        if not isinstance(data, list):
            return None
        given = [cast("dict[str, Any]", row) for row in cast("list[Any]", data) if _is_object(row)]
        found = [(row["chunk_id"], row.get("end")) for row in given if _is_id(row.get("chunk_id"))]
        if data and not found:
            return None
        if not self.call.truncated:
            return [id for id, _ in found]
        shown = shown_chars(self.text)
        ends = [end for _, end in found if isinstance(end, int)]
        whole = [id for id, end in found if isinstance(end, int) and end <= shown]
        return whole if len(ends) == len(found) else None

    @property
    def cut_apart(self) -> bool:
        """Whether the result was cut, and it is not known which of its chunks were shown."""
        return self.call.truncated and isinstance(self.call.data, list) and self.chunks is None


def _is_object(row: Any) -> bool:
    return isinstance(row, dict)


def _is_id(id: Any) -> bool:
    return isinstance(id, str) and bool(id.strip())


def question_of(trace: Trace) -> str:
    """Return what was asked; empty where the trace does not say it."""
    return "" if trace.question is None else trace.question.question


def references_of(trace: Trace) -> tuple[str, ...]:
    """Return the accepted answers; one without a visible character is none."""
    if trace.question is None:
        return ()
    return tuple(text for text in trace.question.references if rows.is_visible(text))


def answer_of(trace: Trace) -> str:
    """Return the final answer, empty where there is none."""
    return (trace.final_answer or "").strip()


def no_answer(trace: Trace) -> str | None:
    """Return why a finished rollout has no answer, or None where it has one.

    A text that says nothing (":" or "Thought process:") is none, unless it is a reference.
    """
    answer, references = answer_of(trace), references_of(trace)
    if not answer:
        how = "" if trace.stop_reason is None else f" ({trace.stop_reason})"
        return f"the rollout ended without an answer{how}"
    nothing = guards.says_nothing(question_of(trace), answer, references)
    return None if nothing and says_a_reference(trace) else nothing


def says_a_reference(trace: Trace) -> bool:
    """Whether the final answer is a reference and nothing else."""
    case = AnswerCase(
        question=question_of(trace), answer=answer_of(trace), references=references_of(trace)
    )
    return decision.is_reference(case)


class WrittenTexts(NamedTuple):
    """What the model wrote, without its calls; each in order."""

    thoughts: list[str]
    texts: list[str]


def written(trace: Trace) -> WrittenTexts:
    """Return the thoughts and texts of all turns; of a plain chat without turns, its messages."""
    if trace.turns:
        return WrittenTexts([t.reasoning for t in trace.turns], [t.answer for t in trace.turns])
    return WrittenTexts([], [m.text for m in trace.messages if m.role == "assistant"])


def calls_of(trace: Trace) -> list[CallRecord]:
    """Return the calls in order; of a plain chat, as its messages show them."""
    return trace.tool_calls or [result.call for result in _from_messages(trace) if result.call.id]


def results_of(trace: Trace) -> list[Result]:
    """Return what tools answered to calls that went well, in order."""
    if not trace.tool_calls:
        found = _from_messages(trace)
    else:
        texts = {m.tool_call_id: m.text for m in trace.messages if m.role == "tool"}
        found = [Result(call, texts.get(call.id, "")) for call in trace.tool_calls]
    return [result for result in found if result.call.status == "ok"]


def _from_messages(trace: Trace) -> list[Result]:
    """Pair the calls of a plain chat with their results: by id, else in order."""
    waiting: deque[CallRecord] = deque()
    paired: list[Result] = []
    turn = -1
    for message in trace.messages:
        if message.role == "assistant":
            turn += 1
            waiting.extend(_calls(message, turn))
        elif message.role == "tool":
            call = _take(waiting, message.tool_call_id)
            paired.append(Result(call or _unknown_call(turn), message.text))
    return paired + [Result(call, "") for call in waiting]


def _take(waiting: deque[CallRecord], id: str | None) -> CallRecord | None:
    """Take the call of that id; without an id, the one that has waited longest."""
    for call in waiting:
        if id is None or call.id == id:
            waiting.remove(call)
            return call
    return None


def _calls(message: Message, turn: int) -> Iterator[CallRecord]:
    """Yield the calls of a message, whether the API gave them apart or they stand in its text."""
    if not message.tool_calls:
        for call in read_reply(message.text, turn=turn).attempts:
            written = call.text if isinstance(call, MalformedCall) else call.arguments
            yield _record(call.id, turn, call.name, written)
    for number, made in enumerate(message.tool_calls or ()):
        function = made.get("function", made)
        called = cast("dict[str, Any]", function if isinstance(function, dict) else {})
        id = made.get("id") or f"call-{turn}-{number}"
        yield _record(str(id), turn, called.get("name"), called.get("arguments"))


def _record(id: str, turn: int, name: Json, written: Json) -> CallRecord:
    arguments, status = _arguments(written)
    if not isinstance(name, str) or not name:
        name, status = "", "malformed"
    return CallRecord(id=id, turn=turn, name=name, arguments=arguments, status=status)


def _arguments(written: Json) -> tuple[Json, CallStatus]:
    """Return arguments as an object where they are one, and whether they are."""
    found = written
    if isinstance(written, str):
        try:
            found = msgspec.json.decode(written)
        except (msgspec.DecodeError, RecursionError):
            return written, "malformed"
    return (cast("Json", found), "ok") if isinstance(found, dict) else (written, "malformed")


def _unknown_call(turn: int) -> CallRecord:
    """Return the call of a result that answers no call that the chat shows."""
    return CallRecord(id="", turn=max(turn, 0), name="", arguments=None, status="ok")


_WORD = re.compile(
    # A character of a script without spaces is a word; so no sentence passes for one.
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff]"
    r"|(?:(?![\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff])[^\W_])+"
)
_THOUSANDS = re.compile(r"(?<=\d)[,\u2009\u202f](?=\d{3}(?!\d))")
_READ = 500_000
_LONGEST = 24
_PIECE = 8

STOP_WORDS = frozenset(
    {
        "a", "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as",
        "at", "be", "because", "been", "before", "being", "both", "but", "by", "can", "could",
        "did", "do", "does", "doing", "done", "for", "from", "further", "had", "has", "have",
        "having", "he", "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into",
        "is", "it", "its", "itself", "just", "me", "more", "most", "my", "no", "nor", "not",
        "now", "of", "off", "on", "once", "only", "or", "other", "our", "out", "over", "own",
        "s", "same", "she", "should", "so", "some", "such", "t", "than", "that", "the", "their",
        "them", "then", "there", "these", "they", "this", "those", "through", "to", "too",
        "under", "until", "up", "us", "very", "was", "we", "were", "what", "when", "where",
        "which", "while", "who", "whom", "why", "will", "with", "would", "yes", "you", "your",
    }
)  # fmt: skip


def words(text: str) -> list[str]:
    """Return the words of a text, folded in case, width and accents' encoding.

    A thousands separator is dropped. A word longer than any real one is cut into pieces, so that
    repetition within it is seen. Of a text of more than 500,000 characters only so many are read,
    so that no single one holds up all others.
    """
    folded = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text[:_READ]).casefold())
    found = _WORD.findall(folded)
    if max(map(len, found), default=0) <= _LONGEST:
        return found
    return [piece for word in found for piece in _pieces(word)]


def _pieces(word: str) -> list[str]:
    if len(word) <= _LONGEST:
        return [word]
    return [word[i : i + _PIECE] for i in range(0, len(word), _PIECE)]


def normal(text: str) -> str:
    """Return the words of a text as one line."""
    return " ".join(words(text))


def content(text: str) -> set[str]:
    """Return the words that say something: English function words are left out."""
    return set(words(text)) - STOP_WORDS


def runs(found: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """Yield all runs of so many words (n-grams), in order."""
    return zip(*(islice(found, start, None) for start in range(length)), strict=False)


def copied_share(text: Sequence[str], sources: Iterable[Sequence[str]], length: int = 6) -> float:
    """Return which share of a text's words stands in a run that a source has word for word.

    Args:
        text: its words.
        sources: the words of each text that it may be copied from.
        length: words of a run.
    """
    own = set(runs(text, length))
    if not own:
        return 0.0
    known = {run for source in sources for run in runs(source, length) if run in own}
    covered = [False] * len(text)
    for start, run in enumerate(runs(text, length)):
        if run in known:
            covered[start : start + length] = [True] * length
    return sum(covered) / len(text)


SHORT = 40
"""Words that an answer may quote without being a copy."""
SHARE = 0.6
"""Share of words that stand in copied runs from which on it is one."""
RUN = 3
"""Words of a run; a filler behind every few words leaves runs as short as this."""


def is_poured_out(trace: Trace) -> bool:
    """Whether the answer is mostly copied from tool results, and longer than an answer would be.

    It is, if it has more than 40 words and twice those of the longest reference, and 60 % of them
    stand in runs of three words that a tool result has too.
    """
    answer = words(answer_of(trace))
    return len(answer) > _allowed(references_of(trace)) and _share(answer, trace) >= SHARE


def _allowed(references: Sequence[str]) -> int:
    return SHORT + 2 * max((len(words(text)) for text in references), default=0)


def _share(answer: Sequence[str], trace: Trace) -> float:
    results = (words(result.text) for result in results_of(trace))
    return copied_share(answer, results, RUN)
