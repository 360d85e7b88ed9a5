"""Pairs for a judge of single responses: each response is scored, and the scores are compared."""

from collections.abc import Iterable, Iterator, Mapping

from plaudit.bench.outcomes import RowOutcome, outcome_of_scores
from plaudit.types import Json, Verdict

_SIDES = ("A", "B")
_PAIR = frozenset({"response_a", "response_b", "conversation_A", "conversation_B", "prompt"})


def split_pair(row: Mapping[str, Json], number: int) -> Iterator[dict[str, Json]]:
    """Yield one row a response; `pair` is the number of the pair, `pair_label` its label."""
    rest = {name: value for name, value in row.items() if name not in _PAIR}
    rest["pair"], rest["pair_label"] = number, rest.pop("label", None)
    for side in _SIDES:
        yield {**rest, "id": f"{row['id']}/{side}", **_response(row, side)}


def _response(row: Mapping[str, Json], side: str) -> dict[str, Json]:
    whole = row.get(f"conversation_{side}")
    if whole is not None:
        return {"conversation": whole}
    return {"prompt": row.get("prompt"), "response": row.get(f"response_{side.lower()}")}


def outcomes_of_pairs(verdicts: Iterable[Verdict]) -> Iterator[RowOutcome]:
    """Compare the scores of the responses of each pair; see `outcome_of_scores`.

    Args:
        verdicts: on the rows of `split_pair`, in their order. A pair is left out of which a
            response was rejected.
    """
    first: Verdict | None = None
    for verdict in verdicts:
        if first is not None and first.metadata["pair"] == verdict.metadata["pair"]:
            label, name = first.metadata["pair_label"], first.id.removesuffix("/A")
            yield outcome_of_scores(first, verdict, label, id=name)
        first = verdict
