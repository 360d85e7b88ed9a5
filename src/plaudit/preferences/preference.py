"""A chosen response beside a rejected one: a row of preference data."""

import msgspec
from msgspec import UNSET, Raw, UnsetType

from plaudit.preferences.candidate import Id


class Preference(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One pair; encoded with msgspec it is a row of the output, its fields in this order."""

    example_id: Id
    turn_id: Id
    run: Id | UnsetType = UNSET
    """Of several runs the one that it is of; a row has no such column where there is only one."""
    prompt: Raw
    chosen: Raw
    chosen_score: float
    chosen_index: int
    rejected: Raw
    rejected_score: float
    rejected_index: int
    num_candidates: int
    """Usable candidates of the turn."""
    metadata: dict[str, Raw] = {}
    """`chosen` and `rejected`: their candidates' metadata, where there are any."""
    margin: float
    """`chosen_score - rejected_score`, above 0."""
    reward: float
    """The margin, or the chosen score (`PairOptions.reward`)."""
