"""Rewards computed from the trace alone: form, hits, support, searches, length, repetition."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec

from plaudit._util.ranges import COUNT, Range, at_least, check_number, check_ranges
from plaudit.rollouts.rewards import reading
from plaudit.rollouts.rewards.base import Measure, scored, unscored
from plaudit.rollouts.rewards.reading import (
    Result,
    answer_of,
    calls_of,
    is_poured_out,
    no_answer,
    normal,
    question_of,
    results_of,
    written,
)
from plaudit.rollouts.trace import CallRecord, Score, StopReason, Trace, Unscored

_BADLY_FORMED = frozenset({"malformed", "unknown_tool", "invalid_arguments"})
_MARKUP = re.compile(
    r"</?(?:think|tool_call|tool_response|tool_result|function_call|function(?:=|>)|parameter=)"
    r"|<\|[\w\s]*\|>|\[/?(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|INST)\]"
    r"|<(?:start|end)_of_turn>|<\uff5c",
    re.IGNORECASE,
)
_THOUGHT, _THOUGHT_END = "<think>", "</think>"


class WellFormed(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Well-formed calls and an answer, as a product of four parts, each in 0..1.

    `answer`: 1 where the rollout ended with an answer of its own accord. `calls`: the share of its
    calls that could be read, name a tool and have arguments that fit; what a tool made of them does
    not count. `thoughts`: 1 unless thoughts were opened and not closed. `markup`: 1 unless the
    answer holds tags of a chat or tool protocol, such as a forged tool result.
    """

    name: ClassVar[str] = "format"

    calls: Literal["required", "optional"] = "required"
    """`required`: without a well-formed call `calls` is 0. `optional`: without any it is 1."""

    def measure(self, trace: Trace) -> Score:
        """Score the form of a rollout, 0..1."""
        parts = {
            "answer": float(_answered(trace)),
            "calls": self._calls(trace),
            "thoughts": float(not _left_open(trace)),
            "markup": float(not _MARKUP.search(answer_of(trace))),
        }
        value = 1.0
        for part in parts.values():
            value *= part
        return scored(value, self._reason(trace, parts), **parts)

    def _calls(self, trace: Trace) -> float:
        calls = calls_of(trace)
        if not calls:
            return float(self.calls == "optional")
        return sum(call.status not in _BADLY_FORMED for call in calls) / len(calls)

    def _reason(self, trace: Trace, parts: dict[str, float]) -> str:
        if min(parts.values()) == 1:
            return "well formed"
        problems = {
            "answer": no_answer(trace) or f"a limit ended it ({trace.stop_reason})",
            "calls": "calls are malformed" if calls_of(trace) else "no tool was called",
            "thoughts": "thoughts are not closed",
            "markup": "the answer holds tags of a protocol",
        }
        return next(problems[n] for n, part in parts.items() if part < 1)


def _answered(trace: Trace) -> bool:
    return trace.stop_reason in (None, StopReason.ANSWERED) and no_answer(trace) is None


def _left_open(trace: Trace) -> bool:
    texts = [turn.text for turn in trace.turns] or [
        message.text for message in trace.messages if message.role == "assistant"
    ]
    return any(text.rfind(_THOUGHT) > text.rfind(_THOUGHT_END) for text in texts)


_GOLD_RUN = 5


