"""The verify judge without a model: what types, guards and head leave open stays undecided."""

from collections.abc import Sequence

import msgspec

from plaudit.engines.base import Request, Schema
from plaudit.errors import ArgumentError, Cause, UsageError
from plaudit.judges.answers.base import AnswerOptions
from plaudit.judges.base import EngineFacts
from plaudit.judges.config import JudgeConfig, options_that_differ
from plaudit.judges.reading import Ask, Transcript
from plaudit.judges.shots import ShotSet
from plaudit.judges.verify import VerifyJudge, fields_of, probabilities_of
from plaudit.prompts.template import Template
from plaudit.types import Json, Sample, Verdict

_READ = frozenset(
    {"kind", "swap", "gate", "calibration", "reward_map", *AnswerOptions.__struct_fields__}
)
"""Options that mean something without a model; `swap` is of pairs."""
_UNDECIDED = "undecided ({}); name a model that is asked about such answers (engine=, -e URI)"


class UnaskedVerifyJudge(VerifyJudge):
    """Decides whether an answer is right, and asks nobody."""

    def __init__(self, config: JudgeConfig, facts: EngineFacts) -> None:
        """Refuse what only a model reads.

        Raises:
            ArgumentError: the configuration asks for it.
        """
        for name in options_that_differ(config, JudgeConfig(kind=config.kind)):
            if name not in _READ:
                raise ArgumentError(
                    name,
                    "is for a model, and the engine none: has none; leave it out, or name another "
                    "engine, such as openai:MODEL",
                )
        super().__init__(config, facts)

    def render(self, sample: Sample, turn: str = "main") -> Request:
        """Refuse: there is no prompt.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "the engine none: is sent no prompt; name another one, such as openai:MODEL"
        )

    def requests(self, sample: Sample) -> list[Request]:
        """Return nothing."""
        return []

    async def decide(
        self, sample: Sample, ask: Ask, requests: Sequence[Request] | None = None
    ) -> Verdict:
        """Decide, or say that nobody could; see `BaseJudge`."""
        found = await self._find(sample)
        if found.value is not None:
            return self._decided(sample, found)
        verdict = self._unmade(
            sample,
            "abstained",
            Transcript(ask),
            Cause.UNDECIDED,
            _UNDECIDED.format(found.reason),
            attempts=0,
        )
        return msgspec.structs.replace(
            verdict, probabilities=probabilities_of(found), fields=fields_of(found)
        )

    def _made_of(self, facts: EngineFacts, prior_hash: str) -> dict[str, Json]:
        return {
            "version": 1,
            "kind": self.kind,
            "readout": self.readout,
            **self._optional_identity(),
        }

    def _load_template(self) -> Template:
        return Template("", "none", frozenset())

    def _load_shots(self) -> ShotSet:
        return ShotSet((), 0, "none")

    def _make_schema(self) -> Schema | None:
        return None
