"""Rows that are scored, and what is answered to each."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from plaudit.errors import InputError
from plaudit.rewarding.completions import Chat, trace_of_completion, with_columns
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.rollouts.traces import read_trace
from plaudit.types import Json, Value, Verdict

Row = Mapping[str, Any]
"""One row: TRL's columns (`prompt`, `completion` and others), or what `plaudit score` reads.

In process the column `trace` may hold a `Trace`, which is scored in place of the texts."""

RowStatus = Literal["ok", "abstained", "invalid", "failed", "rejected"]
"""The outcomes of a verdict; `rejected`: the row itself cannot be used."""

TRACE = "trace"
"""The column that holds a rollout's own trace."""

_OWN = frozenset({"prompt", "completion", "completion_ids", TRACE})
"""Columns of TRL that say nothing of the question."""


_CHATS = frozenset({"messages", "conversation", "schema"})
"""Columns of which a row without a `completion` needs one."""


class RowCause(StrEnum):
    """Why a row has no value, where neither its judge nor its reward says so."""

    BAD_ROW = "bad_row"
    """The row has not the columns, or not the types, that are needed."""
    NO_PROMPT = "no_prompt"
    """Prompt and response come as one text, and it is not certain where the response begins."""
    DEADLINE = "deadline"
    """There was no answer in time."""
    ENGINE_DOWN = "engine_down"
    """There was no answer in time, since no engine answers."""
    SERVER_DOWN = "server_down"
    """There was no answer in time, since the reward server does not answer."""
    BAD_ANSWER = "bad_answer"
    """What the reward server answered is none."""
    GROUP_INCOMPLETE = "group_incomplete"
    """Fewer than two members of a group came in time."""
    LATE = "late"
    """The other members of the group were compared before this one came."""
    INTERNAL = "internal"
    """A defect of plaudit; the log has it."""


class ScoredRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered to one row."""

    value: float | None
    """A finite number; null: there is none, or none was to be made up."""
    status: RowStatus
    cause: str | None = None
    """Why there is no value: a cause of a verdict, of a reward, or of the server."""
    components: dict[str, float | None] = {}
    """The values of the parts, before weights."""
    confidence: float | None = None
    """0 to 1, where a judge has one."""
    fingerprint: str = ""
    """`rewards/...` or `KIND/...`: what the value depends on besides the row."""
    id: str = ""
    """The row's own id, else a hash of the row."""
    reason: str = ""
    decided: Value | UnsetType = UNSET
    """A judge's own value, such as a label."""


def row_id(row: Row) -> str:
    """Return a row's id; a hash of the row where it has none."""
    given = row.get("id")
    return digest(row).hex()[:16] if given is None else str(given)


def digest(*rows: Row) -> bytes:
    """Return what equal rows have in common."""
    encoded = msgspec.json.encode(rows, enc_hook=repr, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=16).digest()


def unscored_row(
    row: Row, cause: RowCause, reason: str, *, status: RowStatus = "failed"
) -> ScoredRow:
    """Return the answer to a row without a value."""
    return ScoredRow(value=None, status=status, cause=cause, reason=reason, id=row_id(row))


def rejected_row(row: Row, error: InputError) -> ScoredRow:
    """Return the answer to a row that cannot be used."""
    return unscored_row(row, RowCause.BAD_ROW, str(error), status="rejected")


def row_of_score(row: Row, score: Score, fingerprint: str) -> ScoredRow:
    """Return the answer to a row that rewards scored."""
    parts = score.components
    sure = [
        p.components["confidence"].value for p in parts.values() if "confidence" in p.components
    ]
    return ScoredRow(
        value=score.value,
        status=_status(score),
        cause=score.cause,
        components={name: part.value for name, part in parts.items()},
        confidence=sure[0] if len(sure) == 1 else None,
        fingerprint=fingerprint,
        id=row_id(row),
        reason=score.reason,
    )


def _status(score: Score) -> RowStatus:
    if score.value is not None:
        return "ok"
    if score.cause is Unscored.JUDGE_INVALID:
        return "invalid"
    return "failed" if score.cause is not None and score.cause.broken else "abstained"


def row_of_verdict(row: Row, verdict: Verdict) -> ScoredRow:
    """Return the answer to a row that was judged."""
    error = verdict.error
    return ScoredRow(
        value=verdict.reward,
        status=verdict.status,
        cause=None if error is None else error.cause,
        confidence=verdict.confidence,
        fingerprint=verdict.judge,
        id=row_id(row),
        reason="" if error is None else error.message,
        decided=UNSET if verdict.value is None else verdict.value,
    )


# From TRL's columns to what is scored


def trace_of_row(row: Row) -> Trace:
    """Return a row as a trace.

    Raises:
        InputError: it has neither a `completion` nor a chat, or a column has the wrong type.
    """
    made = row.get(TRACE)
    if "completion" not in row and not isinstance(made, Trace):
        if not _CHATS & row.keys():
            raise InputError("a row needs 'prompt' and 'completion', or 'messages'")
        return read_trace(row)[0]
    columns = {name: value for name, value in row.items() if name not in _OWN}
    reference = columns.pop("reference", None)
    if columns.get("answer") is None:
        columns["answer"] = reference
    if isinstance(made, Trace):
        return with_columns(made, columns) if any(columns.values()) else made
    return trace_of_completion(row.get("prompt", ""), row["completion"], columns)


def row_for_judge(kind: str, row: Row) -> Row:
    """Return a row in the form of a judge; one without a `completion` has it already.

    Raises:
        InputError: the prompt or the completion is no chat, or a column has the wrong type.
    """
    if "completion" not in row:
        return row
    if kind == "verify":
        return _row_to_verify(row)
    columns = {name: value for name, value in row.items() if name not in _OWN}
    return columns | {"messages": chat_of(row)}


def chat_of(row: Row) -> list[Json]:
    """Return prompt and completion as one chat.

    Raises:
        InputError: one of them is neither text nor a list.
    """
    prompt = _messages(row.get("prompt", []), "prompt", "user")
    return [*prompt, *_messages(row["completion"], "completion", "assistant")]


def _messages(chat: Chat | Any, name: str, role: str) -> list[Json]:
    if isinstance(chat, str):
        return [{"role": role, "content": chat}]
    if not isinstance(chat, list):
        raise InputError(f"{name!r} must be text or a list of messages")
    return list(chat)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _row_to_verify(row: Row) -> Row:
    trace = trace_of_row(row)
    question = trace.question
    return {
        "id": row_id(row),
        "question": "" if question is None else question.question,
        "answer": trace.final_answer or "",
        "reference": [] if question is None else list(question.references),
    }