class ChunkHit(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a gold chunk was among what the tools showed the model, 0..1.

    By `chunk_ids` where the question has them, else by `supporting_text`. Nothing that the model
    wrote can be a hit, nor a chunk that was cut, wholly or in part; and a question without either
    has no score.
    """

    name: ClassVar[str] = "chunk_hit"
    reads_tools: ClassVar[bool] = True

    by: Literal["auto", "id", "text"] = "auto"
    grade: Literal["binary", "rank", "share"] = "binary"
    """`binary`: 1 for any hit. `rank`: 1 / r, where r is the place of the first hit among all
    different chunks that the rollout was shown, in order (the reciprocal rank, Voorhees 1999), so
    that fishing with many searches costs. `share`: the share of the gold chunks that were found."""
    overlap: Annotated[float, Range(0.01, 1)] = 0.8
    """By text: least share of the gold passage's words that stand word for word in one result."""
    tools: tuple[str, ...] = ()
    """Tools that search; none: all."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def measure(self, trace: Trace) -> Score:
        """Score what was found, 0..1; None where the question names no gold."""
        found = [r for r in results_of(trace) if not self.tools or r.call.name in self.tools]
        ids, text = _gold(trace)
        if self.by != "text" and ids:
            return self._by_id(ids, found)
        if self.by != "id" and text:
            return self._by_text(text, found)
        return unscored(Unscored.NO_GOLD, "the question names no chunk that holds the answer")

    def _by_id(self, gold: set[str], found: Sequence[Result]) -> Score:
        reported_ids = [ids for result in found if (ids := result.chunks) is not None]
        if found and not reported_ids:
            return unscored(
                Unscored.NOT_RECORDED, "the tools did not record which chunks they showed"
            )
        if any(result.cut_apart for result in found):
            return unscored(
                Unscored.NOT_RECORDED,
                "a result was cut, and its tool records no 'end' of its chunks",
            )
        shown = list(dict.fromkeys(id for ids in reported_ids for id in ids))
        ranks = [rank for rank, id in enumerate(shown, 1) if id in gold]
        return self._graded(ranks, len(gold), len(shown))

    def _by_text(self, gold: str, found: Sequence[Result]) -> Score:
        texts = list(dict.fromkeys(reading.normal(result.text) for result in found))
        ranks = [rank for rank, text in enumerate(texts, 1) if self._holds(text, gold)]
        return self._graded(ranks[:1], 1, len(texts))

    def _holds(self, text: str, gold: str) -> bool:
        if f" {gold} " in f" {text} ":
            return True
        return reading.copied_share(gold.split(), [text.split()], _GOLD_RUN) >= self.overlap

    def _graded(self, ranks: Sequence[int], gold: int, shown: int) -> Score:
        if not ranks:
            return scored(0.0, f"no gold chunk among {shown} that were shown")
        value = {"binary": 1.0, "rank": 1 / ranks[0], "share": len(ranks) / gold}[self.grade]
        reason = f"{len(ranks)} of {gold} gold chunks found, the first in place {ranks[0]}"
        return scored(value, reason, first=ranks[0], found=len(ranks), shown=shown)


def _gold(trace: Trace) -> tuple[set[str], str]:
    """Return the gold chunk ids and the gold passage; blank ones are none."""
    if trace.question is None:
        return set(), ""
    ids = {id for id in trace.question.chunk_ids if id.strip()}
    return ids, reading.normal(trace.question.supporting_text or "")


class AnswerSupport(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The share of what the answer adds to the question that tool results say too, 0..1.

    What it adds are its words without function words and those of the question. Under `least` the
    value is 0, and so it is where a number of the answer stands in no result. An answer of more
    than `words` words is paid `words / its length`, and one that is poured out of the results
    nothing. It needs no reference, and says nothing of whether the answer is right.
    """

    name: ClassVar[str] = "answer_support"
    reads_tools: ClassVar[bool] = True

    least: Annotated[float, Range(0, 1)] = 0.6
    words: Annotated[int, COUNT] = 60

    def __post_init__(self) -> None:
        check_ranges(self)

    def measure(self, trace: Trace) -> Score:
        """Score how far results support the answer, 0..1."""
        nothing = no_answer(trace)
        if nothing:
            return scored(0.0, nothing)
        results = [result.text for result in results_of(trace) if result.text.strip()]
        if not results:
            return scored(0.0, "nothing was retrieved")
        adds = _added(answer_of(trace), question_of(trace))
        if adds is None:
            return unscored(Unscored.NOTHING_TO_CHECK, "the answer holds no word to look for")
        if not adds:
            return scored(0.0, "the answer adds nothing to the question")
        if is_poured_out(trace):
            return scored(0.0, "the answer is poured out of tool results")
        return self._supported(adds, {w for text in results for w in reading.words(text)}, trace)

    def _supported(self, adds: set[str], shown: set[str], trace: Trace) -> Score:
        missing = adds - shown
        share = 1 - len(missing) / len(adds)
        length = len(reading.words(answer_of(trace)))
        numbers = sorted(word for word in missing if any(c.isdigit() for c in word))
        if numbers:
            return scored(0.0, f"no tool result has the number {numbers[0]!r}", share=share)
        if share < self.least:
            return scored(0.0, f"{share:.0%} of the answer stands in tool results", share=share)
        value = share * min(1.0, self.words / length)
        return scored(
            value, f"{share:.0%} of the answer stands in tool results", share=share, length=length
        )


def _added(answer: str, question: str) -> set[str] | None:
    """Return the content words that an answer adds to its question; None if it has none at all.

    Where it names a part of the question ("the first or the second?"), that part is what it adds.
    """
    said, asked = reading.content(answer), reading.content(question)
    if not said:
        return None
    added = said - asked
    if added or 2 * len(said) > len(asked):
        return added
    return said


class Searches(NamedTuple):
    """What a rollout searched."""

    useful: int
    """Calls with a query of their own that brought something not seen before."""
    made: int
    """Calls, without those that failed through no fault of the model."""


class SearchEffort(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`effort(useful, made)`, 0 without an answer; see the functions of this module."""

    name: ClassVar[str] = "search_effort"
    reads_tools: ClassVar[bool] = True

    best: Annotated[int, COUNT] = 2
    """Useful searches that are paid in full."""
    zero: int = 10
    """Searches, useful or not, from which on nothing is paid."""
    tools: tuple[str, ...] = ()
    """Tools that search; none: all."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check_number("zero", self.zero, at_least(self.best + 1))

    def measure(self, trace: Trace) -> Score:
        """Score the searches of a rollout, 0..1."""
        found = searches_of(trace, self.tools)
        numbers = {"useful": float(found.useful), "made": float(found.made)}
        nothing = no_answer(trace)
        if nothing:
            return scored(0.0, nothing, **numbers)
        value = effort(found.useful, found.made, self.best, self.zero)
        return scored(value, f"useful searches: {found.useful} of {found.made}", **numbers)


def effort(useful: int, made: int, best: int, zero: int) -> float:
    """Return what searches are worth, 0..1: a line up to the best number, and a line down after it.

    `min(useful / best, 1)` times 1 up to `best` searches made, then `(zero - made) / (zero - best)`
    down to 0. So where all searches are useful it is 1 at `best` and nowhere else, and searches
    that bring nothing can only cost.

    Args:
        useful: searches that brought something new.
        made: all searches, at least `useful`.
        best: number of useful searches with the highest value, at least 1.
        zero: number of searches from which on the value is 0, above `best`.
    """
    rise = min(useful / best, 1.0)
    fall = min(max((zero - made) / (zero - best), 0.0), 1.0)
    return rise * fall


def searches_of(trace: Trace, tools: Sequence[str] = ()) -> Searches:
    """Count the searches of a rollout.

    A search is useful if it went well, its query is another one than those before (without regard
    to case, punctuation and white space), and it showed a chunk, or a text where chunks are not
    known, that no earlier search did.
    """
    calls = [call for call in calls_of(trace) if _counts(call, tools)]
    seen = _Seen()
    useful = sum(seen.is_new(result) for result in results_of(trace) if _counts(result.call, tools))
    made = sum(not call.tool_failed for call in calls)
    return Searches(useful, max(made, useful))


def _counts(call: CallRecord, tools: Sequence[str]) -> bool:
    return not tools or call.name in tools


class _Seen:
    """What a rollout has asked and read so far."""

    def __init__(self) -> None:
        self._queries: set[str] = set()
        self._found: set[str] = set()

    def is_new(self, result: Result) -> bool:
        """Note a search; return whether query and finding are new."""
        call, chunks = result.call, result.chunks
        found = {normal(result.text)} - {""} if chunks is None else set(chunks)
        arguments = msgspec.json.encode(call.arguments, order="sorted").decode()
        query = f"{call.name} {normal(arguments)}"
        new = query not in self._queries and not found <= self._found
        self._queries.add(query)
        self._found |= found
        return new


_REPEATED_RUN = 4


class Length(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """0 up to `free` characters, -1 from `full` characters on, and a line between them."""

    name: ClassVar[str] = "length"
    low: ClassVar[float] = -1.0
    high: ClassVar[float] = 0.0

    of: Literal["answer", "all"] = "answer"
    """Whether the final answer counts, or all thoughts and texts. Calls and results never do."""
    free: Annotated[int, at_least(0)] = 600
    full: int = 2400

    def __post_init__(self) -> None:
        check_ranges(self)
        check_number("full", self.full, at_least(self.free + 1))

    def measure(self, trace: Trace) -> Score:
        """Score the length of what was written, -1..0."""
        texts = [answer_of(trace)]
        if self.of == "all":
            texts = [text for texts in written(trace) for text in texts]
        length = sum(len(text.strip()) for text in texts)
        over = (length - self.free) / (self.full - self.free)
        return scored(0.0 - min(max(over, 0.0), 1.0), f"{length} characters", characters=length)


class Repetition(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """0 up to a share of `free` repeated runs of four words, -1 where all are, a line between them.

    The share is 1 - different runs / runs (rep-4, Welleck et al. 2020), over all thoughts and all
    texts that the model wrote. No run reaches from one into the next, and what is thought first and
    then said is not repeated.
    """

    name: ClassVar[str] = "repetition"
    low: ClassVar[float] = -1.0
    high: ClassVar[float] = 0.0

    free: Annotated[float, Range(0, 0.99)] = 0.2

    def __post_init__(self) -> None:
        check_ranges(self)

    def measure(self, trace: Trace) -> Score:
        """Score how far the model repeats itself, -1..0."""
        share = _repeated_share(written(trace))
        over = (share - self.free) / (1 - self.free)
        return scored(0.0 - max(over, 0.0), f"{share:.0%} of the runs are repeated", share=share)


def _repeated_share(sorts: Iterable[Sequence[str]]) -> float:
    count, different = 0, 0
    for texts in sorts:
        known: set[tuple[str, ...]] = set()
        for text in texts:
            for run in reading.runs(reading.words(text), _REPEATED_RUN):
                count += 1
                known.add(run)
        different += len(known)
    return 1 - different / count if count else 0.0
