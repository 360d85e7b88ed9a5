"""What preference data is made of: candidates, their groups, pairs, options and counts."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import UNSET, Raw, UnsetType

from plaudit._util.choices import check_choices
from plaudit._util.options import Help
from plaudit._util.ranges import COUNT, FROM_ZERO, Range, check_ranges
from plaudit.errors import UsageError

Id = str | int
"""Ids keep their type: the number 1 and the text "1" are two ids."""


class Candidate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A response that competes with others for the same prompt.

    Prompt, response and metadata are JSON text as it was read. They are never decoded and encoded
    again, so tool calls, images and numbers of any size stay as they are.
    """

    example_id: Id
    """The example (a row of a data set) that it belongs to; the unit of a split."""
    turn_id: Id
    """The turn within the example; candidates of one turn and one run compete."""
    run: Id | None = None
    """The run, where there are several: its file, or a column of its row."""
    index: int | None
    """Its number within the turn; None: its place among the candidates read."""
    prompt: Raw
    """A JSON text or a list of messages."""
    response: Raw
    """A JSON text, a message, or a list of messages."""
    score: float | None
    """Higher is better. None: unscored (null, not finite, or no judgement)."""
    confidence: float | None = None
    """0 to 1."""
    metadata: Raw | None = None
    """A JSON object."""


