"""What one kind of judge says of itself: its rows, its options, and how it reads a reply."""

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from msgspec.structs import replace

from plaudit.engines.base import Mode
from plaudit.judges.readout import Option
from plaudit.judges.verdict import Reading
from plaudit.scoring.jury import Scale
from plaudit.types import Json, Sample

Untrusted = str | Sequence[Mapping[str, str]]
"""A text, or messages as `{"role", "text"}`, as a template sees them."""

Source = str | Path
"""The text of a file, or its path; a relative path begins at the folder of the class."""


class JudgeKind(ABC):
    """One kind of judge: what it reads, what it can answer, and what an answer is worth.

    A subclass sets `kind`, `variables`, `options` and `schema`, and writes the abstract methods.
    """

    kind: ClassVar[str]
    """Name of the kind; verdicts and the command line show it."""
    variables: frozenset[str]
    """Names under which a template sees the sample; a template must use each."""
    options: tuple[Option, ...]
    """What can be answered. The logprob readout reads the distribution over their words."""
    labels: tuple[str, ...]
    """Labels of the options."""
    schema: ClassVar[Mapping[str, Any]]
    """JSON schema of a reply in the json readout."""
    json_tokens: ClassVar[int] = 3072
    """Most tokens of a reply in the json readout."""
    default_gate: ClassVar[float | None] = None
    """Least confidence of an `ok` verdict, where the user gives none."""
    json_has_confidence: bool = False
    """Whether a reply of the json readout states a confidence."""
    takes_criteria: ClassVar[bool] = False
    orders: int = 1
    """Orders in which one judgement shows the responses."""
    default_engine: ClassVar[str] = "local"
    """URI of the engine where none is named."""
    scale: ClassVar[Scale] = "labels"
    """What the values are, for juries: `labels`, `scores` (numbers) or a `pair`'s sides."""
    compares: ClassVar[bool] = False
    """Whether it compares answers by rules, whose long comparisons are kept in the store."""
    prompted: ClassVar[bool] = True
    """Whether a prompt is sent; without one there are no template and no shots."""
    templates: ClassVar[Source | Mapping[Mode, Source] | None] = None
    """Jinja template of the prompt, for both modes or by mode; None: the shipped one."""
    pool: ClassVar[Source | Sequence[Mapping[str, Json]] | None] = None
    """Shots, as JSON Lines or as rows; None: the shipped pool, if any."""
    balanced_set: ClassVar[Sequence[Mapping[str, Json]] | None] = None
    """Rows that measure the prior of the logprob readout; None: the shipped set, if any."""

    @classmethod
    @abstractmethod
    def read_row(cls, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Return the samples of an input row; the first one gets `index`.

        Raises:
            InputError: a field is missing or of the wrong type.
        """

    @abstractmethod
    def row_of(self, sample: Any) -> dict[str, Json]:
        """Return a sample in the form of an input row."""

    @abstractmethod
    def sample_variables(self, sample: Any) -> dict[str, Untrusted]:
        """Return the untrusted texts that the template shows, not yet escaped."""

    @abstractmethod
    def read_distribution(self, probabilities: dict[str, float]) -> Reading:
        """Read a distribution over the options, by label; the probabilities sum to 1."""

    @abstractmethod
    def read_reply(self, reply: Mapping[str, Any]) -> Reading:
        """Read the object of the json readout.

        Raises:
            ReplyError: a field is missing, of the wrong type or out of range.
        """

    @abstractmethod
    def label_of(self, feedback: Mapping[str, Any]) -> str:
        """Return the label of the option that a shot's reply stands for."""

    def feedback_of(self, label: str) -> dict[str, Json] | None:
        """Return a reply that states the label and no more; None: a label alone makes no reply."""
        return None

    def cues(self, sample: Any) -> dict[str, float]:
        """Return what a head weighs beside tokens, by name; the fields of the verdict show it."""
        del sample
        return {}

    def takes_shot(self, shot: Mapping[str, Any]) -> bool:
        """Return whether a shot shows the kind of reply that is wanted."""
        del shot
        return True

    def template_name(self) -> str:
        """Return the name of the shipped template, its mode left out."""
        return self.kind

    def reply_schema(self) -> Mapping[str, Any]:
        """Return the JSON schema of a reply in the json readout."""
        return self.schema

    @property
    def outcomes(self) -> int:
        """Number of outcomes that one judgement can have."""
        return len(self.options)

    def text_of(self, sample: Sample) -> str:
        """Return the text of a sample, the same for both orders of a pair.

        The shots of a sample are chosen by its text, so swapping the responses changes neither the
        shots nor their order.
        """
        return self.joined(self.sample_variables(sample))

    def joined(self, variables: Mapping[str, Untrusted]) -> str:
        """Return the texts of a sample's variables as one text, in which each is whole."""
        values: Any = variables.values()
        try:
            return "\n".join(values)
        except TypeError:  # Some are messages.
            return "\n".join(map(plain_text, values))

    def tally(self, votes: Sequence[Reading], winners: Sequence[Reading]) -> Reading:
        """Make one reading of several votes: here that of the first vote for the winner.

        Args:
            votes: at least one.
            winners: the first vote for the most frequent outcome; where several outcomes are
                equally frequent, the first vote for each of them.

        Returns:
            A reading with fields of its own. The caller adds shares, confidence and whether the
            votes decide.
        """
        return replace(winners[0], fields=dict(winners[0].fields))


def plain_text(value: Untrusted) -> str:
    """Return a text, or the texts of messages, as one text."""
    return value if isinstance(value, str) else "\n".join(item["text"] for item in value)


def folder_of(kind: type[JudgeKind]) -> Path:
    """Return the folder of a class's file, where its relative paths begin."""
    return Path(inspect.getfile(kind)).parent


def source_digest(kind: type[JudgeKind]) -> str:
    """Return a digest of the source files of a class and of its bases outside plaudit.

    Where the source is not known, as in an interactive session, the class's name stands for it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for one in kind.__mro__:
        if not one.__module__.startswith(("plaudit.", "builtins", "abc")):
            digest.update(_source(one))
    return digest.hexdigest()


def _source(one: type) -> bytes:
    try:
        return Path(inspect.getfile(one)).read_bytes()
    except (OSError, TypeError):
        return one.__qualname__.encode()
