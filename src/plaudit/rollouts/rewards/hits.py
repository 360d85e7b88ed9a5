"""`chunk_hit`: whether the passage that holds the answer was found."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from plaudit.rollouts.rewards import words
from plaudit.rollouts.rewards.base import Measure, check_range, scored, unscored
from plaudit.rollouts.rewards.reading import Result, results_of
from plaudit.rollouts.trace import Score, Trace, Unscored

_RUN = 5


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
    overlap: float = 0.8
    """By text: least share of the gold passage's words that stand word for word in one result."""
    tools: tuple[str, ...] = ()
    """Tools that search; none: all."""

    def __post_init__(self) -> None:
        """Check the options."""
        check_range(0.01, 1, overlap=self.overlap)

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
        texts = list(dict.fromkeys(words.normal(result.text) for result in found))
        ranks = [rank for rank, text in enumerate(texts, 1) if self._holds(text, gold)]
        return self._graded(ranks[:1], 1, len(texts))

    def _holds(self, text: str, gold: str) -> bool:
        if f" {gold} " in f" {text} ":
            return True
        return words.copied_share(gold.split(), [text.split()], _RUN) >= self.overlap

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
    return ids, words.normal(trace.question.supporting_text or "")
