"""Turns of candidates for tests of reports."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw

from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.report.collecting import PairReport
from plaudit.preferences.report.numbers import ReportNumbers
from plaudit.preferences.types import Candidate, CandidateGroup, Id, PairOptions, Tally
from plaudit.types import Json

Scored = tuple[Json, float | None]


def raw(value: Json) -> Raw:
    return Raw(msgspec.json.encode(value))


def candidates(
    example: Id, responses: Sequence[Scored], prompt: Json = None, metadata: Json = None
) -> list[Candidate]:
    return [
        Candidate(
            example_id=example,
            turn_id=0,
            index=None,
            prompt=raw(f"prompt of {example}" if prompt is None else prompt),
            response=raw(response),
            score=score,
            metadata=None if metadata is None else raw(metadata),
        )
        for response, score in responses
    ]


def turns(many: Sequence[list[Candidate]], tally: Tally) -> Iterator[CandidateGroup]:
    for one in many:
        if (turn := pair_turn(one, PairOptions(), tally)) is not None:
            yield turn


def report_of(many: Sequence[list[Candidate]], seed: int = 0, batch: int = 10_000) -> ReportNumbers:
    tally, report = Tally(), PairReport(seed, batch)
    for turn in turns(many, tally):
        report.add_turn(turn)
    return report.finish(tally)