class Preference(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One pair; encoded with msgspec it is a row of the output, its fields in this order."""

    example_id: Id
    turn_id: Id
    run: Id | UnsetType = UNSET
    """The run of both candidates; the column is left out where there is only one run."""
    prompt: Raw
    chosen: Raw
    chosen_score: float | None
    """None: the pair was read without scores."""
    chosen_index: int
    rejected: Raw
    rejected_score: float | None
    rejected_index: int
    num_candidates: int
    """Usable candidates of the turn."""
    metadata: dict[str, Raw] = {}
    """`chosen` and `rejected`: the metadata of both candidates, where they have any."""
    margin: float | None
    """`chosen_score - rejected_score`, above 0; None without scores."""
    reward: float | None
    """The margin, or the chosen score (`PairOptions.reward`)."""


Pick = tuple[float, int, int, int, int]
"""A pair of a group: the margin, negative so that the widest comes first (NaN: unknown); the
indices of the chosen and the rejected candidate; and their places in `CandidateGroup.candidates`.
"""


class CandidateGroup(msgspec.Struct, frozen=True, gc=False):
    """The candidates of a turn that compete, and the pairs to learn from."""

    candidates: Sequence[Candidate]
    indices: Sequence[int]
    """The numbers of the candidates within the turn."""
    texts: Sequence[bytes]
    """A key of each response: the same for responses that are rendered alike."""
    picks: Sequence[Pick]
    """The pairs, widest margin first, then by the indices of both."""


class Competing(NamedTuple):
    """Candidates that can be in a pair: a list for each property, which is fast."""

    candidates: Sequence[Candidate]
    numbers: list[int]
    scores: list[float]
    texts: list[bytes]


RewardOf = Literal["margin", "chosen"]
Contradictions = Literal["drop", "keep"]

_RANDOM = re.compile(r"random-([1-9][0-9]{0,8})")


class PairOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How pairs are made."""

    mode: Annotated[
        str,
        Help(
            "`exhaustive`: each two of a turn; `best-worst`; `adjacent`: each and the next best; "
            "`random-K`: K of all.",
            "Pairs",
            "MODE",
        ),
    ] = "exhaustive"
    """`random-K` draws by the seed."""
    min_margin: Annotated[
        float, FROM_ZERO, Help("Least difference of scores; always above 0.", "Pairs")
    ] = 0.0
    max_per_turn: Annotated[
        int | None, COUNT, Help("Most pairs a turn: the widest margins.", "Pairs")
    ] = None
    """None: all."""
    min_confidence: Annotated[
        float | None, Range(0, 1), Help("Leave out candidates that are less sure.", "Pairs", "P")
    ] = None
    """Also drops those without a confidence; None: drops none."""
    reward: Annotated[
        RewardOf, Help("A pair's reward: its `margin`, or the `chosen` score.", "Pairs", "REWARD")
    ] = "margin"
    dedupe: Annotated[bool, Help("Drop repeated responses of a turn and equal pairs.", "Pairs")] = (
        False
    )
    contradictions: Annotated[
        Contradictions,
        Help(
            "Pairs that prefer what another pair of the same prompt rejects: `drop` or `keep` "
            "them.",
            "Pairs",
        ),
    ] = "drop"
    max_pairs: Annotated[
        int | None, COUNT, Help("Most pairs in all, drawn by the seed.", "Pairs")
    ] = None
    """None: all."""
    seed: Annotated[int, Help("Of what is drawn.", "Pairs")] = 0

    def __post_init__(self) -> None:
        """Check what can be checked.

        Raises:
            UsageError: an option is out of range, or none of its choices.
        """
        check_ranges(self)
        check_choices(self)
        if self.mode not in {"exhaustive", "best-worst", "adjacent"} and self.drawn is None:
            raise UsageError(
                f"mode {self.mode!r}: give exhaustive, best-worst, adjacent or random-K, such as "
                "random-4"
            )

    @property
    def drawn(self) -> int | None:
        """How many pairs of a turn are drawn; None where the mode draws none."""
        found = _RANDOM.fullmatch(self.mode)
        return None if found is None else int(found[1])


CandidateDrop = Literal[
    "no_score", "empty", "low_confidence", "prompt_mismatch", "duplicate", "single_candidate"
]
"""Why a candidate is in no pair, the first reason that holds. `prompt_mismatch`: its prompt differs
from the first of its turn; `duplicate`: an earlier one of its turn has the same text (`dedupe`)."""

PairDrop = Literal[
    "same_text",
    "tie",
    "below_margin",
    "overflow",
    "contradiction",
    "over_cap",
    "duplicate",
    "length_balance",
]
"""Why a pair was not made, the first reason that holds. `below_margin`: or its margin is unknown
and a least one is wanted; `overflow`: the difference of both scores is larger than a number can
be; `contradiction`: another pair has the same prompt and the same two responses the other way
round; `over_cap`: beyond `max_per_turn` or `max_pairs`; `duplicate`: an earlier pair has the same
prompt and responses; `length_balance`: dropped so that length does not show the chosen response."""

CANDIDATE_DROPS: tuple[CandidateDrop, ...] = get_args(CandidateDrop)
PAIR_DROPS: tuple[PairDrop, ...] = get_args(PairDrop)


class Tally(msgspec.Struct, kw_only=True):
    """What became of every candidate and every possible pair; the counts add up (`adds_up`)."""

    turns: int = 0
    candidates: int = 0
    """As read, without rejected rows."""
    used: int = 0
    """Candidates that compete: in a turn with another usable one."""
    dropped: dict[CandidateDrop, int] = {}
    """Candidates that do not, by reason; only reasons that occurred."""
    possible: int = 0
    """Pairs that the mode makes of the used candidates."""
    pairs: int = 0
    dropped_pairs: dict[PairDrop, int] = {}
    """Pairs that were not made, by reason; only reasons that occurred."""

    def drop(self, reason: CandidateDrop, count: int = 1) -> None:
        """Count dropped candidates."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def drop_pairs(self, reason: PairDrop, count: int = 1) -> None:
        """Count pairs that were not made."""
        if count:
            self.dropped_pairs[reason] = self.dropped_pairs.get(reason, 0) + count

    def withdraw(self, reason: PairDrop, count: int) -> None:
        """Count pairs that were made, and dropped later."""
        self.pairs -= count
        self.drop_pairs(reason, count)

    @property
    def adds_up(self) -> bool:
        """Whether all candidates and all possible pairs are accounted for."""
        candidates = self.used + sum(self.dropped.values())
        return candidates == self.candidates and (
            self.pairs + sum(self.dropped_pairs.values()) == self.possible
        )
