"""Traces of rollouts, and intermediate steps of NVIDIA's NeMo Agent Toolkit."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.formats.base import (
    ABSENT,
    STEP_NAME,
    CandidateFormat,
    finite,
    index_of,
    joined,
    malformed,
    prompt_id,
    score_of,
    split_at_response,
    unpacked,
)
from plaudit.preferences.formats.dumps import undumped
from plaudit.preferences.types import Candidate, Id


class _Trace(msgspec.Struct, frozen=True, gc=False):
    messages: Raw
    question_id: str | None = None
    group: str | None = None
    draw: int | None = None
    rewards: Raw = ABSENT


class _Score(msgspec.Struct, frozen=True, gc=False):
    value: float | None = None


class _Rewards(msgspec.Struct, frozen=True, gc=False):
    total: _Score | None = None


_decode = msgspec.json.Decoder(_Trace).decode
_decode_messages = msgspec.json.Decoder(list[Raw]).decode
_decode_rewards = msgspec.json.Decoder(_Rewards).decode


class Traces(CandidateFormat):
    """Traces; the example is the question, the turn the group, the index the draw.

    Where a trace names neither question nor group, as a plain chat, these are its prompt's hash.
    """

    name = "traces"

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        try:
            trace = _decode(line)
            rewards = unpacked(trace.rewards)
            total = _decode_rewards(rewards).total if bytes(rewards) else None
            asked, said = split_at_response(_decode_messages(unpacked(trace.messages)))
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("trace", error) from None
        if trace.draw is not None and trace.draw < 0:
            raise InputError(f"not a trace: draw {trace.draw} is negative")
        prompt = joined(asked)
        named = trace.question_id or trace.group or prompt_id(prompt)
        return (
            Candidate(
                example_id=named,
                turn_id=trace.group or named,
                index=trace.draw,
                prompt=prompt,
                response=joined(said),
                score=None if total is None else finite(total.value),
            ),
        )


_END = "TTC_END"
_MOST_NAMES = 20
_NO_TEXT = Raw(b'""')


class _Data(msgspec.Struct, frozen=True, gc=False):
    turn_id: Id | None = None
    candidate_index: Raw = ABSENT
    score: Raw = ABSENT
    input: Raw = _NO_TEXT
    output: Raw = _NO_TEXT


class _Payload(msgspec.Struct, frozen=True, gc=False):
    event_type: str = ""
    name: str | None = None
    metadata: Raw = ABSENT
    data: Raw = ABSENT


class _Step(msgspec.Struct, frozen=True, gc=False):
    payload: _Payload


class _Item(msgspec.Struct, frozen=True):
    """A row: an item of an evaluation with its steps, or a step, or only a step's payload."""

    id: Id | None = None
    example_id: Id | None = None
    item_id: Id | None = None
    request_number: int | None = None
    intermediate_steps: list[_Step | None] | None = None
    trajectory: list[_Step | None] | None = None
    payload: _Payload | None = None

    @property
    def example(self) -> Id | None:
        """What it calls the example."""
        given = (self.example_id, self.id, self.item_id, self.request_number)
        return next((one for one in given if one is not None), None)

    @property
    def payloads(self) -> Iterable[_Payload]:
        """The payloads of its steps."""
        if self.payload is not None:
            return (self.payload,)
        steps = [*(self.intermediate_steps or ()), *(self.trajectory or ())]
        return [step.payload for step in steps if step is not None]


_read_item = msgspec.json.Decoder(_Item).decode
_read_payload = msgspec.json.Decoder(_Payload).decode
_read_data = msgspec.json.Decoder(_Data).decode


class Steps(CandidateFormat):
    """Steps in files: items of an evaluation, profiler traces, or a step a row.

    The example is the row's `example_id`, `id`, `item_id` or `request_number`; where there is none,
    the prompt. A step without a `turn_id` is grouped by its prompt.
    """

    name = "steps"

    def __init__(self, step_name: str = STEP_NAME) -> None:
        """See `ReadOptions.step_name`."""
        self._step_name = step_name
        self._seen: dict[tuple[str, str], None] = {}

    def read(self, line: bytes, number: int) -> Sequence[Candidate]:
        """See `CandidateFormat`."""
        try:
            item = _read_item(line)
            payloads = item.payloads or (_read_payload(line),)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed("row of intermediate steps", error) from None
        found = [_candidate(item.example, one, self._step_name) for one in payloads]
        self._note(payloads)
        return [one for one in found if one is not None]

    def nothing_found(self) -> str:
        """See `CandidateFormat`."""
        seen = ", ".join(f"{name!r} ({kind})" for kind, name in self._seen) or "none at all"
        return (
            f"no step of type {_END} is called {self._step_name!r}; steps seen: {seen}. Name those "
            "meant with --step-name. An evaluation stores them only where its configuration has "
            f"eval.general.output.workflow_output_step_filter: [{_END}]"
        )

    def _note(self, payloads: Iterable[_Payload]) -> None:
        for one in payloads:
            if one.event_type and len(self._seen) < _MOST_NAMES:
                self._seen[one.event_type, one.name or ""] = None


def is_step_row(columns: Iterable[str]) -> bool:
    """Whether a row with these columns holds steps."""
    return not {"intermediate_steps", "trajectory", "payload", "event_type"}.isdisjoint(columns)


def candidate_of_step(
    example_id: Id | None, step: object, *, step_name: str = STEP_NAME
) -> Candidate | None:
    """Return the candidate that a step is.

    Prompt and response stay what they are: text, messages or any other JSON. Messages of LangChain
    and of OpenAI's SDK, and what holds them, become messages as all chat models read them. A step
    without data, an output or a score is a candidate without one, so that it is counted; one
    without a `turn_id` is grouped by its prompt.

    Args:
        example_id: the example that the step belongs to; None: its prompt.
        step: an `IntermediateStep` of the toolkit, or the mapping that one is stored as.
        step_name: what the steps of candidates are called.

    Returns:
        The candidate; None where the step is none, of another type or name.

    Raises:
        InputError: the step has a score or an index that is none, what no JSON can say, or a dump
            that is no message.
    """
    payload = _field(step, "payload")
    kind, name = _field(payload, "event_type"), _field(payload, "name")
    if str(kind) != _END or name != step_name:
        return None
    held = _Payload(_END, name, _raw(_field(payload, "metadata")), _raw(_field(payload, "data")))
    return _candidate(example_id, held, step_name)


def _field(of: Any, name: str) -> Any:
    if isinstance(of, Mapping):
        return cast("Mapping[str, Any]", of).get(name)
    return getattr(of, name, None)


def _raw(value: object) -> Raw:
    try:
        return Raw(msgspec.json.encode(value, enc_hook=_dumped))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"a step holds what JSON cannot: {error}") from error


def _dumped(value: Any) -> Any:
    """Return an object of pydantic as what JSON can hold."""
    if not hasattr(value, "model_dump"):
        raise TypeError(f"an object of type {type(value).__name__}")
    return value.model_dump(mode="json")


def _candidate(example: Id | None, payload: _Payload, step_name: str) -> Candidate | None:
    if payload.event_type != _END or payload.name != step_name:
        return None
    try:
        data = _read_data(payload.data) if _is_there(payload.data) else _Data()
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed("candidate step", error) from None
    prompt = _said(data.input, "input")
    known = prompt_id(prompt) if example is None or data.turn_id is None else ""
    return Candidate(
        example_id=known if example is None else example,
        turn_id=known if data.turn_id is None else data.turn_id,
        index=index_of(data.candidate_index),
        prompt=prompt,
        response=_said(data.output, "output"),
        score=score_of(data.score),
        metadata=payload.metadata if _is_there(payload.metadata) else None,
    )


def _said(raw: Raw, name: str) -> Raw:
    """Return a prompt or a response; dumps of messages become messages."""
    if not _is_there(raw):
        return _NO_TEXT
    try:
        return undumped(raw)
    except InputError as error:
        raise InputError(f"not a candidate step: its {name} is {error}") from None


def _is_there(value: Raw) -> bool:
    return bytes(value) not in (b"", b"null", b"{}")
